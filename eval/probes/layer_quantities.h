// What a layer's matrix says about recall, in numbers (docs/probes.md). M is the mean over channels
// of |W| (eval/probes/attention_matrix.h), and
//
//   mass_t(S) = sum of M[t,s] over the positions s in S, over the sum of M[t,s] over all s <= t
//
// of a query's row t: the position whose logits give the first token of its value. Without separators
// that is its key, with them the token between key and value.
//
//   selectivity     mean over queries of mass_t(the tokens of the pair that is asked for)
//   pair share      mean over queries of mass_t(the tokens of all pairs in the context)
//   position bias   mean over queries of mass_t(the i-th quarter of the first half), i = 1 ... 4
//   diagonal share  mean over all rows t of mass_t(t-3 ... t)
//   uniform         mean over queries of the selectivity of a row that is the same everywhere: own
//                   tokens / (t + 1). What chance looks like.
//
// A pair's tokens are those from its key to the end of its value. Shares, from 0 to 1. Layers are
// ranked by selectivity.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "data/mqar.h"

namespace farsight {

/// Positions [begin, end).
struct TokenSpan {
  int begin = 0, end = 0;
  friend bool operator==(const TokenSpan&, const TokenSpan&) = default;
};

struct QueryPlace {
  int row = 0;
  std::vector<TokenSpan> own;  ///< every stored pair whose key is the one that is asked for
};

/// What the quantities need to know of an example.
struct ExamplePlaces {
  int length = 0;
  std::vector<TokenSpan> pairs;     ///< all that are stored, those nobody asks for too
  std::vector<QueryPlace> queries;  ///< in the order of the labels
};
ExamplePlaces places_of(const Example& example);

struct LayerQuantities {
  double selectivity = 0, pair_share = 0, diagonal_share = 0, uniform = 0;
  std::array<double, 4> position_bias{};
};

/// Sums over rows and examples.
class LayerTally {
 public:
  /// Rows first ... first + rows - 1 of a matrix of an example: [rows, T] f32 or f64 on the CPU, not
  /// negative. Rows of zeros say nothing and are left out.
  void add(const Tensor& matrix, std::int64_t first, const ExamplePlaces& places);
  LayerQuantities means() const;

 private:
  LayerQuantities sums_;
  std::int64_t queries_ = 0, rows_ = 0;
};

/// Of one example's whole matrix [T, T].
LayerQuantities layer_quantities(const Tensor& matrix, const ExamplePlaces& places);

/// Layers from the most selective on; of equal ones, the earlier first.
std::vector<std::size_t> ranking(const std::vector<LayerQuantities>& layers);

}  // namespace farsight
