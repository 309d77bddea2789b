// What must hold of every family of models: the same logits from loops, in packed rows, in pieces,
// from a decoder and, nearly, in bf16; gradients that are the slopes of the loss.
// M is the class of a model (models/mamba.h, models/pythia.h ...), on the CPU.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "autograd/tape.h"
#include "core/arena.h"
#include "models/model.h"
#include "ops/linear.h"
#include "ops/linear_cross_entropy.h"
#include "tests/model_inputs.h"

namespace farsight {

template <class M>
using StateOf = decltype(std::declval<M&>().empty_state(1));

/// Logits [B * T, V] of every position.
template <class M>
Tensor all_logits(M& model, const Tensor& tokens, const Tensor* position = nullptr,
                  StateOf<M>* state = nullptr, const Tensor* pass = nullptr) {
  const NoTape inference;
  const Tensor rows = all_rows(tokens.elements());
  const auto logits = [&](const Tensor& features) {
    return linear(features, model.head().operand).to(DType::f64);
  };
  if constexpr (requires { model.features(tokens, rows, position, state, pass); }) {
    return logits(model.features(tokens, rows, position, state, pass));
  } else {
    REQUIRE(pass == nullptr);
    return logits(model.features(tokens, rows, position, state));
  }
}

/// Largest difference, relative to the largest value.
inline double distance(const Tensor& a, const Tensor& b) {
  REQUIRE(a.elements() == b.elements());
  double most = 0, scale = 0;
  for (std::int64_t i = 0; i < a.elements(); i++) {
    const double difference = std::abs(a.data<double>()[i] - b.data<double>()[i]);
    most = std::isfinite(difference) ? std::max(most, difference) : INFINITY;
    scale = std::max(scale, std::abs(b.data<double>()[i]));
  }
  return most / scale;
}

using NamesAndShapes = std::vector<std::pair<std::string, Shape>>;

inline void check_names_and_shapes(const ParameterStore& parameters,
                                   const NamesAndShapes& expected) {
  const auto& entries = parameters.entries();
  REQUIRE(entries.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); i++) {
    CHECK(entries[i].name == expected[i].first);
    CHECK(entries[i].parameter->shape == expected[i].second);
  }
}

/// Two sequences of T tokens in f64, beside loops: `naive` takes one sequence, gives [T][V].
template <class Naive, class M>
void check_against_naive(M& model, std::int64_t T) {
  const std::int64_t B = 2, V = model.config().vocab_size;
  const Tokens tokens = some_tokens(B * T, V);
  const Tensor logits = all_logits(model, indices(tokens, {B, T}));
  const Naive naive(model);
  const Tensor expected = Tensor::zeros(logits.shape(), DType::f64);
  double* to = expected.data<double>();
  for (std::int64_t b = 0; b < B; b++) {
    const auto first = tokens.begin() + b * T;
    for (const std::vector<double>& row : naive.logits({first, first + T})) {
      to = std::copy(row.begin(), row.end(), to);
    }
  }
  REQUIRE(to == expected.data<double>() + expected.elements());
  CHECK(distance(logits, expected) <= 1e-10);
}

/// Two sequences of these lengths in one row of tokens, in f64, beside each by itself.
template <class M>
void check_packed_rows(M& model, std::int64_t first_length, std::int64_t second_length) {
  const std::int64_t V = model.config().vocab_size, T = first_length + second_length;
  const Tokens first = some_tokens(first_length, V), second = some_tokens(second_length, V - 2);
  Tokens joined = first, position(static_cast<std::size_t>(T));
  joined.insert(joined.end(), second.begin(), second.end());
  const auto border = position.begin() + first_length;
  std::iota(position.begin(), border, 0);
  std::iota(border, position.end(), 0);
  const Tensor where = indices(position, {1, T});
  const Tensor packed = all_logits(model, indices(joined, {1, T}), &where);
  CHECK(distance(packed.range(0, first_length),
                 all_logits(model, indices(first, {1, first_length}))) <= 1e-12);
  CHECK(distance(packed.range(first_length, second_length),
                 all_logits(model, indices(second, {1, second_length}))) <= 1e-12);
}

using Lengths = std::vector<std::int64_t>;

inline Lengths one_by_one(std::int64_t T) {
  return Lengths(static_cast<std::size_t>(T), 1);
}

/// Logits of tokens [2, T] fed in pieces of these lengths.
template <class M>
Tensor in_pieces(M& model, const Tokens& tokens, const Lengths& lengths) {
  const std::int64_t V = model.config().vocab_size;
  const std::int64_t T = static_cast<std::int64_t>(tokens.size()) / 2;
  Tensor logits = Tensor::zeros({2 * T, V}, DType::f64);
  StateOf<M> state = model.empty_state(2);
  std::int64_t begin = 0;
  for (const std::int64_t length : lengths) {
    const Tensor part = all_logits(model, piece_of(tokens, 2, begin, length), nullptr, &state);
    for (std::int64_t b = 0; b < 2; b++) {
      std::copy_n(part.data<double>() + b * length * V, length * V,
                  logits.data<double>() + (b * T + begin) * V);
    }
    begin += length;
  }
  REQUIRE(begin == T);
  if constexpr (requires { state.length; }) REQUIRE(state.length == T);
  return logits;
}

/// Two sequences of T tokens, one token at a time and in pieces of the given lengths, beside one pass.
template <class M>
void check_in_pieces(M& model, std::int64_t T, const std::vector<Lengths>& ways, double tolerance) {
  const Tokens tokens = some_tokens(2 * T, model.config().vocab_size);
  const Tensor whole = all_logits(model, indices(tokens, {2, T}));
  CHECK(distance(in_pieces(model, tokens, one_by_one(T)), whole) <= tolerance);
  for (const Lengths& lengths : ways) {
    INFO(lengths.size(), " pieces, the first of ", lengths.front());
    CHECK(distance(in_pieces(model, tokens, lengths), whole) <= tolerance);
  }
}

/// A prompt of 8 tokens and 4 after it in f64, while another decoder is at work. Returns how many
/// bytes the arena held after each of the 4.
inline std::vector<std::int64_t> check_decoder_remembers(const Model& model) {
  const Tokens tokens = some_tokens(12, model.vocab_size);
  const Tensor expected = logits_at(model, indices(tokens, {1, 12}), indices({11}, {1}));
  const Decoder one = model.decoder(1), other = model.decoder(1);
  Tensor last = one(piece_of(tokens, 1, 0, 8));
  std::vector<std::int64_t> held;
  for (std::int64_t t = 8; t < 12; t++) {
    other(indices({1}, {1, 1}));
    last = one(piece_of(tokens, 1, t, 1));
    held.push_back(arena(Device::cpu).in_use_bytes());
  }
  CHECK(distance(last, expected) <= 1e-10);
  return held;
}

/// First values and two sequences of T tokens, in f32 and in bf16: close, and `least` apart, for
/// bf16 does round.
template <class M, class Config>
void check_bf16_near_f32(const Config& config, std::int64_t T, double least = 1e-5) {
  M exact(config, Device::cpu, DType::f32), rounded(config, Device::cpu, DType::bf16);
  exact.parameters().initialise(11);
  rounded.parameters().initialise(11);
  const Tensor tokens = indices(some_tokens(2 * T, config.vocab_size), {2, T});
  const double error = distance(all_logits(rounded, tokens), all_logits(exact, tokens));
  CHECK(error <= 0.04);
  CHECK(error > least);
}

/// Loss of six labelled rows of [2, 11] tokens of 13 and, when `learn`, its gradients; in f64.
inline double loss_of(const Model& model, const Tensor& tokens, const Tensor* position,
                      const Tensor* pass, bool learn) {
  const Tensor rows = indices({1, 2, 9, 10, 15, 21}, {6});
  const Tensor targets = indices({3, 0, 12, 7, 7, 1}, {6});
  model.parameters->forget_gradients();
  const Tensor one = Tensor::zeros({1}, DType::f64);
  one.data<double>()[0] = 1;
  Tape tape;
  const Tensor loss = linear_cross_entropy(model.features(tokens, rows, position, pass),
                                           model.head->operand, targets, 1.0 / 6);
  const double value = loss.data<double>()[0];
  if (learn) tape.backward(loss, one);
  if (learn) model.parameters->complete_gradients();
  return value;
}

struct GradientCheck {
  bool packed = false;           ///< several sequences in a row
  const Tensor* pass = nullptr;  ///< of dropout
  double h = 1e-4;               ///< with four points the error is of order h^4
  double tolerance = 1e-6;       ///< relative to the slope
  /// Beside the rest of the model, a tiny gradient only has to be right to tolerance * floor of it.
  double floor = 1e-4;
  int directions = 1;  ///< of each parameter
};

/// Shakes the f64 model, then holds the gradient of each parameter, along random directions, against
/// central differences.
inline void check_gradients(const Model& model, const GradientCheck& how) {
  const Tensor tokens = indices(some_tokens(22, 13), {2, 11});
  const Tensor several =
      indices({0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {2, 11});
  const Tensor* position = how.packed ? &several : nullptr;
  ParameterStore& parameters = *model.parameters;
  shake(parameters, 6);
  loss_of(model, tokens, position, how.pass, true);
  const Tensor gradients = parameters.gradients().to(DType::f64);
  double all = 0;
  for (const double g : gradients.span<double>()) {
    all += g * g;
  }
  all = std::sqrt(all);
  std::uint64_t stream = 100;
  for (const ParameterStore::Entry& entry : parameters.entries()) {
    INFO(entry.name, ", packed ", how.packed);
    const double* g = gradients.data<double>() + entry.offset;
    double* p = entry.parameter->master.data<double>();
    const Tensor start = entry.parameter->master.to(DType::f64);
    for (int round = 0; round < how.directions; round++) {
      const Tensor direction = random_normal({entry.count}, DType::f64, 8, stream++);
      const double* v = direction.data<double>();
      const auto loss_at = [&](double step) {
        for (std::int64_t i = 0; i < entry.count; i++) {
          p[i] = start.data<double>()[i] + step * v[i];
        }
        return loss_of(model, tokens, position, how.pass, false);
      };
      const double h = how.h;
      const double numeric =
          (8 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12 * h);
      loss_at(0);
      double analytic = 0, norm = 0;
      for (std::int64_t i = 0; i < entry.count; i++) {
        analytic += g[i] * v[i];
        norm += g[i] * g[i];
      }
      CHECK(norm > 0);
      const double floor = std::max(0.1 * std::sqrt(norm), how.floor * all);
      CHECK(std::abs(analytic - numeric) <= how.tolerance * std::max(std::abs(numeric), floor));
    }
  }
}

}  // namespace farsight
