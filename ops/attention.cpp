#include "ops/attention.h"

#include "autograd/tape.h"

namespace farsight {
namespace {

std::int64_t head_size(const Tensor& qkv, const AttentionOptions& options) {
  check(qkv.shape().n == 3 && options.heads >= 1 && qkv.dim(2) % (3 * options.heads) == 0,
        "attention: qkv must be [B, T, H={} x 3 x hd], got {}", options.heads, qkv.shape());
  const std::int64_t head = qkv.dim(2) / (3 * options.heads);
  check(head >= 1 && head <= kAttentionMaxHead, "attention: heads must have 1 to {} dims, got {}",
        kAttentionMaxHead, head);
  check(options.rotary >= 0 && options.rotary <= head && options.rotary % 2 == 0,
        "attention: rotary must be even and at most the head's {} dims, got {}", head,
        options.rotary);
  return head;
}

AttentionArgs args_of(const Tensor& qkv, const AttentionOptions& options, const Tensor& y,
                      const Tensor& turns) {
  return {.qkv = qkv.ptr(),
          .y = y.ptr(),
          .turns = turns.ptr(),
          .B = qkv.dim(0),
          .T = qkv.dim(1),
          .H = options.heads,
          .head = y.dim(2) / options.heads,
          .rotary = options.rotary,
          .qkv_stride = qkv.row_stride(),
          .base = options.base,
          .type = qkv.dtype()};
}

Tensor turns_for(const Tensor& qkv, const AttentionOptions& options) {
  return Tensor::empty({qkv.dim(1), options.rotary}, accumulator_of(qkv.dtype()), qkv.device(),
                       "attention.turns");
}

/// What the tensor core kernels keep of the dims that turn; null where others compute.
Tensor turned_for(const Tensor& qkv, std::int64_t head, const AttentionOptions& options) {
  constexpr std::int64_t kVector = 8;
  const bool keeps = qkv.device() == Device::cuda && qkv.dtype() == DType::bf16 &&
                     options.rotary > 0 && head % kVector == 0 && head <= kAttentionMatrixHead;
  if (!keeps) return {};
  const std::int64_t dims = (options.rotary + kVector - 1) / kVector * kVector;
  return Tensor::empty({qkv.dim(0), qkv.dim(1), options.heads * 2, dims}, qkv.dtype(), qkv.device(),
                       "attention.turned");
}

/// The bytes of t without its Grad: a node must not own its own output.
Tensor bytes_of(const Tensor& t) {
  Tensor bytes = t;
  bytes.grad.reset();
  return bytes;
}

}  // namespace

Tensor attention(const Tensor& qkv, const AttentionOptions& options) {
  const std::int64_t head = head_size(qkv, options);
  const std::int64_t B = qkv.dim(0), T = qkv.dim(1), H = options.heads;
  const Device device = qkv.device();
  const DType wide = accumulator_of(qkv.dtype());
  const Tensor position = options.position ? *options.position : Tensor();
  if (position) {
    check(position.shape() == Shape{B, T} && position.dtype() == DType::i32 && position.dense(),
          "attention: position must be [B={}, T={}] i32, got {} {}", B, T, position.shape(),
          name_of(position.dtype()));
  }
  Tensor y = Tensor::empty({B, T, H * head}, qkv.dtype(), device, "attention.y");
  const Tensor lse = Tensor::empty({B, H, T}, wide, device, "attention.lse");
  const Tensor turns = turns_for(qkv, options);
  const Tensor turned = turned_for(qkv, head, options);
  AttentionArgs a = args_of(qkv, options, y, turns);
  a.turned = turned ? turned.ptr() : nullptr;
  a.turned_dims = turned ? turned.dim(3) : 0;
  a.position = position ? position.data<std::int32_t>() : nullptr;
  a.lse = lse.ptr();
  FARSIGHT_LAUNCH(attention_forward, device, a);
  record("attention", {&y}, {&qkv},
         [=, kept = bytes_of(y), qkv_slot = Slot(qkv)](std::span<const Tensor> dy) {
           const Sink dqkv = qkv_slot.sink();
           if (!dqkv) return;
           AttentionArgs g = a;
           g.qkv = qkv.ptr();  // keeps these alive until here
           g.position = position ? position.data<std::int32_t>() : nullptr;
           g.y = kept.ptr();
           g.lse = lse.ptr();
           g.turns = turns.ptr();
           g.turned = turned ? turned.ptr() : nullptr;
           g.dy = dy[0].ptr();
           g.dy_stride = dy[0].row_stride();
           g.dqkv = dqkv.ptr();
           g.dqkv_add = dqkv.add;
           g.dqkv_stride = dqkv.out.row_stride();
           const Tensor delta = Tensor::empty({B, H, T}, wide, device, "attention.delta");
           g.delta = delta.ptr();
           FARSIGHT_LAUNCH(attention_backward, device, g);
         });
  return y;
}

Tensor attention_step(const Tensor& qkv, const Tensor& cache, std::int64_t length,
                      const AttentionOptions& options) {
  const std::int64_t head = head_size(qkv, options);
  const std::int64_t B = qkv.dim(0), T = qkv.dim(1), D = options.heads * head;
  check(cache.shape().n == 3 && cache.dim(0) == B && cache.dim(2) == 2 * D && cache.dense() &&
            cache.dtype() == qkv.dtype(),
        "attention_step: cache must be dense [B={}, C, {}] {}, got {} {}", B, 2 * D,
        name_of(qkv.dtype()), cache.shape(), name_of(cache.dtype()));
  check(length >= 0 && length + T <= cache.dim(1),
        "attention_step: {} tokens after {} do not fit a cache of {}", T, length, cache.dim(1));
  check(options.position == nullptr, "attention_step: rows cannot be packed");
  const Tensor y = Tensor::empty({B, T, D}, qkv.dtype(), qkv.device(), "attention.y");
  const Tensor turns = turns_for(qkv, options);
  AttentionArgs a = args_of(qkv, options, y, turns);
  a.cache = cache.ptr();
  a.first = length;
  a.capacity = cache.dim(1);
  FARSIGHT_LAUNCH(attention_step, qkv.device(), a);
  return y;
}

}  // namespace farsight
