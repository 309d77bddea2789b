#include "models/rwkv.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/philox.h"
#include "ops/dropout.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/gather_rows.h"
#include "ops/gelu.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"
#include "ops/positions.h"
#include "ops/token_shift.h"
#include "ops/wkv.h"

namespace farsight {
namespace {

constexpr double kDeviation = 0.02;

Parameter vector_of(std::int64_t size, double value) {
  return {{size}, Distribution::constant(value)};
}
Parameter normal_matrix(std::int64_t out, std::int64_t in, double deviation) {
  return {{out, in}, Distribution::normal(deviation), Role::matrix};
}
/// As torch.nn.Linear begins: RWKV's own initialiser, init_rwkv in models/mixers/rwkv.py of the
/// authors' code, is called nowhere in it.
Parameter uniform_matrix(std::int64_t out, std::int64_t in) {
  return {{out, in}, Distribution::uniform(1 / std::sqrt(static_cast<double>(in))), Role::matrix};
}
/// A mix of channel h: (h / d)^power + offset, shaped as checkpoints have it.
Parameter mix(std::int64_t size, double power, double offset) {
  Parameter p{{1, 1, size}, Distribution::power_of_channel(power, offset)};
  p.decays_as_matrix = false;
  return p;
}

Affine affine(const Parameter& weight, const Parameter& bias) {
  return {weight.master, bias.master};
}

}  // namespace

Rwkv::Layer Rwkv::make_layer(std::int64_t index) const {
  const RwkvConfig& c = config_;
  const std::int64_t d = c.d_model;
  const double layers = static_cast<double>(c.n_layer), at = static_cast<double>(index);
  const double rising = at / std::max(layers - 1, 1.0), falling = 1 - at / layers;
  const auto norm = [&]() -> WithBias { return {vector_of(d, 1), vector_of(d, 0)}; };
  Layer layer{.norm1 = norm(),
              .norm2 = norm(),
              .time = {.decay = {{d}, Distribution::decay_of_channel(0.7 + 1.3 * rising)},
                       .first = {{d}, Distribution::zigzag(std::log(0.3))},
                       .mix_key = mix(d, falling, 0),
                       .mix_value = mix(d, falling, 0.3 * rising),
                       .mix_receptance = mix(d, 0.5 * falling, 0),
                       .key = uniform_matrix(d, d),
                       .value = uniform_matrix(d, d),
                       .receptance = uniform_matrix(d, d),
                       .output = uniform_matrix(d, d)},
              .channel = {},
              .fc1 = {},
              .fc2 = {}};
  if (c.published()) {
    layer.channel = {.mix_key = mix(d, falling, 0),
                     .mix_receptance = mix(d, falling, 0),
                     .key = uniform_matrix(c.d_ff, d),
                     .receptance = uniform_matrix(d, d),
                     .value = uniform_matrix(d, c.d_ff)};
  } else {
    layer.fc1 = {normal_matrix(c.d_ff, d, kDeviation), vector_of(c.d_ff, 0)};
    layer.fc2 = {normal_matrix(d, c.d_ff, kDeviation / std::sqrt(2 * layers)), vector_of(d, 0)};
  }
  return layer;
}

Rwkv::Rwkv(const RwkvConfig& config, Device device, DType compute)
    : config_(config), device_(device), compute_(compute) {
  config_.validate();
  const std::int64_t V = config_.vocab_size, d = config_.d_model;
  embeddings_ = normal_matrix(V, d, kDeviation);
  if (config_.published()) {
    embeddings_.role = Role::other;  // rows of it are read, in f32; no product has it as an operand
    head_ = normal_matrix(V, d, kDeviation);
    pre_norm_ = {vector_of(d, 1), vector_of(d, 0)};
  } else {
    positions_ = normal_matrix(config_.l_max, d, kDeviation);
    positions_.role = Role::other;
  }
  final_norm_ = {vector_of(d, 1), vector_of(d, 0)};
  for (std::int64_t i = 0; i < config_.n_layer; i++) {
    layers_.push_back(make_layer(i));
  }
  parameters_ = std::make_unique<ParameterStore>([this](const ParameterVisitor& f) { visit(f); },
                                                 device, compute);
}

void Rwkv::visit(const ParameterVisitor& f) {
  config_.published() ? visit_published(f) : visit_authors(f);
}

void Rwkv::visit_published(const ParameterVisitor& f) {
  const auto both = [&](const std::string& name, WithBias& parameters) {
    f(name + ".weight", parameters.weight);
    f(name + ".bias", parameters.bias);
  };
  f("rwkv.embeddings.weight", embeddings_);
  for (std::size_t i = 0; i < layers_.size(); i++) {
    Layer& layer = layers_[i];
    const std::string prefix = fmt::format("rwkv.blocks.{}.", i);
    const std::string attention = prefix + "attention.", feed_forward = prefix + "feed_forward.";
    if (i == 0) both(prefix + "pre_ln", pre_norm_);
    both(prefix + "ln1", layer.norm1);
    both(prefix + "ln2", layer.norm2);
    f(attention + "time_decay", layer.time.decay);
    f(attention + "time_first", layer.time.first);
    f(attention + "time_mix_key", layer.time.mix_key);
    f(attention + "time_mix_value", layer.time.mix_value);
    f(attention + "time_mix_receptance", layer.time.mix_receptance);
    f(attention + "key.weight", layer.time.key);
    f(attention + "value.weight", layer.time.value);
    f(attention + "receptance.weight", layer.time.receptance);
    f(attention + "output.weight", layer.time.output);
    f(feed_forward + "time_mix_key", layer.channel.mix_key);
    f(feed_forward + "time_mix_receptance", layer.channel.mix_receptance);
    f(feed_forward + "key.weight", layer.channel.key);
    f(feed_forward + "receptance.weight", layer.channel.receptance);
    f(feed_forward + "value.weight", layer.channel.value);
  }
  both("rwkv.ln_out", final_norm_);
  f("head.weight", head_);
}

void Rwkv::visit_authors(const ParameterVisitor& f) {
  const auto both = [&](const std::string& name, WithBias& parameters) {
    f(name + ".weight", parameters.weight);
    f(name + ".bias", parameters.bias);
  };
  f("backbone.embeddings.word_embeddings.weight", embeddings_);
  f("backbone.embeddings.position_embeddings.weight", positions_);
  for (std::size_t i = 0; i < layers_.size(); i++) {
    Layer& layer = layers_[i];
    const std::string prefix = fmt::format("backbone.layers.{}.", i);
    const std::string mixer = prefix + "sequence_mixer.";
    f(mixer + "time_decay", layer.time.decay);
    f(mixer + "time_first", layer.time.first);
    f(mixer + "time_mix_k", layer.time.mix_key);
    f(mixer + "time_mix_v", layer.time.mix_value);
    f(mixer + "time_mix_r", layer.time.mix_receptance);
    f(mixer + "key.weight", layer.time.key);
    f(mixer + "value.weight", layer.time.value);
    f(mixer + "receptance.weight", layer.time.receptance);
    f(mixer + "output.weight", layer.time.output);
    both(prefix + "state_mixer.fc1", layer.fc1);
    both(prefix + "state_mixer.fc2", layer.fc2);
    both(prefix + "norm1", layer.norm1);
    both(prefix + "norm2", layer.norm2);
  }
  both("backbone.ln_f", final_norm_);
}

RwkvState Rwkv::empty_state(std::int64_t batch) const {
  const std::int64_t d = config_.d_model;
  const DType wide = accumulator_of(compute_);
  const Tensor nothing = Tensor::zeros({batch, 3, d}, wide, Device::cpu, "state");
  with_type(wide, [&]<class T>() {
    for (std::int64_t i = 0; i < nothing.elements(); i++) {
      if (i / d % 3 == 2) nothing.data<T>()[i] = T(static_cast<accumulator_t<T>>(kWkvNothing));
    }
  });
  RwkvState state;
  for (std::size_t i = 0; i < layers_.size(); i++) {
    const Tensor before = Tensor::zeros({batch, d}, compute_, device_, "state");
    state.layers.push_back({.time = before, .sums = nothing.to(device_), .channel = before});
  }
  return state;
}

Tensor Rwkv::embedded(const Tensor& tokens, const Tensor* position, std::int64_t length,
                      const Tensor* pass) const {
  const Tensor words = embedding(tokens, embeddings_.master);
  if (config_.published()) {
    const DType wide = accumulator_of(compute_);
    return layer_norm(words, affine(pre_norm_.weight, pre_norm_.bias), config_.norm_eps, wide);
  }
  const Tensor placed = position ? add(words, embedding(*position, positions_.master))
                                 : add_positions(words, positions_.master, length);
  return dropout(
      placed,
      {.p = config_.embed_dropout, .pass = pass, .stream = hash_name("dropout/embeddings")});
}

template <class Look>
Tensor Rwkv::mix_time(const TimeMix& mixer, const Tensor& x, const Tensor* position,
                      RwkvState::Layer* state, const Look& look) const {
  const std::vector<Tensor> mixed =
      token_shift(x, {mixer.mix_key.master, mixer.mix_value.master, mixer.mix_receptance.master},
                  {.before = state ? &state->time : nullptr,
                   .position = position,
                   .last = state ? &state->time : nullptr});
  const Tensor k = linear(mixed[0], mixer.key.operand), v = linear(mixed[1], mixer.value.operand);
  const Tensor r = linear(mixed[2], mixer.receptance.operand);
  const WkvInputs in{.k = k,
                     .v = v,
                     .decay = mixer.decay.master,
                     .first = mixer.first.master,
                     .r = &r,
                     .initial_state = state ? &state->sums : nullptr,
                     .position = position};
  look(in);
  const Tensor y = wkv(in, state ? &state->sums : nullptr);
  return linear(y, mixer.output.operand);
}

Tensor Rwkv::mix_channels(const ChannelMix& mixer, const Tensor& x, const Tensor* position,
                          RwkvState::Layer* state) const {
  const std::vector<Tensor> mixed =
      token_shift(x, {mixer.mix_key.master, mixer.mix_receptance.master},
                  {.before = state ? &state->channel : nullptr,
                   .position = position,
                   .last = state ? &state->channel : nullptr});
  const Tensor k = squared_relu(linear(mixed[0], mixer.key.operand));
  return gate(linear(mixed[1], mixer.receptance.operand), linear(k, mixer.value.operand));
}

template <class Shown>
Tensor Rwkv::run(const Tensor& tokens, const Tensor& rows, const Tensor* position, RwkvState* state,
                 const Tensor* pass, const Shown& shown) {
  check(tokens.shape().n == 2, "rwkv: tokens must be [B, T], got {}", tokens.shape());
  check(state == nullptr || state->layers.size() == layers_.size(),
        "rwkv: the state has {} layers, the model {}", state ? state->layers.size() : 0,
        layers_.size());
  const std::int64_t length = state ? state->length : 0, all = length + tokens.dim(1);
  require(config_.published() || position != nullptr || all <= config_.l_max, ExitCode::data,
          "rwkv: a sequence of {} tokens is longer than the model's {} learned positions", all,
          config_.l_max);
  const double eps = config_.norm_eps;
  Tensor residual = embedded(tokens, position, length, pass), branch;
  for (std::size_t i = 0; i < layers_.size(); i++) {
    const Layer& layer = layers_[i];
    const NameScope scope(fmt::format("layer {}", i));
    RwkvState::Layer* carried = state ? &state->layers[i] : nullptr;
    const Affine first = affine(layer.norm1.weight, layer.norm1.bias);
    const Affine second = affine(layer.norm2.weight, layer.norm2.bias);
    const Tensor x = i == 0 ? layer_norm(residual, first, eps, compute_)
                            : add_layer_norm(residual, {branch}, first, eps, &residual);
    branch = mix_time(layer.time, x, position, carried, [&](const WkvInputs& mixing) {
      shown(static_cast<std::int64_t>(i), mixing);
    });
    const Tensor h = add_layer_norm(residual, {branch}, second, eps, &residual);
    if (config_.published()) {
      branch = mix_channels(layer.channel, h, position, carried);
    } else {
      const Tensor up = gelu(linear(h, layer.fc1.weight.operand, &layer.fc1.bias.master));
      branch = linear(up, layer.fc2.weight.operand, &layer.fc2.bias.master);
    }
  }
  if (state != nullptr) state->length = all;
  // Only the asked rows go through the last norm: the others have no use for it.
  const Tensor last_residual = gather_rows(residual, rows), last = gather_rows(branch, rows);
  Tensor sum;
  return add_layer_norm(last_residual, {last}, affine(final_norm_.weight, final_norm_.bias), eps,
                        &sum);
}

Tensor Rwkv::features(const Tensor& tokens, const Tensor& rows, const Tensor* position,
                      RwkvState* state, const Tensor* pass) {
  return run(tokens, rows, position, state, pass, NoProbe{});
}

void Rwkv::probe(const Tensor& tokens, const Probe& probe) {
  const NoTape inference;
  run(tokens, some_row(tokens.device()), nullptr, nullptr, nullptr, probe);
}

}  // namespace farsight
