// The rules of a task as a check of one example, whoever made it.
#pragma once

#include <string>
#include <vector>

#include "data/mqar.h"

namespace farsight {

inline constexpr std::size_t kMostViolations = 8;

/// The rules that an example of the cell breaks, as sentences naming the position, at most
/// kMostViolations. Empty: none. Any tokens and labels may be asked about.
///
///   tokens      as many as the cell says, all of them ids of the task
///   labels      as many as the split has, ascending, each value's side by side; the closing <SEP>
///               is labelled in the training split alone
///   queries     in different slots, framed where the task has separators, their keys key ids
///   pairs       as many as the cell says, in their slots, framed, of key and value ids; every query
///               finds its own, bound to what its labels say
///   sampling    no id twice where they are distinct
///   noise       keys that end alike, sections that repeat the keys in order
///   filler      everything else is of the filler's range
std::vector<std::string> broken_rules(const MqarTask& task, const Cell& cell, Split split,
                                      const Example& example);

}  // namespace farsight
