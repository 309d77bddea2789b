#include "models/hyena.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/philox.h"
#include "models/history.h"
#include "ops/causal_conv1d.h"
#include "ops/dropout.h"
#include "ops/embedding.h"
#include "ops/gather_rows.h"
#include "ops/gelu.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"
#include "ops/long_conv.h"
#include "ops/positions.h"
#include "ops/sine.h"

namespace farsight {
namespace {

constexpr double kDeviation = 0.02;
constexpr int kFilterHidden = 3;

Parameter vector_of(std::int64_t size, double value) {
  return {{size}, Distribution::constant(value)};
}

/// A network of an f32 filter has f32 operands.
Parameter weight(std::int64_t out, std::int64_t in, double deviation, Role role) {
  return {{out, in}, Distribution::normal(deviation), role};
}

}  // namespace

Hyena::Layer Hyena::make_layer() const {
  const HyenaConfig& c = config_;
  const std::int64_t d = c.d_model;
  // Two branches a layer add to the residual stream: their last matrices begin smaller.
  const double into_residual = kDeviation / std::sqrt(2 * static_cast<double>(c.n_layer));
  const auto norm = [&]() -> WithBias { return {vector_of(d, 1), vector_of(d, 0)}; };
  const auto projection = [&](std::int64_t out, std::int64_t in, double deviation) -> WithBias {
    return {weight(out, in, deviation, Role::matrix), vector_of(out, 0)};
  };
  const Distribution by_taps = Distribution::uniform(1 / std::sqrt(static_cast<double>(c.d_conv)));
  Layer layer{.norm1 = norm(),
              .norm2 = norm(),
              .in_proj = projection(3 * d, d, kDeviation),
              .out_proj = projection(d, d, into_residual),
              .short_filter = {{{3 * d, 1, c.d_conv}, by_taps}, {{3 * d}, by_taps}},
              .fc1 = projection(c.d_ff, d, kDeviation),
              .fc2 = projection(d, c.d_ff, into_residual),
              .filter_bias = {{d}, Distribution::normal(1)},
              .z = {{1, c.l_max, c.filter_features}, Distribution::time_features()},
              .frequency = {{1, c.filter_width}, Distribution::constant(c.filter_frequency)},
              .filter_out = weight(d, c.filter_width, kDeviation, Role::other),
              .filter_hidden = {}};
  for (int i = 0; i < kFilterHidden; i++) {
    const std::int64_t in = i == 0 ? c.filter_features : c.filter_width;
    layer.filter_hidden.push_back(
        {weight(c.filter_width, in, kDeviation, Role::other), vector_of(c.filter_width, 0)});
  }
  // The original gives the filter no weight decay.
  layer.z.decays_as_matrix = layer.frequency.decays_as_matrix = false;
  layer.filter_out.decays_as_matrix = false;
  for (WithBias& hidden : layer.filter_hidden) {
    hidden.weight.decays_as_matrix = false;
  }
  return layer;
}

Hyena::Hyena(const HyenaConfig& config, Device device, DType compute)
    : config_(config), device_(device), compute_(compute) {
  config_.validate();
  embeddings_ = weight(config_.vocab_size, config_.d_model, kDeviation, Role::matrix);
  positions_ = weight(config_.l_max, config_.d_model, kDeviation, Role::other);
  final_norm_ = {vector_of(config_.d_model, 1), vector_of(config_.d_model, 0)};
  for (std::int64_t i = 0; i < config_.n_layer; i++) {
    layers_.push_back(make_layer());
  }
  parameters_ = std::make_unique<ParameterStore>([this](const ParameterVisitor& f) { visit(f); },
                                                 device, compute);
}

void Hyena::visit(const ParameterVisitor& f) {
  const auto both = [&](const std::string& name, WithBias& parameters) {
    f(name + ".weight", parameters.weight);
    f(name + ".bias", parameters.bias);
  };
  f("backbone.embeddings.word_embeddings.weight", embeddings_);
  if (config_.has_positions()) f("backbone.embeddings.position_embeddings.weight", positions_);
  for (std::size_t i = 0; i < layers_.size(); i++) {
    Layer& layer = layers_[i];
    const std::string prefix = fmt::format("backbone.layers.{}.", i);
    const std::string filter = prefix + "mixer.filter_fn.";
    both(prefix + "mixer.in_proj", layer.in_proj);
    both(prefix + "mixer.out_proj", layer.out_proj);
    both(prefix + "mixer.short_filter", layer.short_filter);
    f(filter + "bias", layer.filter_bias);
    f(filter + "pos_emb.z", layer.z);
    // The sines between the linear layers are one: its first place names it.
    both(filter + "implicit_filter.0", layer.filter_hidden[0]);
    f(filter + "implicit_filter.1.freq", layer.frequency);
    both(filter + "implicit_filter.2", layer.filter_hidden[1]);
    both(filter + "implicit_filter.4", layer.filter_hidden[2]);
    f(filter + "implicit_filter.6.weight", layer.filter_out);
    both(prefix + "norm1", layer.norm1);
    both(prefix + "mlp.fc1", layer.fc1);
    both(prefix + "mlp.fc2", layer.fc2);
    both(prefix + "norm2", layer.norm2);
  }
  both("backbone.ln_f", final_norm_);
}

HyenaState Hyena::empty_state(std::int64_t batch) const {
  const NoTape inference;
  HyenaState state;
  for (const Layer& layer : layers_) {
    state.layers.push_back(
        {.conv = Tensor::zeros({batch, config_.d_conv - 1, 3 * config_.d_model}, compute_, device_,
                               "state"),
         .cache = Tensor::empty({batch, 0, config_.d_model}, compute_, device_, "state"),
         .k = filter(layer)});
  }
  return state;
}

void Hyena::make_room(HyenaState& state, std::int64_t tokens) const {
  const std::int64_t needed = state.length + tokens, had = state.layers[0].cache.dim(1);
  if (needed <= had) return;
  const std::int64_t D = config_.d_model;
  const std::int64_t capacity =
      std::min(std::max({needed, 2 * had, std::int64_t{64}}), config_.l_max);
  for (HyenaState::Layer& layer : state.layers) {
    const std::int64_t B = layer.cache.dim(0);
    const Tensor wider = Tensor::empty({B, capacity, D}, compute_, device_, "state");
    const Tensor to = wider.reshape({B * capacity, D}), from = layer.cache.reshape({B * had, D});
    for (std::int64_t b = 0; b < B && state.length > 0; b++) {
      to.range(b * capacity, state.length).copy_from(from.range(b * had, state.length));
    }
    layer.cache = wider;
  }
}

Tensor Hyena::filter(const Layer& layer) const {
  const Tensor frequency = layer.frequency.master.reshape({config_.filter_width});
  Tensor h = layer.z.master.reshape({config_.l_max, config_.filter_features});
  for (const WithBias& hidden : layer.filter_hidden) {
    h = sine(linear(h, hidden.weight.master, &hidden.bias.master), frequency);
  }
  DecayRates rates = hyena_decay(config_);
  rates.rounded = parameters_->storage() == Storage::bf16;
  return decay(linear(h, layer.filter_out.master), rates);
}

template <class Look>
Tensor Hyena::mix(const Layer& layer, const Tensor& x, std::int64_t length,
                  HyenaState::Layer* state, const Look& look) const {
  const std::int64_t d = config_.d_model;
  const Tensor u = linear(x, layer.in_proj.weight.operand, &layer.in_proj.bias.master);
  const Tensor chunks =
      causal_conv1d(u, layer.short_filter.weight.master, layer.short_filter.bias.master,
                    {.silu = false, .history = state ? &state->conv : nullptr});
  const std::vector<Tensor> parts = split(chunks, {d, d, d});
  const bool safari = config_.form == HyenaForm::safari;
  const Tensor &pre = parts[safari ? 1 : 0], &post = parts[safari ? 0 : 1], &v = parts[2];
  Tensor y;
  if (state == nullptr) {
    const Tensor k = filter(layer);
    look(LongConvInputs{v, pre, post, k, layer.filter_bias.master});
    y = long_conv(v, pre, post, k, layer.filter_bias.master);
  } else {
    y = long_conv_step(v, pre, post, state->k, layer.filter_bias.master, state->cache, length);
    state->conv = advance_history(state->conv, u);
  }
  return linear(y, layer.out_proj.weight.operand, &layer.out_proj.bias.master);
}

template <class Shown>
Tensor Hyena::run(const Tensor& tokens, const Tensor& rows, const Tensor* position,
                  HyenaState* state, const Tensor* pass, const Shown& shown) {
  check(tokens.shape().n == 2, "hyena: tokens must be [B, T], got {}", tokens.shape());
  check(position == nullptr, "hyena: rows cannot be packed: the filter runs through whole rows");
  check(state == nullptr || state->layers.size() == layers_.size(),
        "hyena: the state has {} layers, the model {}", state ? state->layers.size() : 0,
        layers_.size());
  const std::int64_t length = state ? state->length : 0, all = length + tokens.dim(1);
  require(all <= config_.l_max, ExitCode::data,
          "hyena: a sequence of {} tokens is longer than the model's l_max of {}: its filter ends "
          "there",
          all, config_.l_max);
  if (state != nullptr) make_room(*state, tokens.dim(1));
  const double eps = config_.norm_eps;
  const auto affine = [](const WithBias& norm) {
    return Affine{norm.weight.master, norm.bias.master};
  };
  Tensor residual = embedding(tokens, embeddings_.master);
  if (config_.has_positions()) residual = add_positions(residual, positions_.master, length);
  residual = dropout(
      residual,
      {.p = config_.embed_dropout, .pass = pass, .stream = hash_name("dropout/embeddings")});
  Tensor branch;
  for (std::size_t i = 0; i < layers_.size(); i++) {
    const Layer& layer = layers_[i];
    const NameScope scope(fmt::format("layer {}", i));
    const Tensor x = i == 0
                         ? layer_norm(residual, affine(layer.norm1), eps, compute_)
                         : add_layer_norm(residual, {branch}, affine(layer.norm1), eps, &residual);
    branch =
        mix(layer, x, length, state ? &state->layers[i] : nullptr,
            [&](const LongConvInputs& mixing) { shown(static_cast<std::int64_t>(i), mixing); });
    const Tensor h = add_layer_norm(residual, {branch}, affine(layer.norm2), eps, &residual);
    const Tensor up = gelu(linear(h, layer.fc1.weight.operand, &layer.fc1.bias.master),
                           config_.form == HyenaForm::safari ? Gelu::tanh : Gelu::exact);
    branch = linear(up, layer.fc2.weight.operand, &layer.fc2.bias.master);
  }
  if (state != nullptr) state->length = all;
  // Only the asked rows go through the last norm: the others have no use for it.
  const Tensor last_residual = gather_rows(residual, rows), last = gather_rows(branch, rows);
  Tensor sum;
  return add_layer_norm(last_residual, {last}, affine(final_norm_), eps, &sum);
}

Tensor Hyena::features(const Tensor& tokens, const Tensor& rows, const Tensor* position,
                       HyenaState* state, const Tensor* pass) {
  return run(tokens, rows, position, state, pass, NoProbe{});
}

void Hyena::probe(const Tensor& tokens, const Probe& probe) {
  const NoTape inference;
  run(tokens, some_row(tokens.device()), nullptr, nullptr, nullptr, probe);
}

}  // namespace farsight
