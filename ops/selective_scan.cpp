#include "ops/selective_scan.h"

#include <algorithm>

#include "autograd/tape.h"

namespace farsight {
namespace {

constexpr std::int64_t kGroup = 128;  // channels whose dB and dC are summed before they are stored
constexpr std::int64_t kShares = 16;  // of the batch, for dA, dD and dbias

struct Sizes {
  std::int64_t batch, T, channels, N;
};

/// How the backward's partial sums are cut.
struct Cut {
  std::int64_t groups;  // of the channels, for dB and dC
  std::int64_t shares;  // of the batch, for dA, dD and dbias
};
Cut cut_of(Device device, const Sizes& s) {
  Cut cut{(s.channels + kGroup - 1) / kGroup, std::min(kShares, s.batch)};
  if (device != Device::cuda) return cut;
  // There a group and a share are a block's, and 396 blocks run at once on an H100.
  cut.shares = s.batch;
  const std::int64_t smallest =
      std::max<std::int64_t>(4, kGroup * 16 / std::max<std::int64_t>(16, s.N));
  for (std::int64_t group = kGroup; cut.groups * cut.shares < 384 && group > smallest; group /= 2) {
    cut.groups = (2 * s.channels + group - 1) / group;
  }
  while (cut.groups * cut.shares >= 6144) {
    cut.shares = (cut.shares + 1) / 2;
  }
  return cut;
}

void check_like(const char* name, const Tensor* t, const Shape& shape, DType dtype) {
  if (t == nullptr) return;
  check(t->shape() == shape && t->dtype() == dtype, "selective_scan: {} must be {} {}, got {} {}",
        name, shape, name_of(dtype), t->shape(), name_of(t->dtype()));
}

Sizes check_shapes(const ScanInputs& in) {
  check(in.u.shape().n == 3, "selective_scan: u must be [B, T, D], got {}", in.u.shape());
  check(in.A_log.shape().n == 2, "selective_scan: A_log must be [D, N], got {}", in.A_log.shape());
  const Sizes s{in.u.dim(0), in.u.dim(1), in.u.dim(2), in.A_log.dim(1)};
  const DType type = in.u.dtype(), wide = accumulator_of(type);
  const Shape activation{s.batch, s.T, s.channels}, selection{s.batch, s.T, s.N};
  check_like("delta", &in.delta, activation, type);
  check_like("gate", in.gate, activation, type);
  check_like("z", in.z, activation, type);
  check_like("B", &in.B, selection, type);
  check_like("C", &in.C, selection, type);
  check_like("A_log", &in.A_log, {s.channels, s.N}, wide);
  check_like("D", &in.D, {s.channels}, wide);
  check_like("bias", &in.bias, {s.channels}, wide);
  check_like("initial_state", in.initial_state, {s.batch, s.channels, s.N}, wide);
  check_like("position", in.position, {s.batch, s.T}, DType::i32);
  check(in.initial_state == nullptr || in.initial_state->dense(),
        "selective_scan: initial_state must be dense; use .contiguous()");
  return s;
}

Tensor given(const Tensor* t) {
  return t ? *t : Tensor();
}
Slot slot_of(const Tensor* t) {
  return t ? Slot(*t) : Slot();
}
std::int64_t stride_of(const Tensor* t) {
  return t ? t->row_stride() : 0;
}

/// One gradient's three fields of ScanArgs.
void set(const Sink& sink, void*& pointer, bool& add) {
  pointer = sink.ptr();
  add = sink.add;
}
void set(const Sink& sink, void*& pointer, bool& add, std::int64_t& stride) {
  set(sink, pointer, add);
  stride = sink ? sink.out.row_stride() : 0;
}

}  // namespace

Tensor selective_scan(const ScanInputs& in, Tensor* last_state) {
  const Sizes s = check_shapes(in);
  const Device device = in.u.device();
  const DType wide = accumulator_of(in.u.dtype());
  const bool records = recording({&in.u, &in.delta, &in.A_log, &in.B, &in.C, &in.D, &in.bias, in.z,
                                  in.gate, in.initial_state});
  Tensor y = Tensor::empty(in.u.shape(), in.u.dtype(), device, "selective_scan.y");
  Tensor last;
  if (last_state != nullptr) {
    last = Tensor::empty({s.batch, s.channels, s.N}, wide, device, "selective_scan.state");
  }
  const std::int64_t steps = device == Device::cuda ? kCudaScanChunk : kScanChunk;
  const std::int64_t chunks = (s.T + steps - 1) / steps;
  const Cut cut = cut_of(device, s);
  Tensor checkpoints;
  if (records) {
    const bool cuda = device == Device::cuda;
    checkpoints = Tensor::empty(
        {s.batch, cuda ? std::max<std::int64_t>(chunks - 1, 0) : chunks, s.N, s.channels},
        cuda ? in.u.dtype() : wide, device, "selective_scan.checkpoints");
  }
  const Tensor z = given(in.z), gate = given(in.gate), initial = given(in.initial_state);
  const Tensor position = given(in.position);
  const Tensor u = in.u, delta = in.delta, A_log = in.A_log, B = in.B, C = in.C, D = in.D;
  const Tensor bias = in.bias;
  const ScanArgs a{.u = u.ptr(),
                   .delta = delta.ptr(),
                   .gate = gate.ptr(),
                   .z = z.ptr(),
                   .B = B.ptr(),
                   .C = C.ptr(),
                   .A_log = A_log.ptr(),
                   .D = D.ptr(),
                   .bias = bias.ptr(),
                   .initial_state = initial.ptr(),
                   .position = position ? position.data<std::int32_t>() : nullptr,
                   .y = y.ptr(),
                   .last_state = last.ptr(),
                   .checkpoints = checkpoints.ptr(),
                   .batch = s.batch,
                   .T = s.T,
                   .channels = s.channels,
                   .N = s.N,
                   .chunks = chunks,
                   .groups = cut.groups,
                   .shares = cut.shares,
                   .u_stride = u.row_stride(),
                   .delta_stride = delta.row_stride(),
                   .gate_stride = stride_of(in.gate),
                   .z_stride = stride_of(in.z),
                   .B_stride = B.row_stride(),
                   .C_stride = C.row_stride(),
                   .type = u.dtype()};
  FARSIGHT_LAUNCH(selective_scan_forward, device, a);

  // Slots are made here, not inside the closure: they must not keep the outputs' Grads.
  auto backward = [=, u_slot = Slot(u), delta_slot = Slot(delta), gate_slot = slot_of(in.gate),
                   z_slot = slot_of(in.z), B_slot = Slot(B), C_slot = Slot(C), A_slot = Slot(A_log),
                   D_slot = Slot(D), bias_slot = Slot(bias),
                   initial_slot = slot_of(in.initial_state)](std::span<const Tensor> dy) {
    ScanArgs g = a;
    g.u = u.ptr();  // the captures keep these bytes alive
    g.delta = delta.ptr();
    g.gate = gate.ptr();
    g.z = z.ptr();
    g.B = B.ptr();
    g.C = C.ptr();
    g.A_log = A_log.ptr();
    g.D = D.ptr();
    g.bias = bias.ptr();
    g.initial_state = initial.ptr();
    g.position = position ? position.data<std::int32_t>() : nullptr;
    g.checkpoints = checkpoints.ptr();
    g.dy = dy[0].ptr();
    g.dlast_state = dy.size() > 1 ? dy[1].ptr() : nullptr;
    // The sinks live until the launch: they hold freshly made gradient buffers.
    const Sink du = u_slot.sink(), ddelta = delta_slot.sink(), dgate = gate_slot.sink();
    const Sink dz = z_slot.sink(), dB = B_slot.sink(), dC = C_slot.sink();
    const Sink dA = A_slot.parameter_sink(), dD = D_slot.parameter_sink();
    const Sink dbias = bias_slot.parameter_sink(), dinitial = initial_slot.sink();
    set(du, g.du, g.du_add, g.du_stride);
    set(ddelta, g.ddelta, g.ddelta_add, g.ddelta_stride);
    set(dgate, g.dgate, g.dgate_add, g.dgate_stride);
    set(dz, g.dz, g.dz_add, g.dz_stride);
    set(dB, g.dB, g.dB_add, g.dB_stride);
    set(dC, g.dC, g.dC_add, g.dC_stride);
    set(dA, g.dA_log, g.dA_log_add);
    set(dD, g.dD, g.dD_add);
    set(dbias, g.dbias, g.dbias_add);
    set(dinitial, g.dinitial, g.dinitial_add);
    const Tensor partial_bc =
        Tensor::empty({g.groups, g.batch, g.T, 2 * g.N}, wide, device, "selective_scan.partial");
    const Tensor partial_param =
        Tensor::empty({g.shares, g.N + 2, g.channels}, wide, device, "selective_scan.partial");
    g.partial_bc = partial_bc.ptr();
    g.partial_param = partial_param.ptr();
    FARSIGHT_LAUNCH(selective_scan_backward, device, g);
  };
  if (last_state != nullptr) {
    record("selective_scan", {&y, &last},
           {&u, &delta, &A_log, &B, &C, &D, &bias, in.z, in.gate, in.initial_state},
           std::move(backward));
    *last_state = last;
  } else {
    record("selective_scan", {&y},
           {&u, &delta, &A_log, &B, &C, &D, &bias, in.z, in.gate, in.initial_state},
           std::move(backward));
  }
  return y;
}

}  // namespace farsight
