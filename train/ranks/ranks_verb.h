// `farsight ranks`, under a launcher: who is there, and how fast they sum.
//
//   farsight launch --gpus 2 -- farsight ranks
//
// Rank 0 prints a line of JSON for every size: milliseconds of an all-reduce, the median of several, and
// the bandwidth of its busiest link, 2 (N - 1) / N bytes for every byte of the buffer.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace farsight {

inline constexpr std::string_view kRanksHelp =
    "under a launcher: who is there, and how fast they sum gradients";

int run_ranks(std::span<const std::string> words);

}  // namespace farsight
