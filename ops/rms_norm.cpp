#include "ops/rms_norm.h"

#include <algorithm>

#include "autograd/tape.h"
#include "core/lanes.h"
#include "core/parallel.h"

namespace farsight {
namespace {

// Shares of dw: fixed, so that the sum's order is. The GPU has room for two blocks a multiprocessor.
constexpr std::int64_t kBlocks = 32;
constexpr std::int64_t kCudaBlocks = 264, kCudaRows = 8;

std::int64_t blocks_for(std::int64_t rows, Device device) {
  if (device == Device::cuda) return std::min(kCudaBlocks, (rows + kCudaRows - 1) / kCudaRows);
  return std::min(kBlocks, rows);
}

Tensor normalize(const Tensor& residual, const Tensor* x, const Tensor& w, double eps, DType y_type,
                 Tensor* sum) {
  const DType wide = accumulator_of(y_type);
  const std::int64_t D = residual.shape().last();
  check(residual.dtype() == wide && residual.dense(), "rms_norm: residual must be dense {}, got {}",
        name_of(wide), name_of(residual.dtype()));
  check(w.shape() == Shape{D} && w.dtype() == wide, "rms_norm: w must be [D={}] {}, got {} {}", D,
        name_of(wide), w.shape(), name_of(w.dtype()));
  if (x != nullptr) {
    check(x->shape() == residual.shape() && x->dense(), "rms_norm: x must be dense {}, got {}",
          residual.shape(), x->shape());
  }
  const Device device = residual.device();
  Tensor y = Tensor::empty(residual.shape(), y_type, device, "rms_norm.y");
  Tensor scale = Tensor::empty({residual.shape().rows()}, wide, device, "rms_norm.scale");
  Tensor s = residual;
  if (x != nullptr) {
    s = Tensor::empty(residual.shape(), wide, device, "residual");
    s.grad.reset();
  }
  const RmsNormArgs a{.residual = residual.ptr(),
                      .x = x ? x->ptr() : nullptr,
                      .w = w.ptr(),
                      .sum = s.ptr(),
                      .y = y.ptr(),
                      .scale = scale.ptr(),
                      .rows = residual.shape().rows(),
                      .D = D,
                      .blocks = blocks_for(residual.shape().rows(), device),
                      .eps = eps,
                      .type = y_type};
  FARSIGHT_LAUNCH(rms_norm_forward, device, a);
  const Slot x_slot = x ? Slot(*x) : Slot();
  const Tensor kept = [&] {  // the bytes of s without its Grad: a node must not own its own output
    Tensor t = s;
    t.grad.reset();
    return t;
  }();
  auto backward = [=, r_slot = Slot(residual), w_slot = Slot(w)](std::span<const Tensor> dy) {
    RmsNormArgs g = a;
    g.sum = kept.ptr();
    g.w = w.ptr();
    g.scale = scale.ptr();
    g.dy = dy[0] ? dy[0].ptr() : nullptr;
    const Tensor dsum = dy.size() > 1 ? dy[1] : Tensor();
    const Sink dresidual = r_slot.adopt(dsum);
    const Sink dx = x_slot.sink(), dw = w_slot.parameter_sink();
    g.dsum = dsum.ptr();
    g.dresidual = dresidual.ptr();
    // An adopted buffer holds dsum already: writing the whole sum over it is what is wanted.
    g.dresidual_add = dresidual.add && dresidual.ptr() != dsum.ptr();
    g.dx = dx.ptr();
    g.dx_add = dx.add;
    g.dw = dw.ptr();
    g.dw_add = dw.add;
    const Tensor partial = Tensor::empty({g.blocks, g.D}, wide, device, "rms_norm.partial");
    g.partial = partial.ptr();
    FARSIGHT_LAUNCH(rms_norm_backward, device, g);
  };
  if (x != nullptr) {
    record("rms_norm", {&y, &s}, {&residual, x, &w}, backward);
    *sum = s;
  } else {
    record("rms_norm", {&y}, {&residual, &w}, backward);
  }
  return y;
}

}  // namespace

Tensor rms_norm(const Tensor& residual, const Tensor& w, double eps, DType y_type) {
  return normalize(residual, nullptr, w, eps, y_type, nullptr);
}

Tensor add_rms_norm(const Tensor& residual, const Tensor& x, const Tensor& w, double eps,
                    Tensor* sum) {
  return normalize(residual, &x, w, eps, x.dtype(), sum);
}

namespace cpu {
namespace {

template <class T>
void forward(const RmsNormArgs& a) {
  using A = accumulator_t<T>;
  constexpr int L = kLanes<A>;
  const A* w = static_cast<const A*>(a.w);
  parallel_blocks(a.rows, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; row++) {
      const A* residual = static_cast<const A*>(a.residual) + row * a.D;
      const T* x = a.x ? static_cast<const T*>(a.x) + row * a.D : nullptr;
      A* sum = static_cast<A*>(a.sum) + row * a.D;
      T* y = static_cast<T*>(a.y) + row * a.D;
      Lanes<A> squares = {};
      for (std::int64_t d = 0; d < a.D; d += L) {
        const int count = static_cast<int>(std::min<std::int64_t>(L, a.D - d));
        Lanes<A> s = load_lanes(residual + d, count);
        if (x != nullptr) {
          s += load_lanes(x + d, count);
          store_lanes(sum + d, s, count);
        }
        squares += s * s;
      }
      const A mean = sum_lanes<A>(squares) / static_cast<A>(a.D);
      const A scale = 1 / std::sqrt(mean + static_cast<A>(a.eps));
      static_cast<A*>(a.scale)[row] = scale;
      for (std::int64_t d = 0; d < a.D; d += L) {
        const int count = static_cast<int>(std::min<std::int64_t>(L, a.D - d));
        store_lanes(y + d, load_lanes(w + d, count) * load_lanes(sum + d, count) * scale, count);
      }
    }
  });
}

template <class T>
void backward_row(const RmsNormArgs& a, std::int64_t row, accumulator_t<T>* share) {
  using A = accumulator_t<T>;
  constexpr int L = kLanes<A>;
  const A* w = static_cast<const A*>(a.w);
  const A* sum = static_cast<const A*>(a.sum) + row * a.D;
  const T* dy = a.dy ? static_cast<const T*>(a.dy) + row * a.D : nullptr;
  const A* dsum = a.dsum ? static_cast<const A*>(a.dsum) + row * a.D : nullptr;
  A* dresidual = a.dresidual ? static_cast<A*>(a.dresidual) + row * a.D : nullptr;
  T* dx = a.dx ? static_cast<T*>(a.dx) + row * a.D : nullptr;
  const A scale = static_cast<const A*>(a.scale)[row];
  Lanes<A> projection = {};
  for (std::int64_t d = 0; d < a.D && dy != nullptr; d += L) {
    const int count = static_cast<int>(std::min<std::int64_t>(L, a.D - d));
    const Lanes<A> gradient = load_lanes(dy + d, count);
    const Lanes<A> n = load_lanes(sum + d, count) * scale;
    projection += gradient * load_lanes(w + d, count) * n;
    store_lanes(share + d, load_lanes(share + d, count) + gradient * n, count);
  }
  const A mean = sum_lanes<A>(projection) / static_cast<A>(a.D);
  for (std::int64_t d = 0; d < a.D; d += L) {
    const int count = static_cast<int>(std::min<std::int64_t>(L, a.D - d));
    Lanes<A> ds = {};
    if (dy != nullptr) {
      const Lanes<A> n = load_lanes(sum + d, count) * scale;
      ds = scale * (load_lanes(dy + d, count) * load_lanes(w + d, count) - n * mean);
    }
    if (dsum != nullptr) ds += load_lanes(dsum + d, count);
    if (dx != nullptr) put_lanes(dx + d, ds, count, a.dx_add);
    if (dresidual != nullptr) put_lanes(dresidual + d, ds, count, a.dresidual_add);
  }
}

template <class T>
void backward(const RmsNormArgs& a) {
  using A = accumulator_t<T>;
  A* partial = static_cast<A*>(a.partial);
  parallel_for(a.blocks, [&](std::int64_t block) {
    A* share = partial + block * a.D;
    std::fill_n(share, a.D, A{});
    for (std::int64_t row = a.rows * block / a.blocks; row < a.rows * (block + 1) / a.blocks;
         row++) {
      backward_row<T>(a, row, share);
    }
  });
  if (a.dw == nullptr) return;
  A* dw = static_cast<A*>(a.dw);
  for (std::int64_t d = 0; d < a.D; d++) {
    A sum = a.dw_add ? dw[d] : A{};
    for (std::int64_t block = 0; block < a.blocks; block++) {
      sum += partial[block * a.D + d];
    }
    dw[d] = sum;
  }
}

}  // namespace

void rms_norm_forward(const RmsNormArgs& a) {
  with_type(a.type, [&]<class T>() { forward<T>(a); });
}
void rms_norm_backward(const RmsNormArgs& a) {
  with_type(a.type, [&]<class T>() { backward<T>(a); });
}

}  // namespace cpu
}  // namespace farsight
