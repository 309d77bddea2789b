// On the CPU: a row at a time, in vectors of lanes. The gradients of w and b are summed in a fixed number
// of shares of the rows, and these in order.
#include <algorithm>
#include <cmath>

#include "core/lanes.h"
#include "core/parallel.h"
#include "core/tensor.h"
#include "ops/layer_norm.h"

namespace farsight::cpu {
namespace {

/// Calls body(d, count) for the vectors of a row.
template <class A, class Body>
[[gnu::always_inline]] inline void for_each_vector(std::int64_t D, const Body& body) {
  for (std::int64_t d = 0; d < D; d += kLanes<A>) {
    body(d, static_cast<int>(std::min<std::int64_t>(kLanes<A>, D - d)));
  }
}

template <class T>
const T* row_of(const void* base, std::int64_t row, std::int64_t D) {
  return base ? static_cast<const T*>(base) + row * D : nullptr;
}
template <class T>
T* row_of(void* base, std::int64_t row, std::int64_t D) {
  return base ? static_cast<T*>(base) + row * D : nullptr;
}

template <class T>
void forward_row(const LayerNormArgs& a, std::int64_t row) {
  using A = accumulator_t<T>;
  const A* residual = row_of<A>(a.residual, row, a.D);
  const T *x0 = row_of<T>(a.x[0], row, a.D), *x1 = row_of<T>(a.x[1], row, a.D);
  A* sum = row_of<A>(a.sum, row, a.D);
  Lanes<A> total = {};
  for_each_vector<A>(a.D, [&](std::int64_t d, int count) {
    Lanes<A> s = load_lanes(residual + d, count);
    if (x0 != nullptr) s += load_lanes(x0 + d, count);
    if (x1 != nullptr) s += load_lanes(x1 + d, count);
    if (x0 != nullptr) store_lanes(sum + d, s, count);
    total += s;
  });
  const A mean = sum_lanes<A>(total) / static_cast<A>(a.D);
  // From the deviations, not from the mean square: nothing cancels when the mean is large.
  Lanes<A> squares = {};
  A rest = 0;
  for_each_vector<A>(a.D, [&](std::int64_t d, int count) {
    if (count == kLanes<A>) {
      const Lanes<A> deviation = load_lanes(sum + d) - mean;
      squares += deviation * deviation;
    } else {
      for (int i = 0; i < count; i++) {
        rest += (sum[d + i] - mean) * (sum[d + i] - mean);
      }
    }
  });
  const A variance = (sum_lanes<A>(squares) + rest) / static_cast<A>(a.D);
  const A scale = 1 / std::sqrt(variance + static_cast<A>(a.eps));
  static_cast<A*>(a.mean)[row] = mean;
  static_cast<A*>(a.scale)[row] = scale;
  for (int i = 0; i < a.outputs; i++) {
    const A *w = static_cast<const A*>(a.w[i]), *b = static_cast<const A*>(a.b[i]);
    T* y = row_of<T>(a.y[i], row, a.D);
    for_each_vector<A>(a.D, [&](std::int64_t d, int count) {
      const Lanes<A> n = (load_lanes(sum + d, count) - mean) * scale;
      store_lanes(y + d, load_lanes(w + d, count) * n + load_lanes(b + d, count), count);
    });
  }
}

/// share: [2 * outputs, D].
template <class T>
void backward_row(const LayerNormArgs& a, std::int64_t row, accumulator_t<T>* share) {
  using A = accumulator_t<T>;
  const A* sum = row_of<A>(a.sum, row, a.D);
  const A mean = static_cast<const A*>(a.mean)[row], scale = static_cast<const A*>(a.scale)[row];
  const A* dsum = row_of<A>(a.dsum, row, a.D);
  const auto gradient_of_n = [&](std::int64_t d, int count) {
    Lanes<A> g = {};
    for (int i = 0; i < a.outputs; i++) {
      if (a.dy[i] == nullptr) continue;
      g += load_lanes(row_of<T>(a.dy[i], row, a.D) + d, count) *
           load_lanes(static_cast<const A*>(a.w[i]) + d, count);
    }
    return g;
  };
  Lanes<A> total = {}, projection = {};
  for_each_vector<A>(a.D, [&](std::int64_t d, int count) {
    const Lanes<A> n = (load_lanes(sum + d, count) - mean) * scale;
    for (int i = 0; i < a.outputs; i++) {
      if (a.dy[i] == nullptr) continue;
      const Lanes<A> dy = load_lanes(row_of<T>(a.dy[i], row, a.D) + d, count);
      A* dw = share + i * a.D + d;
      A* db = share + (a.outputs + i) * a.D + d;
      store_lanes(dw, load_lanes(dw, count) + dy * n, count);
      store_lanes(db, load_lanes(db, count) + dy, count);
    }
    const Lanes<A> g = gradient_of_n(d, count);  // zero in the lanes beyond D
    total += g;
    projection += g * n;
  });
  const A mean_g = sum_lanes<A>(total) / static_cast<A>(a.D);
  const A mean_gn = sum_lanes<A>(projection) / static_cast<A>(a.D);
  for_each_vector<A>(a.D, [&](std::int64_t d, int count) {
    const Lanes<A> n = (load_lanes(sum + d, count) - mean) * scale;
    Lanes<A> ds = scale * (gradient_of_n(d, count) - mean_g - n * mean_gn);
    if (dsum != nullptr) ds += load_lanes(dsum + d, count);
    for (int i = 0; i < 2; i++) {
      if (a.dx[i] != nullptr) {
        put_lanes(row_of<T>(a.dx[i], row, a.D) + d, ds, count, a.dx_add[i]);
      }
    }
    if (a.dresidual != nullptr) {
      put_lanes(row_of<A>(a.dresidual, row, a.D) + d, ds, count, a.dresidual_add);
    }
  });
}

template <class T>
void backward(const LayerNormArgs& a) {
  using A = accumulator_t<T>;
  A* partial = static_cast<A*>(a.partial);
  const std::int64_t width = 2 * a.outputs * a.D;
  parallel_for(a.blocks, [&](std::int64_t block) {
    A* share = partial + block * width;
    std::fill_n(share, width, A{});
    for (std::int64_t row = a.rows * block / a.blocks; row < a.rows * (block + 1) / a.blocks;
         row++) {
      backward_row<T>(a, row, share);
    }
  });
  const auto add_up = [&](void* gradient, bool add, std::int64_t first) {
    if (gradient == nullptr) return;
    A* to = static_cast<A*>(gradient);
    for (std::int64_t d = 0; d < a.D; d++) {
      A sum = add ? to[d] : A{};
      for (std::int64_t block = 0; block < a.blocks; block++) {
        sum += partial[block * width + first + d];
      }
      to[d] = sum;
    }
  };
  for (int i = 0; i < a.outputs; i++) {
    add_up(a.dw[i], a.dw_add[i], i * a.D);
    add_up(a.db[i], a.db_add[i], (a.outputs + i) * a.D);
  }
}

}  // namespace

void layer_norm_forward(const LayerNormArgs& a) {
  with_type(a.type, [&]<class T>() {
    parallel_blocks(a.rows, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; row++) {
        forward_row<T>(a, row);
      }
    });
  });
}
void layer_norm_backward(const LayerNormArgs& a) {
  with_type(a.type, [&]<class T>() { backward<T>(a); });
}

}  // namespace farsight::cpu
