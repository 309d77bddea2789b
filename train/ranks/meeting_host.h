// Rank 0's side of the meeting of all ranks (rendezvous.h).
#pragma once

#include "train/ranks/rendezvous.h"

namespace farsight {

/// Listens until all others are there and alike, or throws Error(peer) and has told them why.
Meeting host_meeting(const LaunchPlace& place, const Facts& facts, double seconds);

}  // namespace farsight
