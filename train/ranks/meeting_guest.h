// The side of every rank but 0 of the meeting of all ranks (rendezvous.h).
#pragma once

#include "train/ranks/rendezvous.h"

namespace farsight {

/// Looks for rank 0 until it answers, and stays until all are there. Throws Error(peer).
Meeting join_meeting(const LaunchPlace& place, const Facts& facts, double seconds);

}  // namespace farsight
