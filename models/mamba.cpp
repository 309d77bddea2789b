#include "models/mamba.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/philox.h"
#include "models/history.h"
#include "ops/causal_conv1d.h"
#include "ops/embedding.h"
#include "ops/gather_rows.h"
#include "ops/linear.h"
#include "ops/rms_norm.h"
#include "ops/selective_scan.h"

namespace farsight {

bool MambaConfig::has_gate(std::int64_t layer) const {
  return has_gate() && (gate_layers.empty() || std::find(gate_layers.begin(), gate_layers.end(),
                                                         layer) != gate_layers.end());
}

GateSizes MambaConfig::gate_sizes() const {
  return {.kind = gate, .inner = d_inner(), .dt_rank = dt_rank, .taps = gate_kernel, .init = init};
}

void MambaConfig::validate() const {
  const auto positive = [](const char* name, std::int64_t value) {
    require(value >= 1, ExitCode::data, "mamba: {} must be at least 1, got {}", name, value);
  };
  positive("vocab_size", vocab_size);
  positive("d_model", d_model);
  positive("n_layer", n_layer);
  positive("d_state", d_state);
  positive("d_conv", d_conv);
  positive("expand", expand);
  positive("dt_rank", dt_rank);
  require(gate_kernel >= 0, ExitCode::data, "mamba: gate_kernel must not be negative, got {}",
          gate_kernel);
  require(gate == GateKind::longconv || has_gate(), ExitCode::data,
          "mamba: gate {} needs a gate_kernel of at least 1", name_of(gate));
  require(gate != GateKind::attn || d_inner() % 2 == 0, ExitCode::data,
          "mamba: gate attn turns pairs of its {} dims: expected an even number", d_inner());
  for (std::int64_t layer : gate_layers) {
    require(layer >= 0 && layer < n_layer, ExitCode::data,
            "mamba: gate_layers must be from 0 to {}, got {}", n_layer - 1, layer);
  }
}

Json MambaConfig::to_json() const {
  Json json = Json::object({{"architectures", Json::array({"MambaForCausalLM"})},
                            {"model_type", "mamba"},
                            {"vocab_size", vocab_size},
                            {"hidden_size", d_model},
                            {"num_hidden_layers", n_layer},
                            {"state_size", d_state},
                            {"conv_kernel", d_conv},
                            {"expand", expand},
                            {"intermediate_size", d_inner()},
                            {"time_step_rank", dt_rank},
                            {"layer_norm_epsilon", norm_eps},
                            {"hidden_act", "silu"},
                            {"use_bias", false},
                            {"use_conv_bias", true},
                            {"residual_in_fp32", true},
                            {"tie_word_embeddings", true}});
  if (has_gate()) {
    if (gate != GateKind::longconv) {
      json["gate"] = name_of(gate);
    }
    json["gate_kernel"] = gate_kernel;
    json["gate_layers"] = Json::array_of(gate_layers);
  }
  return json;
}

MambaConfig MambaConfig::from_json(const Json& json) {
  // The ranges of the settings: whatever such a file says, sizes in bytes fit 64 bits.
  constexpr std::int64_t kWidest = 65536;
  const Json& type = json.at("model_type");
  if (type.as_string() != "mamba") type.refuse("expected model_type \"mamba\"");
  MambaConfig c;
  c.vocab_size = json.at("vocab_size").as_int(1, 1 << 20);
  c.d_model = json.at("hidden_size").as_int(1, kWidest);
  c.n_layer = json.at("num_hidden_layers").as_int(1, 1024);
  c.d_state = json.at("state_size").as_int(1, 4096);
  c.d_conv = json.at("conv_kernel").as_int(1, 64);
  c.expand = json.at("expand").as_int(1, 16);
  c.dt_rank = json.at("time_step_rank").as_int(1, kWidest);
  c.norm_eps = json.at("layer_norm_epsilon").as_double();
  if (const Json* gate = json.find("gate")) {
    const auto at = std::ranges::find(kGateKindNames, gate->as_string());
    if (at == kGateKindNames.end()) {
      gate->refuse(fmt::format("gate: expected one of {}", fmt::join(kGateKindNames, ", ")));
    }
    c.gate = static_cast<GateKind>(at - kGateKindNames.begin());
  }
  if (const Json* kernel = json.find("gate_kernel")) c.gate_kernel = kernel->as_int(0, kWidest);
  if (const Json* layers = json.find("gate_layers")) {
    for (const Json& layer : layers->elements()) {
      c.gate_layers.push_back(layer.as_int(0, c.n_layer - 1));
    }
  }
  return c;
}

Mamba::Layer Mamba::make_layer(std::int64_t index) const {
  const MambaConfig& c = config_;
  const std::int64_t I = c.d_inner(), N = c.d_state, R = c.dt_rank;
  const bool standard = c.init == Init::standard;
  using enum Distribution::Kind;
  Layer layer;
  layer.norm = {{c.d_model}, Distribution::constant(1)};
  layer.in_proj = {{2 * I, c.d_model}, by_fan_in(c.d_model), Role::matrix};
  layer.conv_weight = {{I, 1, c.d_conv}, by_fan_in(c.d_conv)};
  layer.conv_bias = {{I}, by_fan_in(c.d_conv)};
  layer.x_proj = {{R + 2 * N, I}, by_fan_in(I), Role::matrix};
  layer.dt_proj = {{I, R}, by_fan_in(R), Role::matrix};
  // The authors' models/MambaPreTrainedModel.py knows the library's mixer, not their own, and
  // resets every Linear bias to 0, dt's too: delta starts at 0.69 instead of 0.001 to 0.1.
  layer.dt_bias = {
      {I}, standard ? Distribution{inverse_softplus_time, 1e-3, 1e-1} : Distribution::constant(0)};
  layer.A_log = {{I, N}, {log_of_state}};
  layer.A_log.decays_as_matrix = false;
  layer.D = {{I}, Distribution::constant(1)};
  layer.out_proj = {{c.d_model, I}, by_fan_in(I), Role::matrix};
  if (standard) layer.out_proj.start.a /= std::sqrt(static_cast<double>(c.n_layer));
  if (c.has_gate(index)) layer.gate.emplace(c.gate_sizes());
  return layer;
}

Mamba::Mamba(const MambaConfig& config, Device device, DType compute)
    : config_(config), device_(device), compute_(compute) {
  config_.validate();
  const double deviation = config_.init == Init::standard ? 0.02 : 0.1;
  embeddings_ = {
      {config_.vocab_size, config_.d_model}, Distribution::normal(deviation), Role::matrix};
  final_norm_ = {{config_.d_model}, Distribution::constant(1)};
  for (std::int64_t i = 0; i < config_.n_layer; i++) {
    layers_.push_back(make_layer(i));
  }
  parameters_ = std::make_unique<ParameterStore>([this](const ParameterVisitor& f) { visit(f); },
                                                 device, compute);
}

void Mamba::visit(const ParameterVisitor& f) {
  f("backbone.embeddings.weight", embeddings_);
  for (std::size_t i = 0; i < layers_.size(); i++) {
    Layer& layer = layers_[i];
    const std::string prefix = fmt::format("backbone.layers.{}.", i);
    f(prefix + "norm.weight", layer.norm);
    f(prefix + "mixer.in_proj.weight", layer.in_proj);
    f(prefix + "mixer.conv1d.weight", layer.conv_weight);
    f(prefix + "mixer.conv1d.bias", layer.conv_bias);
    f(prefix + "mixer.x_proj.weight", layer.x_proj);
    f(prefix + "mixer.dt_proj.weight", layer.dt_proj);
    f(prefix + "mixer.dt_proj.bias", layer.dt_bias);
    f(prefix + "mixer.A_log", layer.A_log);
    f(prefix + "mixer.D", layer.D);
    f(prefix + "mixer.out_proj.weight", layer.out_proj);
    if (layer.gate) layer.gate->visit(prefix + "mixer.module.", f);
  }
  f("backbone.norm_f.weight", final_norm_);
}

MambaState Mamba::empty_state(std::int64_t batch) const {
  const std::int64_t I = config_.d_inner();
  MambaState state(layers_.size());
  for (std::size_t i = 0; i < layers_.size(); i++) {
    state[i].conv = Tensor::zeros({batch, config_.d_conv - 1, I}, compute_, device_, "state");
    state[i].state =
        Tensor::zeros({batch, I, config_.d_state}, accumulator_of(compute_), device_, "state");
    const std::optional<MambaGate>& gate = layers_[i].gate;
    if (gate) state[i].gate = gate->empty_state(batch, compute_, device_);
  }
  return state;
}

template <class Look>
Tensor Mamba::mix(Layer& layer, const Tensor& x, MambaLayerState* state, const GatePlace& place,
                  const Look& look) const {
  const std::int64_t I = config_.d_inner(), N = config_.d_state;
  const std::vector<Tensor> xz = split(linear(x, layer.in_proj.operand), {I, I});
  const Tensor &x_in = xz[0], &z = xz[1];
  const Tensor* position = place.position;
  Tensor u = causal_conv1d(x_in, layer.conv_weight.master, layer.conv_bias.master,
                           {.history = state ? &state->conv : nullptr, .position = position});
  if (layer.gate) u = layer.gate->input(x_in, u, place);
  const std::vector<Tensor> selection =
      split(linear(u, layer.x_proj.operand), {config_.dt_rank, N, N});
  Tensor delta = linear(selection[0], layer.dt_proj.operand);
  Tensor gate;
  if (layer.gate) delta = layer.gate->step(x_in, delta, place, &gate);
  const ScanInputs in{.u = u,
                      .delta = delta,
                      .A_log = layer.A_log.master,
                      .B = selection[1],
                      .C = selection[2],
                      .D = layer.D.master,
                      .bias = layer.dt_bias.master,
                      .z = &z,
                      .gate = gate ? &gate : nullptr,
                      .initial_state = state ? &state->state : nullptr,
                      .position = position};
  look(in);
  Tensor last;
  const Tensor y = selective_scan(in, state ? &last : nullptr);
  if (state != nullptr) {
    state->conv = advance_history(state->conv, x_in);
    state->state = last;
  }
  return linear(y, layer.out_proj.operand);
}

template <class Shown>
Tensor Mamba::run(const Tensor& tokens, const Tensor& rows, const Tensor* position,
                  MambaState* state, const Tensor* pass, const Shown& shown) {
  check(tokens.shape().n == 2, "mamba: tokens must be [B, T], got {}", tokens.shape());
  check(state == nullptr || state->size() == layers_.size(),
        "mamba: the state has {} layers, the model {}", state ? state->size() : 0, layers_.size());
  Tensor residual = embedding(tokens, embeddings_.master);
  Tensor mixed;
  for (std::size_t i = 0; i < layers_.size(); i++) {
    Layer& layer = layers_[i];
    const NameScope scope(fmt::format("layer {}", i));
    const Tensor x =
        i == 0 ? rms_norm(residual, layer.norm.master, config_.norm_eps, compute_)
               : add_rms_norm(residual, mixed, layer.norm.master, config_.norm_eps, &residual);
    MambaLayerState* layer_state = state ? &(*state)[i] : nullptr;
    const std::string stream = fmt::format("dropout/backbone.layers.{}.mixer.module", i);
    mixed = mix(layer, x, layer_state,
                {.position = position,
                 .pass = pass,
                 .stream = hash_name(stream.c_str()),
                 .state = layer_state ? &layer_state->gate : nullptr},
                [&](const ScanInputs& mixing) { shown(static_cast<std::int64_t>(i), mixing); });
  }
  // Only the asked rows go through the last norm: the others have no use for it.
  const Tensor last_residual = gather_rows(residual, rows), last_mixed = gather_rows(mixed, rows);
  Tensor sum;
  return add_rms_norm(last_residual, last_mixed, final_norm_.master, config_.norm_eps, &sum);
}

Tensor Mamba::features(const Tensor& tokens, const Tensor& rows, const Tensor* position,
                       MambaState* state, const Tensor* pass) {
  return run(tokens, rows, position, state, pass, NoProbe{});
}

void Mamba::probe(const Tensor& tokens, const Probe& probe) {
  const NoTape inference;
  run(tokens, some_row(tokens.device()), nullptr, nullptr, nullptr, probe);
}

}  // namespace farsight
