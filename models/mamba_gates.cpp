#include "models/mamba_gates.h"

#include <cmath>

#include "autograd/tape.h"
#include "models/history.h"
#include "ops/causal_conv1d.h"
#include "ops/dropout.h"
#include "ops/elementwise.h"
#include "ops/gelu.h"
#include "ops/join_columns.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"
#include "ops/rotate_pairs.h"
#include "ops/shrunk_taps.h"
#include "ops/wide_attention.h"

namespace farsight {
namespace {

using enum GateKind;

constexpr double kDropout = 0.1, kFlashDropout = 0.2;
constexpr double kNormEps = 1e-5;
constexpr double kSquashed = 0.003;  // 87 % of the kernel, at the start
constexpr double kKernelDeviation = 0.002;

bool has_convolution(GateKind kind) {
  return kind == longconv || kind == additive || kind == concat || kind == dtlinear;
}
bool is_flash(GateKind kind) {
  return kind == flashlongconv || kind == shortlongconv;
}
std::int64_t concat_width(std::int64_t inner) {
  return std::max<std::int64_t>(1, inner / 4);
}

/// The rows of `before` [B, S, I], then those of x [B, T, I].
Tensor appended(const Tensor& before, const Tensor& x) {
  const std::int64_t B = x.dim(0), S = before.dim(1), T = x.dim(1), I = x.dim(2);
  const Tensor all = Tensor::empty({B, S + T, I}, x.dtype(), x.device(), "state");
  const Tensor to = all.reshape({B * (S + T), I});
  const Tensor old = before.reshape({B * S, I}), fresh = x.reshape({B * T, I});
  for (std::int64_t b = 0; b < B; b++) {
    to.range(b * (S + T), S).copy_from(old.range(b * S, S));
    to.range(b * (S + T) + S, T).copy_from(fresh.range(b * T, T));
  }
  return all;
}

}  // namespace

Distribution by_fan_in(std::int64_t fan_in) {
  return Distribution::uniform(1 / std::sqrt(static_cast<double>(fan_in)));
}

GateFlops gate_flops(const GateSizes& sizes) {
  const double I = static_cast<double>(sizes.inner), R = static_cast<double>(sizes.dt_rank);
  const double taps = 2 * I * static_cast<double>(sizes.taps);
  switch (sizes.kind) {
    case longconv:
    case additive:
      return {.body = taps};
    case concat:
      return {.body = taps + 2 * 3 * I * static_cast<double>(concat_width(sizes.inner))};
    case dtlinear:
      return {.body = taps + 2 * 2 * I * R};
    case attn:
      return {.body = 2 * 4 * I * I, .context = 4 * I};
    case flashlongconv:
    case shortlongconv:
      break;
  }
  return {.body = taps + 2 * 2 * I * I};
}

MambaGate::Linear MambaGate::make_linear(std::int64_t in, std::int64_t out) const {
  // The authors' models/MambaPreTrainedModel.py resets the bias of every Linear to 0.
  const bool standard = sizes_.init == Init::standard;
  return {.weight = {{out, in}, by_fan_in(in), Role::matrix},
          .bias = {{out}, standard ? by_fan_in(in) : Distribution::constant(0)}};
}

MambaGate::MambaGate(const GateSizes& sizes) : sizes_(sizes) {
  const std::int64_t I = sizes.inner, K = sizes.taps;
  if (has_convolution(sizes.kind)) {
    conv_weight_ = {{I, 1, K}, by_fan_in(K)};
    conv_bias_ = {{I}, by_fan_in(K)};
  }
  if (sizes.kind == concat) {
    fc1_ = make_linear(2 * I, concat_width(I));
    fc2_ = make_linear(concat_width(I), I);
  }
  if (sizes.kind == dtlinear) {
    fc1_ = make_linear(I, sizes.dt_rank);
    fc2_ = make_linear(sizes.dt_rank, I);
  }
  if (sizes.kind == attn) {
    for (Linear* projection : {&query_, &key_, &value_, &dense_}) {
      *projection = make_linear(I, I);
    }
    norm_weight_ = {{I}, Distribution::constant(1)};
    norm_bias_ = {{I}, Distribution::constant(0)};
  }
  if (is_flash(sizes.kind)) {
    kernel_ = {{I, K}, Distribution::normal(kKernelDeviation)};
    skip_ = {{I}, Distribution::normal(1)};
    output_ = make_linear(I, 2 * I);
  }
}

void MambaGate::visit(const std::string& prefix, const ParameterVisitor& f) {
  const auto linear_of = [&](const char* name, Linear& parameters) {
    f(prefix + name + ".weight", parameters.weight);
    f(prefix + name + ".bias", parameters.bias);
  };
  if (has_convolution(sizes_.kind)) {
    f(prefix + "module.weight", conv_weight_);
    f(prefix + "module.bias", conv_bias_);
  }
  if (sizes_.kind == concat || sizes_.kind == dtlinear) {
    linear_of("fc1", fc1_);
    linear_of("fc2", fc2_);
  }
  if (sizes_.kind == attn) {
    linear_of("query", query_);
    linear_of("key", key_);
    linear_of("value", value_);
    linear_of("dense", dense_);
    f(prefix + "norm.weight", norm_weight_);
    f(prefix + "norm.bias", norm_bias_);
  }
  if (is_flash(sizes_.kind)) {
    f(prefix + "kernel", kernel_);
    f(prefix + "D", skip_);
    linear_of("output", output_);
  }
}

GateState MambaGate::empty_state(std::int64_t batch, DType compute, Device device) const {
  const std::int64_t I = sizes_.inner;
  if (has_taps(sizes_.kind)) {
    return {.window = Tensor::zeros({batch, sizes_.taps - 1, I}, compute, device, "state")};
  }
  return {.window = {},
          .keys = Tensor::empty({batch, 0, I}, compute, device, "state"),
          .values = Tensor::empty({batch, 0, I}, compute, device, "state")};
}

Tensor MambaGate::convolution(const Tensor& x, const GatePlace& place) const {
  GateState* state = place.state;
  const Tensor s =
      causal_conv1d(x, conv_weight_.master, conv_bias_.master,
                    {.history = state ? &state->window : nullptr, .position = place.position});
  if (state != nullptr) state->window = advance_history(state->window, x);
  return s;
}

Tensor MambaGate::flash(const Tensor& x, const GatePlace& place) const {
  GateState* state = place.state;
  const Tensor taps = shrunk_taps(kernel_.master, skip_.master, kSquashed);
  const Tensor none = Tensor::zeros({sizes_.inner}, taps.dtype(), x.device(), "gate.no_bias");
  const Tensor y = causal_conv1d(
      x, taps, none,
      {.silu = false, .history = state ? &state->window : nullptr, .position = place.position});
  if (state != nullptr) state->window = advance_history(state->window, x);
  const Tensor kept = dropout(
      gelu(y),
      {.p = kFlashDropout, .pass = place.pass, .stream = place.stream, .shared_rows = x.dim(1)});
  const Tensor both = linear(kept, output_.weight.operand, &output_.bias.master);
  const std::vector<Tensor> halves = split(both, {sizes_.inner, sizes_.inner});
  return gate(halves[1], halves[0]);
}

Tensor MambaGate::attended(const Tensor& x_in, const GatePlace& place) const {
  GateState* state = place.state;
  const auto project = [&](const Linear& by) {
    return linear(x_in, by.weight.operand, &by.bias.master);
  };
  const RotateOptions turn{.position = place.position,
                           .first = state ? state->keys.dim(1) : std::int64_t{0}};
  const Tensor q = rotate_pairs(project(query_), turn);
  Tensor k = rotate_pairs(project(key_), turn), v = project(value_);
  if (state != nullptr) {
    k = state->keys = appended(state->keys, k);
    v = state->values = appended(state->values, v);
  }
  const Tensor dense =
      linear(wide_attention(q, k, v, place.position), dense_.weight.operand, &dense_.bias.master);
  const Tensor kept = dropout(dense, {.p = kDropout, .pass = place.pass, .stream = place.stream});
  const Tensor sum = add(kept, x_in);
  const Affine affine{norm_weight_.master, norm_bias_.master};
  const DType wide = accumulator_of(sum.dtype());
  if (sum.dtype() == wide) return layer_norm(sum, affine, kNormEps, wide);
  // The norm reads a residual stream in f32, and adds to it what is in bf16.
  Tensor stream;
  const Tensor nothing = Tensor::zeros(sum.shape(), wide, sum.device(), "gate.no_residual");
  return add_layer_norm(nothing, {sum}, affine, kNormEps, &stream);
}

Tensor MambaGate::input(const Tensor& x_in, const Tensor& u, const GatePlace& place) const {
  if (sizes_.kind == additive) return add(u, convolution(x_in, place));
  if (sizes_.kind == concat) {
    const Tensor both = join_columns(u, convolution(x_in, place));
    const Tensor hidden = relu(linear(both, fc1_.weight.operand, &fc1_.bias.master));
    return linear(hidden, fc2_.weight.operand, &fc2_.bias.master);
  }
  if (sizes_.kind == shortlongconv) return flash(u, place);
  return u;
}

Tensor MambaGate::step(const Tensor& x_in, const Tensor& q, const GatePlace& place,
                       Tensor* gate) const {
  if (sizes_.kind == longconv) *gate = convolution(x_in, place);
  if (sizes_.kind == attn) *gate = silu(attended(x_in, place));
  if (sizes_.kind == flashlongconv) *gate = silu(flash(x_in, place));
  if (sizes_.kind != dtlinear) return q;
  const Tensor hidden = linear(convolution(x_in, place), fc1_.weight.operand, &fc1_.bias.master);
  const Tensor kept = dropout(hidden, {.p = kDropout, .pass = place.pass, .stream = place.stream});
  return add(q, linear(kept, fc2_.weight.operand, &fc2_.bias.master));
}

}  // namespace farsight
