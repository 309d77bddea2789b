#include "ops/layer_norm.h"

#include <algorithm>

#include "autograd/tape.h"

namespace farsight {
namespace {

// Shares of dw and db: fixed, so that the sums' order is.
constexpr std::int64_t kBlocks = 32;
constexpr std::int64_t kCudaBlocks = 264, kCudaRows = 8;

std::int64_t blocks_for(std::int64_t rows, Device device) {
  if (device == Device::cuda) return std::min(kCudaBlocks, (rows + kCudaRows - 1) / kCudaRows);
  return std::min(kBlocks, rows);
}

void check_affine(const Affine& affine, std::int64_t D, DType wide) {
  for (const Tensor* t : {&affine.w, &affine.b}) {
    check(t->shape() == Shape{D} && t->dtype() == wide,
          "layer_norm: w and b must be [D={}] {}, got {} {}", D, name_of(wide), t->shape(),
          name_of(t->dtype()));
  }
}

void check_inputs(const Tensor& residual, const Addends* x, DType y_type) {
  const DType wide = accumulator_of(y_type);
  check(residual.dtype() == wide && residual.dense(),
        "layer_norm: residual must be dense {}, got {}", name_of(wide), name_of(residual.dtype()));
  if (x == nullptr) return;
  for (const Tensor* t : {&x->first, x->second}) {
    check(t == nullptr || (t->shape() == residual.shape() && t->dense() && t->dtype() == y_type),
          "layer_norm: x must be dense {} {}, got {} {}", residual.shape(), name_of(y_type),
          t ? t->shape() : Shape(), name_of(t ? t->dtype() : y_type));
  }
}

/// The bytes of t without its Grad: a node must not own its own output.
Tensor bytes_of(const Tensor& t) {
  Tensor bytes = t;
  bytes.grad.reset();
  return bytes;
}

/// With one output, that of `second` is empty.
std::array<Tensor, 2> normalize(const Tensor& residual, const Addends* x, const Affine& first,
                                const Affine* second, double eps, DType y_type, Tensor* sum) {
  const DType wide = accumulator_of(y_type);
  const std::int64_t D = residual.shape().last(), rows = residual.shape().rows();
  check_inputs(residual, x, y_type);
  check_affine(first, D, wide);
  if (second != nullptr) check_affine(*second, D, wide);

  const Device device = residual.device();
  const int outputs = second ? 2 : 1;
  std::array<Tensor, 2> y;
  for (int i = 0; i < outputs; i++) {
    y[static_cast<std::size_t>(i)] =
        Tensor::empty(residual.shape(), y_type, device, "layer_norm.y");
  }
  const Tensor mean = Tensor::empty({rows}, wide, device, "layer_norm.mean");
  const Tensor scale = Tensor::empty({rows}, wide, device, "layer_norm.scale");
  Tensor s = x ? Tensor::empty(residual.shape(), wide, device, "residual") : residual;
  const Tensor* const x1 = x ? x->second : nullptr;
  const LayerNormArgs a{.residual = residual.ptr(),
                        .x = {x ? x->first.ptr() : nullptr, x1 ? x1->ptr() : nullptr},
                        .w = {first.w.ptr(), second ? second->w.ptr() : nullptr},
                        .b = {first.b.ptr(), second ? second->b.ptr() : nullptr},
                        .sum = s.ptr(),
                        .y = {y[0].ptr(), y[1].ptr()},
                        .mean = mean.ptr(),
                        .scale = scale.ptr(),
                        .rows = rows,
                        .D = D,
                        .blocks = blocks_for(rows, device),
                        .outputs = outputs,
                        .eps = eps,
                        .type = y_type};
  FARSIGHT_LAUNCH(layer_norm_forward, device, a);

  const auto slot_of = [](const Tensor* t) { return t ? Slot(*t) : Slot(); };
  const std::array<Slot, 2> x_slots = {slot_of(x ? &x->first : nullptr), slot_of(x1)};
  const std::array<Slot, 2> w_slots = {Slot(first.w), slot_of(second ? &second->w : nullptr)};
  const std::array<Slot, 2> b_slots = {Slot(first.b), slot_of(second ? &second->b : nullptr)};
  auto backward = [=, kept = bytes_of(s), w0 = bytes_of(first.w),
                   w1 = second ? bytes_of(second->w) : Tensor(),
                   r_slot = Slot(residual)](std::span<const Tensor> dy) {
    LayerNormArgs g = a;
    g.sum = kept.ptr();
    g.w[0] = w0.ptr();
    g.w[1] = w1.ptr();
    g.mean = mean.ptr();
    g.scale = scale.ptr();
    const std::size_t count = static_cast<std::size_t>(outputs);
    const Tensor dsum = dy.size() > count ? dy[count] : Tensor();
    const Sink dresidual = r_slot.adopt(dsum);
    g.dsum = dsum.ptr();
    g.dresidual = dresidual.ptr();
    // An adopted buffer holds dsum already: writing the whole sum over it is what is wanted.
    g.dresidual_add = dresidual.add && dresidual.ptr() != dsum.ptr();
    std::array<Sink, 2> dx, dw, db;
    for (std::size_t i = 0; i < 2; i++) {
      g.dy[i] = i < count ? dy[i].ptr() : nullptr;
      dx[i] = x_slots[i].sink();
      dw[i] = w_slots[i].parameter_sink();
      db[i] = b_slots[i].parameter_sink();
      g.dx[i] = dx[i].ptr();
      g.dx_add[i] = dx[i].add;
      g.dw[i] = dw[i].ptr();
      g.dw_add[i] = dw[i].add;
      g.db[i] = db[i].ptr();
      g.db_add[i] = db[i].add;
    }
    const Tensor partial =
        Tensor::empty({g.blocks, 2 * outputs, D}, wide, device, "layer_norm.partial");
    g.partial = partial.ptr();
    FARSIGHT_LAUNCH(layer_norm_backward, device, g);
  };
  const Tensor* const w1 = second ? &second->w : nullptr;
  const Tensor* const b1 = second ? &second->b : nullptr;
  const Tensor* const x0 = x ? &x->first : nullptr;
  if (second != nullptr && x != nullptr) {
    record("layer_norm", {&y[0], &y[1], &s}, {&residual, x0, x1, &first.w, &first.b, w1, b1},
           backward);
  } else if (second != nullptr) {
    record("layer_norm", {&y[0], &y[1]}, {&residual, &first.w, &first.b, w1, b1}, backward);
  } else if (x != nullptr) {
    record("layer_norm", {&y[0], &s}, {&residual, x0, x1, &first.w, &first.b}, backward);
  } else {
    record("layer_norm", {&y[0]}, {&residual, &first.w, &first.b}, backward);
  }
  if (sum != nullptr) *sum = s;
  return y;
}

}  // namespace

Tensor layer_norm(const Tensor& residual, const Affine& affine, double eps, DType y_type) {
  return normalize(residual, nullptr, affine, nullptr, eps, y_type, nullptr)[0];
}

std::array<Tensor, 2> layer_norm_pair(const Tensor& residual, const Affine& first,
                                      const Affine& second, double eps, DType y_type) {
  return normalize(residual, nullptr, first, &second, eps, y_type, nullptr);
}

Tensor add_layer_norm(const Tensor& residual, const Addends& x, const Affine& affine, double eps,
                      Tensor* sum) {
  return normalize(residual, &x, affine, nullptr, eps, x.first.dtype(), sum)[0];
}

std::array<Tensor, 2> add_layer_norm_pair(const Tensor& residual, const Addends& x,
                                          const Affine& first, const Affine& second, double eps,
                                          Tensor* sum) {
  return normalize(residual, &x, first, &second, eps, x.first.dtype(), sum);
}

}  // namespace farsight
