// The meeting of all ranks before the first step, at a port of rank 0: who is there, whether all
// belong to one job and are the same program with the same settings. Whoever is missing or differs is
// named to everybody.
//
//   Meeting meeting = meet(place, facts);       // all ranks; returns when all are there
//
// Every rank but 0 keeps two connections to rank 0, which nobody closes before the end: one for what
// the ranks compute together, one by which a rank's death is noticed.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "train/ranks/launch_place.h"
#include "train/ranks/socket.h"

namespace farsight {

/// What all ranks must agree on, by name: settings, the version of the program.
using Facts = std::vector<std::pair<std::string, std::string>>;

/// A connection to another rank.
struct RankLink {
  int rank = 0;
  std::string who;  ///< "gpu7, process 4711"
  Socket data;      ///< of collectives
  Socket control;   ///< of liveness
};

struct Meeting {
  int rank = 0;
  int world = 1;
  /// On rank 0, of ranks 1, 2, ... in order; elsewhere of rank 0 alone.
  std::vector<RankLink> links;
};

/// Throws Error(peer) within `seconds`, and a moment more on other ranks than 0: a rank that did not
/// come, or was lost while the others came, two that are the same one, another number of ranks, another
/// build or other facts, a port that is taken. The sentence is the same on all ranks that came.
Meeting meet(const LaunchPlace& place, const Facts& facts, double seconds = 30);

/// "host0:29500", "file /shared/meet"
std::string text_of(const MeetingPlace& meeting);

}  // namespace farsight
