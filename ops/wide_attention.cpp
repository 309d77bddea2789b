#include "ops/wide_attention.h"

#include "autograd/tape.h"

namespace farsight {

Tensor wide_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor* position) {
  check(q.shape().n == 3, "wide_attention: q must be [B, T, D], got {}", q.shape());
  const std::int64_t B = q.dim(0), T = q.dim(1), D = q.dim(2);
  for (const Tensor* t : {&k, &v}) {
    check(t->shape().n == 3 && t->shape() == k.shape() && t->dim(0) == B && t->dim(1) >= T &&
              t->dim(2) == D && t->dtype() == q.dtype(),
          "wide_attention: k and v must be [B={}, S >= {}, D={}] {}, got {} {}", B, T, D,
          name_of(q.dtype()), t->shape(), name_of(t->dtype()));
  }
  const std::int64_t S = k.dim(1);
  const Tensor where = position ? *position : Tensor();
  if (where) {
    check(where.shape() == Shape{B, T} && where.dtype() == DType::i32 && where.dense() && S == T,
          "wide_attention: position must be [B={}, T={}] i32, and S = T, got {} {} and S = {}", B,
          T, where.shape(), name_of(where.dtype()), S);
  }
  const Device device = q.device();
  const DType wide = accumulator_of(q.dtype());
  Tensor y = Tensor::empty(q.shape(), q.dtype(), device, "wide_attention.y");
  const Tensor p = Tensor::empty({B, T, S}, q.dtype(), device, "wide_attention.p");
  const Tensor scores = Tensor::empty({B, T, S}, wide, device, "wide_attention.scores");
  const WideAttentionArgs a{.q = q.ptr(),
                            .k = k.ptr(),
                            .v = v.ptr(),
                            .position = where ? where.data<std::int32_t>() : nullptr,
                            .y = y.ptr(),
                            .p = p.ptr(),
                            .scores = scores.ptr(),
                            .B = B,
                            .T = T,
                            .S = S,
                            .D = D,
                            .q_stride = q.row_stride(),
                            .k_stride = k.row_stride(),
                            .v_stride = v.row_stride(),
                            .type = q.dtype()};
  FARSIGHT_LAUNCH(wide_attention_forward, device, a);
  record("wide_attention", {&y}, {&q, &k, &v},
         [a, q, k, v, where, p, wide, q_slot = Slot(q), k_slot = Slot(k),
          v_slot = Slot(v)](std::span<const Tensor> dy) {
           const Sink dq = q_slot.sink(), dk = k_slot.sink(), dv = v_slot.sink();
           if (!dq && !dk && !dv) return;
           const Shape square{a.B, a.T, a.S};
           const Device on = q.device();
           const Tensor workspace = Tensor::empty(square, wide, on, "wide_attention.scores");
           const Tensor ds = Tensor::empty(square, a.type, on, "wide_attention.ds");
           WideAttentionArgs g = a;
           g.q = q.ptr();  // keeps these alive until here
           g.k = k.ptr();
           g.v = v.ptr();
           g.position = where ? where.data<std::int32_t>() : nullptr;
           g.p = p.ptr();
           g.scores = workspace.ptr();
           g.ds = ds.ptr();
           g.dy = dy[0].ptr();
           g.dy_stride = dy[0].row_stride();
           const auto put = [](const Sink& sink, void*& to, bool& add, std::int64_t& stride) {
             to = sink.ptr();
             add = sink.add;
             stride = sink ? sink.out.row_stride() : 0;
           };
           put(dq, g.dq, g.dq_add, g.dq_stride);
           put(dk, g.dk, g.dk_add, g.dk_stride);
           put(dv, g.dv, g.dv_add, g.dv_stride);
           FARSIGHT_LAUNCH(wide_attention_backward, on, g);
         });
  return y;
}

}  // namespace farsight
