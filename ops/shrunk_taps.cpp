#include "ops/shrunk_taps.h"

#include <algorithm>
#include <cmath>

#include "autograd/tape.h"
#include "core/parallel.h"

namespace farsight {

Tensor shrunk_taps(const Tensor& k, const Tensor& skip, double threshold) {
  check(k.shape().n == 2 && k.dense() && k.dtype() == accumulator_of(k.dtype()),
        "shrunk_taps: k must be dense [D, K] f32 or f64, got {} {}", k.shape(), name_of(k.dtype()));
  check(skip.shape() == Shape{k.dim(0)} && skip.dtype() == k.dtype(),
        "shrunk_taps: skip must be [D={}] {}, got {} {}", k.dim(0), name_of(k.dtype()),
        skip.shape(), name_of(skip.dtype()));
  check(threshold >= 0, "shrunk_taps: threshold must not be negative, got {}", threshold);
  const Device device = k.device();
  Tensor w = Tensor::empty(k.shape(), k.dtype(), device, "shrunk_taps.w");
  const ShrunkTapsArgs a{.k = k.ptr(),
                         .skip = skip.ptr(),
                         .w = w.ptr(),
                         .D = k.dim(0),
                         .K = k.dim(1),
                         .threshold = threshold,
                         .type = k.dtype()};
  FARSIGHT_LAUNCH(shrunk_taps_forward, device, a);
  record("shrunk_taps", {&w}, {&k, &skip},
         [a, k, device, k_slot = Slot(k), skip_slot = Slot(skip)](std::span<const Tensor> dw) {
           const Sink dk = k_slot.sink(), dskip = skip_slot.sink();
           const Tensor dense = dw[0].contiguous();
           ShrunkTapsArgs g = a;
           g.k = k.ptr();  // keeps k alive until here
           g.dw = dense.ptr();
           g.dk = dk.ptr();
           g.dk_add = dk.add;
           g.dskip = dskip.ptr();
           g.dskip_add = dskip.add;
           FARSIGHT_LAUNCH(shrunk_taps_backward, device, g);
         });
  return w;
}

namespace cpu {
namespace {

template <class A>
void forward(const ShrunkTapsArgs& a) {
  const A *k = static_cast<const A*>(a.k), *skip = static_cast<const A*>(a.skip);
  A* w = static_cast<A*>(a.w);
  const A threshold = static_cast<A>(a.threshold);
  parallel_blocks(a.D, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t d = begin; d < end; d++) {
      for (std::int64_t l = 0; l < a.K; l++) {
        const A x = k[d * a.K + l];
        const A shrunk = std::copysign(std::max(std::abs(x) - threshold, A{0}), x);
        w[d * a.K + a.K - 1 - l] = l == 0 ? shrunk + skip[d] : shrunk;
      }
    }
  });
}

template <class A>
void backward(const ShrunkTapsArgs& a) {
  const A *k = static_cast<const A*>(a.k), *dw = static_cast<const A*>(a.dw);
  A *dk = static_cast<A*>(a.dk), *dskip = static_cast<A*>(a.dskip);
  const A threshold = static_cast<A>(a.threshold);
  parallel_blocks(a.D, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t d = begin; d < end; d++) {
      for (std::int64_t l = 0; dk != nullptr && l < a.K; l++) {
        const A passed = std::abs(k[d * a.K + l]) > threshold ? dw[d * a.K + a.K - 1 - l] : A{0};
        A& to = dk[d * a.K + l];
        to = a.dk_add ? to + passed : passed;
      }
      if (dskip == nullptr) continue;
      const A current = dw[d * a.K + a.K - 1];
      dskip[d] = a.dskip_add ? dskip[d] + current : current;
    }
  });
}

}  // namespace

void shrunk_taps_forward(const ShrunkTapsArgs& a) {
  a.type == DType::f64 ? forward<double>(a) : forward<float>(a);
}
void shrunk_taps_backward(const ShrunkTapsArgs& a) {
  a.type == DType::f64 ? backward<double>(a) : backward<float>(a);
}

}  // namespace cpu
}  // namespace farsight
