// Longer sequences and wider rows for the operations on a GPU than the CPU's own tests need.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <numeric>
#include <string>
#include <vector>

#include "tests/op_cases/op_case.h"

namespace farsight {

/// The table's sizes, and those where kernels of tiles, chunks and vectors go wrong.
inline std::vector<Sizes> gpu_sizes(const OpCase& c) {
  // Under a sanitizer, which takes a thousand times as long (cmake/sanitize_gpu.sh).
  const bool tiny = std::getenv("FARSIGHT_TEST_TINY") != nullptr;
  std::vector<Sizes> all = c.sizes;
  using Names = std::vector<std::string>;
  const Names names(c.size_names.begin(), c.size_names.end());
  const auto add = [&](std::initializer_list<Sizes> more) {
    all.insert(all.end(), more.begin(), more.end());
  };
  if (names == Names{"B", "T", "D", "N"}) {
    add({{2, 63, 40, 16},
         {1, 65, 33, 16},
         {3, 131, 136, 16},
         {1, 1000, 24, 16},
         {1, 2049, 8, 16},
         {2, 70, 40, 32},
         {1, 131, 20, 64},
         {2, 64, 256, 16},
         {1, 66, 9, 5},
         {2, 48, 16, 33}});
  } else if (names == Names{"B", "T", "D", "K"}) {
    add({{2, 63, 40, 4},
         {1, 65, 33, 4},
         {3, 131, 136, 4},
         {1, 1000, 24, 4},
         {1, 2049, 8, 4},
         {2, 131, 40, 3},
         {1, 65, 33, 3},
         {3, 70, 24, 2},
         {1, 9, 8, 1},
         {2, 131, 40, 31},
         {1, 300, 24, 128},
         {1, 70, 16, 128},
         {3, 400, 48, 128},
         {5, 129, 19, 200},
         {1, 700, 8, 512},
         {1, 300, 8, 600}});
  } else if (names == Names{"B", "T", "channels", "taps"}) {
    add({{9, 63, 16, 63},
         {2, 65, 33, 65},
         {17, 128, 32, 128},
         {5, 131, 48, 140},
         {9, 250, 16, 250},
         {3, 300, 40, 300},
         {3, 500, 16, 500},
         {2, 700, 16, 100},
         {2, 1000, 32, 1000},
         {3, 2048, 16, 2048},
         {1, 2049, 8, 2049},
         {1, 2049, 2100, 3}});  // more channels than are transformed at a time
  } else if (names == Names{"B", "T", "S", "D"}) {
    add({{2, 63, 63, 40}, {3, 65, 65, 33}, {1, 131, 131, 24}, {1, 1000, 1000, 16}});
  } else if (names == Names{"rows", "D"}) {
    add({{3, 768}, {2, 1536}, {1000, 36}, {131, 1001}});
  } else if (names == Names{"R", "D", "V"}) {
    add({{33, 64, 5000}, {5, 48, 20001}, {1000, 16, 512}});
  } else if (names == Names{"B", "T", "K", "N"}) {
    add({{2, 131, 768, 80}, {4, 65, 48, 1536}, {1, 1000, 136, 264}});
  } else if (const auto at = std::ranges::find(names, "T"); at != names.end()) {
    for (std::int64_t T : tiny ? std::vector<std::int64_t>{65}
                               : std::vector<std::int64_t>{63, 65, 131, 1000, 2049}) {
      Sizes longer = c.sizes[std::min<std::size_t>(1, c.sizes.size() - 1)];
      longer[static_cast<std::size_t>(at - names.begin())] = T;
      all.push_back(longer);
    }
  }
  if (tiny) {
    const auto time = std::ranges::find(names, "T") - names.begin();
    std::erase_if(all, [time](const Sizes& sizes) {
      // racecheck takes minutes for a sequence that one warp walks alone.
      if (time < std::ssize(sizes) && sizes[static_cast<std::size_t>(time)] > 1000) return true;
      const auto end =
          sizes.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(3, sizes.size()));
      const auto product =
          std::accumulate(sizes.begin(), end, std::int64_t{1}, std::multiplies<>());
      return product > 20'000;
    });
  }
  return all;
}

}  // namespace farsight
