#include "ops/adamw.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/lanes.h"
#include "core/parallel.h"
#include "core/tensor.h"

namespace farsight::cpu {
namespace {

constexpr std::int64_t kBlock = 65536;

template <class A>
double squares_of(const GradientNormArgs& a) {
  const A* g = static_cast<const A*>(a.g);
  std::vector<double> shares(static_cast<std::size_t>((a.count + kBlock - 1) / kBlock));
  parallel_blocks(a.count, kBlock, [&](std::int64_t begin, std::int64_t end) {
    // Eight partial sums: one alone would wait for each addition.
    double sums[8] = {};
    for (std::int64_t i = begin; i < end; i++) {
      const double x = static_cast<double>(g[i]);
      sums[i % 8] += x * x;
    }
    double sum = 0;
    for (double share : sums) {
      sum += share;
    }
    shares[static_cast<std::size_t>(begin / kBlock)] = sum;
  });
  double total = 0;
  for (double share : shares) {
    total += share;
  }
  return total;
}

template <class V>
V square_root(V x) {
  for (std::size_t i = 0; i < sizeof(V) / sizeof(x[0]); i++) {
    x[i] = std::sqrt(x[i]);
  }
  return x;
}

/// What an operation on bf16 storage gives; without it, x.
template <bool kBf16, class V>
V stored(V x) {
  if constexpr (kBf16) {
    for (std::size_t i = 0; i < sizeof(V) / sizeof(x[0]); i++) {
      x[i] = static_cast<float>(bf16(static_cast<float>(x[i])));
    }
  }
  return x;
}

template <class A, bool kBf16>
void step(const AdamWArgs& a) {
  constexpr int L = kLanes<A>;
  static_assert(AdamWArgs::kDecayGroup % L == 0);
  if (a.norm[1] != 0) return;
  const A rate = static_cast<A>(a.schedule[0]), shrink = static_cast<A>(a.schedule[1]);
  const A beta1 = static_cast<A>(a.beta1), beta2 = static_cast<A>(a.beta2);
  const bool clips = a.norm_limit > 0 && a.norm[0] > a.norm_limit;
  const A eps = static_cast<A>(a.eps),
          factor = static_cast<A>(clips ? a.norm_limit / a.norm[0] : 1);
  const A limit = static_cast<A>(a.value_limit);
  A *p = static_cast<A*>(a.p), *m = static_cast<A*>(a.m), *v = static_cast<A*>(a.v);
  const A* g = static_cast<const A*>(a.g);
  parallel_blocks(a.count, kBlock, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i += L) {
      const int count = static_cast<int>(std::min<std::int64_t>(L, end - i));
      Lanes<A> gradient = stored<kBf16>(stored<kBf16>(load_lanes(g + i, count)) * factor);
      if (limit > 0) {
        gradient = gradient > limit ? broadcast(limit) : gradient;
        gradient = gradient < -limit ? broadcast(-limit) : gradient;
      }
      const Lanes<A> mean =
          stored<kBf16>(stored<kBf16>(beta1 * load_lanes(m + i, count)) + (1 - beta1) * gradient);
      const Lanes<A> square = stored<kBf16>(stored<kBf16>(beta2 * load_lanes(v + i, count)) +
                                            (1 - beta2) * gradient * gradient);
      const Lanes<A> root = stored<kBf16>(stored<kBf16>(square_root(square)) + eps);
      Lanes<A> value = load_lanes(p + i, count);
      value = stored<kBf16>(value - rate * mean / root);
      if (a.decays == nullptr || a.decays[i / AdamWArgs::kDecayGroup] != 0) {
        value = stored<kBf16>(value - shrink * value);
      }
      store_lanes(m + i, mean, count);
      store_lanes(v + i, square, count);
      store_lanes(p + i, value, count);
      if (a.operands == nullptr) continue;
      const std::int64_t group = a.operand_groups[i / AdamWArgs::kDecayGroup];
      if (group < 0) continue;
      const std::int64_t at = group * AdamWArgs::kDecayGroup + i % AdamWArgs::kDecayGroup;
      for (int lane = 0; lane < count; lane++) {
        static_cast<bf16*>(a.operands)[at + lane] = bf16(static_cast<float>(value[lane]));
      }
    }
  });
}

}  // namespace

void gradient_norm(const GradientNormArgs& a) {
  using Part = GradientNormArgs::Part;
  double squares = 0;
  if (a.part == Part::root) {
    for (int i = 0; i < GradientNormArgs::kShares; i++)
      squares += a.shares[i];
  } else {
    squares = a.type == DType::f64 ? squares_of<double>(a) : squares_of<float>(a);
  }
  if (a.part == Part::squares) {
    std::fill_n(a.shares, GradientNormArgs::kShares, 0.0);
    a.shares[0] = squares;
    return;
  }
  a.norm[0] = std::sqrt(squares);
  const bool bad_loss = a.loss != nullptr && !std::isfinite(*a.loss);
  if (!std::isfinite(a.norm[0]) || bad_loss) a.norm[1] = 1;
}

void adamw_step(const AdamWArgs& a) {
  if (a.bf16_storage) {
    a.type == DType::f64 ? step<double, true>(a) : step<float, true>(a);
  } else {
    a.type == DType::f64 ? step<double, false>(a) : step<float, false>(a);
  }
}

}  // namespace farsight::cpu
