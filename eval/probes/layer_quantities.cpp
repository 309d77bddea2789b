#include "eval/probes/layer_quantities.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace farsight {
namespace {

constexpr std::int64_t kDiagonal = 4;  // t - s <= 3

/// Sums over stretches of one row.
class RowSums {
 public:
  template <class T>
  RowSums(const T* row, std::int64_t count) : sums_(static_cast<std::size_t>(count) + 1) {
    for (std::int64_t s = 0; s < count; s++) {
      const auto at = static_cast<std::size_t>(s);
      sums_[at + 1] = sums_[at] + static_cast<double>(static_cast<accumulator_t<T>>(row[s]));
    }
  }
  double all() const { return sums_.back(); }
  /// Of [begin, end), as far as the row goes.
  double of(std::int64_t begin, std::int64_t end) const {
    const auto last = static_cast<std::int64_t>(sums_.size()) - 1;
    const auto at = [&](std::int64_t s) {
      return sums_[static_cast<std::size_t>(std::clamp<std::int64_t>(s, 0, last))];
    };
    return at(end) - at(begin);
  }
  double of(const std::vector<TokenSpan>& spans) const {
    double sum = 0;
    for (const TokenSpan& span : spans) {
      sum += of(span.begin, span.end);
    }
    return sum;
  }

 private:
  std::vector<double> sums_;
};

/// Whether two stored pairs begin with the same tokens, up to their values.
bool same_key(const Example& example, const PairPlaces& a, const PairPlaces& b) {
  const int length = a.pair_value - a.pair_key;
  if (length <= 0 || b.pair_value - b.pair_key != length) return false;
  const auto from = example.tokens.begin();
  return std::equal(from + a.pair_key, from + a.pair_value, from + b.pair_key);
}

}  // namespace

ExamplePlaces places_of(const Example& example) {
  ExamplePlaces places{
      .length = static_cast<int>(example.tokens.size()), .pairs = {}, .queries = {}};
  std::vector<int> rows, value_tokens;  // of each pair that is asked for
  for (const Label& label : example.labels) {
    if (label.pair == kNoPair) continue;
    const auto pair = static_cast<std::size_t>(label.pair);
    check(pair < example.pairs.size(), "places_of: there is no pair {}", label.pair);
    if (pair >= rows.size()) {
      rows.resize(pair + 1, -1);
      value_tokens.resize(pair + 1, 0);
    }
    if (rows[pair] < 0) rows[pair] = label.position - 1;
    value_tokens[pair]++;
  }
  if (rows.empty()) return places;
  for (std::size_t i = 0; i < example.pairs.size(); i++) {
    const PairPlaces& at = example.pairs[i];
    // What nobody asks for is as long as the others.
    places.pairs.push_back({at.pair_key, at.pair_value + value_tokens[i % value_tokens.size()]});
  }
  for (std::size_t pair = 0; pair < rows.size(); pair++) {
    if (rows[pair] < 0) continue;
    QueryPlace query{.row = rows[pair], .own = {}};
    for (std::size_t i = 0; i < example.pairs.size(); i++) {
      if (i == pair || same_key(example, example.pairs[i], example.pairs[pair])) {
        query.own.push_back(places.pairs[i]);
      }
    }
    places.queries.push_back(query);
  }
  std::sort(places.queries.begin(), places.queries.end(),
            [](const QueryPlace& a, const QueryPlace& b) { return a.row < b.row; });
  return places;
}

void LayerTally::add(const Tensor& matrix, std::int64_t first, const ExamplePlaces& places) {
  check(matrix.shape().n == 2 && matrix.dim(1) == places.length,
        "layer_quantities: the matrix must be [rows, T={}], got {}", places.length, matrix.shape());
  const std::int64_t quarter = places.length / 8;
  with_type(matrix.dtype(), [&]<class T>() {
    std::size_t query = 0;
    for (std::int64_t r = 0; r < matrix.dim(0); r++) {
      const std::int64_t t = first + r;
      const RowSums row(matrix.data<T>() + r * matrix.row_stride(), t + 1);
      while (query < places.queries.size() && places.queries[query].row < t) {
        query++;
      }
      if (!(row.all() > 0)) continue;
      sums_.diagonal_share += row.of(t + 1 - kDiagonal, t + 1) / row.all();
      rows_++;
      for (; query < places.queries.size() && places.queries[query].row == t; query++) {
        const std::vector<TokenSpan>& own = places.queries[query].own;
        sums_.selectivity += row.of(own) / row.all();
        sums_.pair_share += row.of(places.pairs) / row.all();
        for (std::size_t i = 0; i < 4; i++) {
          const auto begin = static_cast<std::int64_t>(i) * quarter;
          sums_.position_bias[i] += row.of(begin, begin + quarter) / row.all();
        }
        for (const TokenSpan& span : own) {
          sums_.uniform += static_cast<double>(span.end - span.begin) / static_cast<double>(t + 1);
        }
        queries_++;
      }
    }
  });
}

LayerQuantities LayerTally::means() const {
  const double queries = static_cast<double>(std::max<std::int64_t>(1, queries_));
  LayerQuantities means = sums_;
  means.diagonal_share /= static_cast<double>(std::max<std::int64_t>(1, rows_));
  for (double* sum : {&means.selectivity, &means.pair_share, &means.uniform}) {
    *sum /= queries;
  }
  for (double& sum : means.position_bias) {
    sum /= queries;
  }
  return means;
}

LayerQuantities layer_quantities(const Tensor& matrix, const ExamplePlaces& places) {
  LayerTally tally;
  tally.add(matrix, 0, places);
  return tally.means();
}

std::vector<std::size_t> ranking(const std::vector<LayerQuantities>& layers) {
  std::vector<std::size_t> order(layers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return layers[a].selectivity > layers[b].selectivity;
  });
  return order;
}

}  // namespace farsight
