// Sums in an order that is fixed by how many terms there are: the result depends neither on who sums
// nor on when. Of eight terms ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)); where N is no power of two,
// what lacks its other half is carried up as it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace farsight {

/// Element by element into terms[0]; the others are left with partial sums.
template <class T>
void tree_sum(std::span<T* const> terms, std::int64_t count) {
  for (std::size_t stride = 1; stride < terms.size(); stride *= 2) {
    for (std::size_t i = 0; i + stride < terms.size(); i += 2 * stride) {
      T* to = terms[i];
      const T* from = terms[i + stride];
      for (std::int64_t k = 0; k < count; k++) {
        to[k] += from[k];
      }
    }
  }
}

}  // namespace farsight
