// RWKV as a function: against a naive implementation, packed rows, step mode, dropout, bf16,
// gradients.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/tape.h"
#include "models/model.h"
#include "ops/linear_cross_entropy.h"
#include "ops/wkv.h"
#include "tests/naive_rwkv.h"
#include "tests/small_rwkv.h"

namespace farsight {
namespace {

TEST_CASE("rwkv: the forward equals a naive implementation of the formulas") {
  for (const RwkvConfig& config : kBoth) {
    INFO(form_of(config));
    Rwkv rwkv(config, Device::cpu, DType::f64);
    shake(rwkv.parameters(), 3);
    const std::int64_t B = 2, T = 71;  // longer than two chunks
    const Tokens tokens = some_tokens(B * T, config.vocab_size);
    const Tensor logits = all_logits(rwkv, indices(tokens, {B, T}));
    const NaiveRwkv naive(rwkv);
    Tensor expected = Tensor::zeros(logits.shape(), DType::f64);
    for (std::int64_t b = 0; b < B; b++) {
      const auto first = tokens.begin() + b * T;
      const auto rows = naive.logits({first, first + T});
      for (std::size_t t = 0; t < rows.size(); t++) {
        std::copy(
            rows[t].begin(), rows[t].end(),
            expected.data<double>() + (b * T + static_cast<std::int64_t>(t)) * config.vocab_size);
      }
    }
    CHECK(distance(logits, expected) <= 1e-10);
  }
}

TEST_CASE("rwkv: packed rows give what separate rows give") {
  for (const RwkvConfig& config : kBoth) {
    INFO(form_of(config));
    Rwkv rwkv(config, Device::cpu, DType::f64);
    shake(rwkv.parameters(), 7);
    const Tokens first = some_tokens(35, 13), second = some_tokens(80, 11);
    Tokens joined = first, position(35);
    joined.insert(joined.end(), second.begin(), second.end());
    std::iota(position.begin(), position.end(), 0);
    for (int t = 0; t < 80; t++) {
      position.push_back(t);
    }
    // Together longer than the positions of the authors' form, alone not.
    const Tensor where = indices(position, {1, 115});
    const Tensor packed = all_logits(rwkv, indices(joined, {1, 115}), &where);
    CHECK(distance(packed.range(0, 35), all_logits(rwkv, indices(first, {1, 35}))) <= 1e-12);
    CHECK(distance(packed.range(35, 80), all_logits(rwkv, indices(second, {1, 80}))) <= 1e-12);
  }
}

/// Logits of tokens [2, T] fed in pieces of these lengths.
Tensor in_pieces(Rwkv& rwkv, const Tokens& tokens, std::int64_t T,
                 const std::vector<std::int64_t>& lengths) {
  const std::int64_t V = rwkv.config().vocab_size;
  Tensor logits = Tensor::zeros({2 * T, V}, DType::f64);
  RwkvState state = rwkv.empty_state(2);
  std::int64_t begin = 0;
  for (const std::int64_t length : lengths) {
    Tokens piece;
    for (std::int64_t b = 0; b < 2; b++) {
      const auto from = tokens.begin() + b * T + begin;
      piece.insert(piece.end(), from, from + length);
    }
    const Tensor part = all_logits(rwkv, indices(piece, {2, length}), nullptr, &state);
    for (std::int64_t b = 0; b < 2; b++) {
      std::copy_n(part.data<double>() + b * length * V, length * V,
                  logits.data<double>() + (b * T + begin) * V);
    }
    begin += length;
  }
  REQUIRE(begin == T);
  REQUIRE(state.length == T);
  return logits;
}

TEST_CASE("rwkv: token by token and in uneven pieces it computes what one pass computes") {
  constexpr std::int64_t T = 70;
  for (const RwkvConfig& config : kBoth) {
    for (const auto& [dtype, tolerance] :
         {std::pair{DType::f64, 1e-10}, {DType::f32, 1e-5}, {DType::bf16, 0.05}}) {
      INFO(form_of(config), " ", std::string(name_of(dtype)));
      Rwkv rwkv(config, Device::cpu, dtype);
      shake(rwkv.parameters(), 9);
      const Tokens tokens = some_tokens(2 * T, 13);
      const Tensor whole = all_logits(rwkv, indices(tokens, {2, T}));
      CHECK(distance(in_pieces(rwkv, tokens, T, std::vector<std::int64_t>(T, 1)), whole) <=
            tolerance);
      CHECK(distance(in_pieces(rwkv, tokens, T, {1, 2, 58, 3, 5, 1}), whole) <= tolerance);
      CHECK(distance(in_pieces(rwkv, tokens, T, {69, 1}), whole) <= tolerance);
    }
  }
}

TEST_CASE("rwkv: a decoder remembers its own sequences and nobody else's, in constant memory") {
  for (const RwkvConfig& config : kBoth) {
    const Model model = make_rwkv(config, Device::cpu, DType::f64);
    shake(*model.parameters, 10);
    const Tokens tokens = some_tokens(12, 13);
    const Tensor expected = logits_at(model, indices(tokens, {1, 12}), indices({11}, {1}));
    const Decoder one = model.decoder(1), other = model.decoder(1);
    Tensor last = one(indices({tokens.begin(), tokens.begin() + 8}, {1, 8}));
    std::vector<std::int64_t> held;
    for (std::size_t i = 8; i < 12; i++) {
      other(indices({1}, {1, 1}));
      last = one(indices({tokens[i]}, {1, 1}));
      held.push_back(arena(Device::cpu).in_use_bytes());
    }
    CHECK(distance(last, expected) <= 1e-10);
    CHECK(held.back() == held.front());
  }
}

TEST_CASE("rwkv: training passes of the authors' form drop embeddings, evaluation does not") {
  for (const RwkvConfig& config : kBoth) {
    Rwkv rwkv(config, Device::cpu, DType::f64);
    shake(rwkv.parameters(), 12);
    const Tensor tokens = indices(some_tokens(20, 13), {2, 10});
    const Tensor first = indices({5, 0}, {2}), second = indices({6, 0}, {2});
    const Tensor plain = all_logits(rwkv, tokens);
    const Tensor dropped = all_logits(rwkv, tokens, nullptr, nullptr, &first);
    const bool drops = !config.published();
    CHECK((distance(dropped, plain) > 1e-3) == drops);
    CHECK(distance(all_logits(rwkv, tokens, nullptr, nullptr, &first), dropped) == 0);
    CHECK((distance(all_logits(rwkv, tokens, nullptr, nullptr, &second), dropped) > 1e-3) == drops);
  }
}

TEST_CASE("rwkv: keys that no exponential holds change nothing but the weights") {
  // As 200 and more in plain f64: e^(k - largest k) is all that counts.
  const std::int64_t T = 40, D = 2;
  Tensor k = random_normal({1, T, D}, DType::f64, 5, 0),
         v = random_normal({1, T, D}, DType::f64, 5, 1);
  const Tensor decay = Tensor::zeros({D}, DType::f64), first = Tensor::zeros({D}, DType::f64);
  const Tensor small = wkv({k, v, decay, first});
  for (double& x : k.span<double>()) {
    x += 5000;
  }
  const Tensor large = wkv({k, v, decay, first});
  CHECK(distance(large, small) <= 1e-9);  // what adding 5000 to k rounds off
  const Tensor single =
      wkv({k.to(DType::f32), v.to(DType::f32), decay.to(DType::f32), first.to(DType::f32)});
  CHECK(distance(single.to(DType::f64), small) <= 1e-2);
}

TEST_CASE("rwkv: computing in bf16 stays close to f32") {
  for (const RwkvConfig& form : kBoth) {
    RwkvConfig config = form;
    config.d_model = 32;
    config.d_ff = 64;
    Rwkv exact(config, Device::cpu, DType::f32), rounded(config, Device::cpu, DType::bf16);
    exact.parameters().initialise(11);
    rounded.parameters().initialise(11);
    const Tensor tokens = indices(some_tokens(80, 13), {2, 40});
    const double error = distance(all_logits(rounded, tokens), all_logits(exact, tokens));
    CHECK(error <= 0.04);
    CHECK(error > 1e-5);
  }
}

/// Loss of the labelled rows and, when `learn`, its gradients.
double loss_of(Rwkv& rwkv, const Tensor& tokens, const Tensor* position, bool learn) {
  const Tensor rows = indices({1, 2, 9, 10, 15, 21}, {6});
  const Tensor targets = indices({3, 0, 12, 7, 7, 1}, {6});
  const Tensor pass = indices({77, 0}, {2});
  rwkv.parameters().forget_gradients();
  const Tensor one = Tensor::zeros({1}, DType::f64);
  one.data<double>()[0] = 1;
  Tape tape;
  const Tensor loss = linear_cross_entropy(rwkv.features(tokens, rows, position, nullptr, &pass),
                                           rwkv.head().operand, targets, 1.0 / 6);
  const double value = loss.data<double>()[0];
  if (learn) tape.backward(loss, one);
  if (learn) rwkv.parameters().complete_gradients();
  return value;
}

TEST_CASE("rwkv: the gradient of the whole model equals central differences in f64") {
  const Tensor tokens = indices(some_tokens(22, 13), {2, 11});
  const Tensor packed =
      indices({0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {2, 11});
  for (const RwkvConfig& config : kBoth) {
    for (const Tensor* position : {static_cast<const Tensor*>(nullptr), &packed}) {
      Rwkv rwkv(config, Device::cpu, DType::f64);
      ParameterStore& parameters = rwkv.parameters();
      shake(parameters, 6);
      loss_of(rwkv, tokens, position, true);
      const Tensor gradients = parameters.gradients().to(DType::f64);
      const std::span<const double> all_g = gradients.span<double>();
      const double all =
          std::sqrt(std::inner_product(all_g.begin(), all_g.end(), all_g.begin(), 0.0));
      std::uint64_t stream = 100;
      for (const ParameterStore::Entry& entry : parameters.entries()) {
        INFO(form_of(config), " ", entry.name, ", packed ", position != nullptr);
        const double* g = gradients.data<double>() + entry.offset;
        double* p = entry.parameter->master.data<double>();
        const Tensor start = entry.parameter->master.to(DType::f64);
        const Tensor direction = random_normal({entry.count}, DType::f64, 8, stream++);
        const double* v = direction.data<double>();
        const auto loss_at = [&](double step) {
          for (std::int64_t i = 0; i < entry.count; i++) {
            p[i] = start.data<double>()[i] + step * v[i];
          }
          return loss_of(rwkv, tokens, position, false);
        };
        constexpr double h = 1e-4;  // with four points the error is of order h^4
        const double numeric =
            (8 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12 * h);
        loss_at(0);
        double analytic = 0, norm = 0;
        for (std::int64_t i = 0; i < entry.count; i++) {
          analytic += g[i] * v[i];
          norm += g[i] * g[i];
        }
        CHECK(norm > 0);
        // Beside the rest of the model, a tiny gradient only has to be right to 1e-10 of it.
        const double floor = std::max(0.1 * std::sqrt(norm), 1e-4 * all);
        CHECK(std::abs(analytic - numeric) <= 1e-6 * std::max(std::abs(numeric), floor));
      }
    }
  }
}

}  // namespace
}  // namespace farsight
