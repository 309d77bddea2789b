#include "data/packing.h"

#include "core/check.h"

namespace farsight {

std::vector<std::vector<std::size_t>> pack_first_fit(std::span<const int> lengths, int row_length) {
  std::vector<std::vector<std::size_t>> rows;
  std::vector<int> room;       // left in each row
  std::size_t first_open = 0;  // rows before it are full
  for (std::size_t i = 0; i < lengths.size(); i++) {
    check(lengths[i] >= 1 && lengths[i] <= row_length,
          "pack_first_fit: a sequence of {} does not fit a row of {}", lengths[i], row_length);
    std::size_t row = first_open;
    while (row < rows.size() && room[row] < lengths[i]) {
      row++;
    }
    if (row == rows.size()) {
      rows.emplace_back();
      room.push_back(row_length);
    }
    rows[row].push_back(i);
    room[row] -= lengths[i];
    while (first_open < rows.size() && room[first_open] == 0) {
      first_open++;
    }
  }
  return rows;
}

void count_up(std::vector<std::int32_t>& positions, int count) {
  for (std::int32_t i = 0; i < count; i++) {
    positions.push_back(i);
  }
}

}  // namespace farsight
