#include "ops/wkv.h"

#include <algorithm>

#include "autograd/tape.h"

namespace farsight {
namespace {

constexpr std::int64_t kShares = 16;  // of the sequences, for the gradients of decay and first

void check_like(const char* name, const Tensor* t, const Shape& shape, DType dtype) {
  if (t == nullptr) return;
  check(t->shape() == shape && t->dtype() == dtype, "wkv: {} must be {} {}, got {} {}", name, shape,
        name_of(dtype), t->shape(), name_of(t->dtype()));
}

void check_shapes(const WkvInputs& in) {
  check(in.k.shape().n == 3, "wkv: k must be [B, T, D], got {}", in.k.shape());
  const std::int64_t B = in.k.dim(0), T = in.k.dim(1), D = in.k.dim(2);
  const DType type = in.k.dtype(), wide = accumulator_of(type);
  check_like("v", &in.v, in.k.shape(), type);
  check_like("r", in.r, in.k.shape(), type);
  check_like("decay", &in.decay, {D}, wide);
  check_like("first", &in.first, {D}, wide);
  check_like("initial_state", in.initial_state, {B, 3, D}, wide);
  check_like("position", in.position, {B, T}, DType::i32);
  check(in.initial_state == nullptr || in.initial_state->dense(),
        "wkv: initial_state must be dense; use .contiguous()");
}

Tensor given(const Tensor* t) {
  return t ? *t : Tensor();
}

void set(const Sink& sink, void*& pointer, bool& add, std::int64_t& stride) {
  pointer = sink.ptr();
  add = sink.add;
  stride = sink ? sink.out.row_stride() : 0;
}

}  // namespace

Tensor wkv(const WkvInputs& in, Tensor* last_state) {
  check_shapes(in);
  const std::int64_t B = in.k.dim(0), T = in.k.dim(1), D = in.k.dim(2);
  const Device device = in.k.device();
  const DType wide = accumulator_of(in.k.dtype());
  const bool records = recording({&in.k, &in.v, &in.decay, &in.first, in.r});
  check(!records || (in.initial_state == nullptr && last_state == nullptr),
        "wkv: no gradient goes through a state; leave the states away, or the tape");
  const Tensor k = in.k, v = in.v, decay = in.decay, first = in.first, r = given(in.r);
  const Tensor initial = given(in.initial_state), position = given(in.position);
  Tensor y = Tensor::empty(k.shape(), k.dtype(), device, "wkv.y");
  Tensor last;
  if (last_state != nullptr) last = Tensor::empty({B, 3, D}, wide, device, "wkv.state");
  const std::int64_t chunks = std::max<std::int64_t>((T + kWkvChunk - 1) / kWkvChunk, 1);
  Tensor checkpoints;
  if (records) {
    checkpoints = Tensor::empty({B, chunks - 1, 3, D}, wide, device, "wkv.checkpoints");
  }
  const WkvArgs a{.k = k.ptr(),
                  .v = v.ptr(),
                  .r = r.ptr(),
                  .decay = decay.ptr(),
                  .first = first.ptr(),
                  .initial_state = initial.ptr(),
                  .position = position ? position.data<std::int32_t>() : nullptr,
                  .y = y.ptr(),
                  .last_state = last.ptr(),
                  .checkpoints = checkpoints.ptr(),
                  .B = B,
                  .T = T,
                  .D = D,
                  .chunks = chunks,
                  // On CUDA a share is a block's: one sequence.
                  .shares = device == Device::cuda ? B : std::min(kShares, B),
                  .k_stride = k.row_stride(),
                  .v_stride = v.row_stride(),
                  .r_stride = r ? r.row_stride() : 0,
                  .type = k.dtype()};
  FARSIGHT_LAUNCH(wkv_forward, device, a);
  if (last_state != nullptr) *last_state = last;
  record("wkv", {&y}, {&k, &v, &decay, &first, in.r},
         [=, k_slot = Slot(k), v_slot = Slot(v), r_slot = r ? Slot(r) : Slot(),
          decay_slot = Slot(decay), first_slot = Slot(first)](std::span<const Tensor> dy) {
           WkvArgs g = a;
           g.k = k.ptr();  // the captures keep these bytes alive
           g.v = v.ptr();
           g.r = r.ptr();
           g.decay = decay.ptr();
           g.first = first.ptr();
           g.position = position ? position.data<std::int32_t>() : nullptr;
           g.checkpoints = checkpoints.ptr();
           g.dy = dy[0].ptr();
           // The sinks live until the launch: they hold freshly made gradient buffers.
           const Sink dk = k_slot.sink(), dv = v_slot.sink(), dr = r_slot.sink();
           const Sink ddecay = decay_slot.parameter_sink(), dfirst = first_slot.parameter_sink();
           set(dk, g.dk, g.dk_add, g.dk_stride);
           set(dv, g.dv, g.dv_add, g.dv_stride);
           set(dr, g.dr, g.dr_add, g.dr_stride);
           g.ddecay = ddecay.ptr();
           g.ddecay_add = ddecay.add;
           g.dfirst = dfirst.ptr();
           g.dfirst_add = dfirst.add;
           const Tensor partial = Tensor::empty({g.shares, 2, D}, wide, device, "wkv.partial");
           g.partial = partial.ptr();
           FARSIGHT_LAUNCH(wkv_backward, device, g);
         });
  return y;
}

}  // namespace farsight
