#include "ops/causal_conv1d.h"

#include <algorithm>

#include "autograd/tape.h"

namespace farsight {
namespace {

constexpr std::int64_t kShares = 8;  // of the batch, for dw and dbias: fixed, so the sum's order is
constexpr std::int64_t kLongKernel = 8;  // from here on m is kept rather than computed again

/// Shares of the batch, or on the GPU of the tiles of time, for dw. Two blocks of a GPU's kernels fit a
/// multiprocessor, of 256 channels (short kernels) or 16: there should be as many as find room at
/// once, or, where a share is of whole rows, some times that.
std::int64_t shares_for(std::int64_t B, std::int64_t T, std::int64_t D, std::int64_t K,
                        Device device) {
  if (device != Device::cuda) return std::min(kShares, B);
  constexpr std::int64_t kTileSteps = 32, kBlockChannels = 256, kBlocks = 264, kLongChannels = 16;
  const std::int64_t tiles = B * ((T + kTileSteps - 1) / kTileSteps);
  if (K > kLongKernel) {
    const std::int64_t blocks = (D + kLongChannels - 1) / kLongChannels;
    return std::min(
        std::clamp<std::int64_t>(4 * kBlocks / std::max<std::int64_t>(blocks, 1), 1, 32),
        (tiles + 7) / 8);
  }
  const std::int64_t columns = (D + kBlockChannels - 1) / kBlockChannels;
  return std::min(std::max<std::int64_t>(kBlocks / std::max<std::int64_t>(columns, 1), 1),
                  (tiles + 3) / 4);
}

void check_shapes(const Tensor& x, const Tensor& w, const Tensor& bias, std::int64_t K,
                  const Conv1dOptions& options) {
  check(x.shape().n == 3, "causal_conv1d: x must be [B, T, D], got {}", x.shape());
  const std::int64_t B = x.dim(0), T = x.dim(1), D = x.dim(2);
  const DType wide = accumulator_of(x.dtype());
  check(w.shape().n >= 2 && w.elements() == D * K && w.dim(0) == D && w.dense(),
        "causal_conv1d: w must be [D={}, K] or [D={}, 1, K], got {}", D, D, w.shape());
  check(bias.shape() == Shape{D}, "causal_conv1d: bias must be [D={}], got {}", D, bias.shape());
  check(w.dtype() == wide && bias.dtype() == wide,
        "causal_conv1d: w and bias must be {}, got {} {}", name_of(wide), name_of(w.dtype()),
        name_of(bias.dtype()));
  if (const Tensor* h = options.history) {
    check(h->shape() == Shape{B, K - 1, D} && h->dtype() == x.dtype() && h->dense(),
          "causal_conv1d: history must be dense [B={}, K-1={}, D={}] {}, got {} {}", B, K - 1, D,
          name_of(x.dtype()), h->shape(), name_of(h->dtype()));
  }
  if (const Tensor* p = options.position) {
    check(p->shape() == Shape{B, T} && p->dtype() == DType::i32,
          "causal_conv1d: position must be [B={}, T={}] i32, got {} {}", B, T, p->shape(),
          name_of(p->dtype()));
  }
}

}  // namespace

Tensor causal_conv1d(const Tensor& x, const Tensor& w, const Tensor& bias,
                     const Conv1dOptions& options) {
  const std::int64_t K = w.shape().last();
  check_shapes(x, w, bias, K, options);
  const Device device = x.device();
  const Tensor history = options.history ? *options.history : Tensor();
  const Tensor position = options.position ? *options.position : Tensor();
  Tensor y = Tensor::empty(x.shape(), x.dtype(), device, "causal_conv1d.y");
  const bool matrix = device == Device::cuda && x.dtype() == DType::bf16 && K > kLongKernel &&
                      K <= kConv1dMatrixTaps;
  Tensor pre;
  if (options.silu && K >= kLongKernel && !matrix && recording({&x, &w, &bias, options.history})) {
    pre = Tensor::empty(x.shape(), x.dtype(), device, "causal_conv1d.pre");
  }
  const auto plan_of = [=, B = x.dim(0), T = x.dim(1)] {
    if (!matrix || (!position && T >= kConv1dTile)) return Tensor();
    return Tensor::empty({B, T + 1, 2}, DType::i32, device, "causal_conv1d.plan");
  };
  const Tensor plan = plan_of();
  const Conv1dArgs a{.x = x.ptr(),
                     .w = w.ptr(),
                     .bias = bias.ptr(),
                     .history = history.ptr(),
                     .position = position ? position.data<std::int32_t>() : nullptr,
                     .y = y.ptr(),
                     .pre = pre.ptr(),
                     .silu = options.silu,
                     .plan = plan ? plan.data<std::int32_t>() : nullptr,
                     .B = x.dim(0),
                     .T = x.dim(1),
                     .D = x.dim(2),
                     .K = K,
                     .shares = shares_for(x.dim(0), x.dim(1), x.dim(2), K, device),
                     .x_stride = x.row_stride(),
                     .type = x.dtype()};
  FARSIGHT_LAUNCH(causal_conv1d_forward, device, a);
  record("causal_conv1d", {&y}, {&x, &w, &bias, options.history},
         [=, x_slot = Slot(x), w_slot = Slot(w), b_slot = Slot(bias),
          h_slot = history ? Slot(history) : Slot()](std::span<const Tensor> dy) {
           Conv1dArgs g = a;
           g.x = x.ptr();  // the captures keep these bytes alive
           g.w = w.ptr();
           g.bias = bias.ptr();
           g.history = history.ptr();
           g.pre = pre.ptr();
           g.position = position ? position.data<std::int32_t>() : nullptr;
           const Sink dx = x_slot.sink(), dh = h_slot.sink();
           const Sink dw = w_slot.parameter_sink(), db = b_slot.parameter_sink();
           g.dy = dy[0].ptr();
           g.dx = dx.ptr();
           g.dx_add = dx.add;
           g.dx_stride = dx ? dx.out.row_stride() : 0;
           g.dhistory = dh.ptr();
           g.dhistory_add = dh.add;
           g.dw = dw.ptr();
           g.dw_add = dw.add;
           g.dbias = db.ptr();
           g.dbias_add = db.add;
           const Tensor partial = Tensor::empty({g.shares, g.K + 1, g.D}, accumulator_of(g.type),
                                                device, "causal_conv1d.partial");
           g.partial = partial.ptr();
           const Tensor again = plan_of();
           g.plan = again ? again.data<std::int32_t>() : nullptr;
           FARSIGHT_LAUNCH(causal_conv1d_backward, device, g);
         });
  return y;
}

}  // namespace farsight
