// Sequences of different lengths in rows of one length.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace farsight {

/// Which sequences share a row: every one goes into the first row that has room for it (first fit).
/// Given longest first, that leaves at most 22 % more rows than the best packing plus one (Johnson,
/// 1973: 11/9 of the optimum), and none when each length divides the next longer one. Throws
/// Error(internal) when one is longer than `row_length`.
std::vector<std::vector<std::size_t>> pack_first_fit(std::span<const int> lengths, int row_length);

/// Appends 0, 1, ... count - 1: the positions of one sequence.
void count_up(std::vector<std::int32_t>& positions, int count);

}  // namespace farsight
