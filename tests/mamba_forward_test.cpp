// Mamba as a function: against a naive implementation, packed rows, step mode, bf16.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <numeric>

#include "autograd/tape.h"
#include "models/mamba.h"
#include "models/model.h"
#include "ops/linear.h"
#include "tests/naive_mamba.h"
#include "tests/small_mamba.h"

namespace farsight {
namespace {

/// Logits [B * T, V] of every position.
Tensor all_logits(Mamba& mamba, const Tensor& tokens, const Tensor* position = nullptr,
                  MambaState* state = nullptr) {
  const NoTape inference;
  const Tensor rows = all_rows(tokens.elements());
  return linear(mamba.features(tokens, rows, position, state), mamba.head().operand).to(DType::f64);
}

/// Largest difference, relative to the largest value.
double distance(const Tensor& a, const Tensor& b) {
  REQUIRE(a.elements() == b.elements());
  double most = 0, scale = 0;
  for (std::int64_t i = 0; i < a.elements(); i++) {
    const double difference = std::abs(a.data<double>()[i] - b.data<double>()[i]);
    most = std::isfinite(difference) ? std::max(most, difference) : INFINITY;
    scale = std::max(scale, std::abs(b.data<double>()[i]));
  }
  return most / scale;
}

TEST_CASE("mamba: the forward equals a naive implementation of the formulas") {
  for (const MambaConfig& config :
       {small_config(0), small_config(7), small_config(5, true), small_config(40)}) {
    INFO("gate ", config.gate_kernel);
    Mamba mamba(config, Device::cpu, DType::f64);
    shake(mamba.parameters(), 3);
    const std::int64_t B = 2, T = 37;  // longer than a chunk of the scan
    const Tokens tokens = some_tokens(B * T, config.vocab_size);
    const Tensor logits = all_logits(mamba, indices(tokens, {B, T}));
    const NaiveMamba naive(mamba);
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

TEST_CASE("mamba: features are those of the asked rows") {
  Mamba mamba(small_config(5), Device::cpu, DType::f64);
  shake(mamba.parameters(), 4);
  const Tensor tokens = indices(some_tokens(22, 13), {2, 11});
  const Tensor every = mamba.features(tokens, all_rows(22));
  const Tensor some = mamba.features(tokens, indices({0, 10, 11, 20}, {4}));
  for (int r = 0; r < 4; r++) {
    const std::int64_t row = std::array{0, 10, 11, 20}[static_cast<std::size_t>(r)];
    for (std::int64_t c = 0; c < 6; c++) {
      CHECK(some.data<double>()[r * 6 + c] == every.data<double>()[row * 6 + c]);
    }
  }
}

TEST_CASE("mamba: a gate that is 1 everywhere is plain Mamba") {
  Mamba gated(small_config(6), Device::cpu, DType::f64),
      plain(small_config(0), Device::cpu, DType::f64);
  gated.parameters().initialise(5);
  plain.parameters().initialise(5);
  const Tensor tokens = indices(some_tokens(30, 13), {1, 30});
  CHECK(distance(all_logits(gated, tokens), all_logits(plain, tokens)) > 1e-6);
  for (const ParameterStore::Entry& entry : gated.parameters().entries()) {
    if (entry.name.find("module") == std::string::npos) continue;
    const bool bias = entry.name.ends_with("bias");
    for (double& value : entry.parameter->master.span<double>()) {
      value = bias ? 1.2784645427610738 : 0;  // silu of it is 1
    }
  }
  CHECK(distance(all_logits(gated, tokens), all_logits(plain, tokens)) <= 1e-12);
}

TEST_CASE("mamba: packed rows give what separate rows give") {
  for (const std::int64_t gate : {0, 9}) {
    Mamba mamba(small_config(gate), Device::cpu, DType::f64);
    shake(mamba.parameters(), 7);
    const Tokens first = some_tokens(5, 13), second = some_tokens(36, 11);
    Tokens joined = first, position(5);
    joined.insert(joined.end(), second.begin(), second.end());
    std::iota(position.begin(), position.end(), 0);
    for (int t = 0; t < 36; t++) {
      position.push_back(t);
    }
    const Tensor where = indices(position, {1, 41});
    const Tensor packed = all_logits(mamba, indices(joined, {1, 41}), &where);
    const Tensor a = all_logits(mamba, indices(first, {1, 5}));
    const Tensor b = all_logits(mamba, indices(second, {1, 36}));
    CHECK(distance(packed.range(0, 5), a) <= 1e-12);
    CHECK(distance(packed.range(5, 36), b) <= 1e-12);
  }
}

/// Logits of tokens [2, T] fed in pieces of these lengths.
Tensor in_pieces(Mamba& mamba, const Tokens& tokens, std::int64_t T,
                 const std::vector<std::int64_t>& lengths) {
  const std::int64_t V = mamba.config().vocab_size;
  Tensor logits = Tensor::zeros({2 * T, V}, DType::f64);
  MambaState state = mamba.empty_state(2);
  std::int64_t begin = 0;
  for (const std::int64_t length : lengths) {
    Tokens piece;
    for (std::int64_t b = 0; b < 2; b++) {
      const auto from = tokens.begin() + b * T + begin;
      piece.insert(piece.end(), from, from + length);
    }
    const Tensor part = all_logits(mamba, indices(piece, {2, length}), nullptr, &state);
    for (std::int64_t b = 0; b < 2; b++) {
      std::copy_n(part.data<double>() + b * length * V, length * V,
                  logits.data<double>() + (b * T + begin) * V);
    }
    begin += length;
  }
  REQUIRE(begin == T);
  return logits;
}

TEST_CASE("mamba: token by token and in uneven pieces it computes what one pass computes") {
  constexpr std::int64_t T = 45;
  for (const auto& [dtype, tolerance] :
       {std::pair{DType::f64, 1e-10}, {DType::f32, 1e-5}, {DType::bf16, 0.05}}) {
    for (const MambaConfig& config : {small_config(0), small_config(7), small_config(50, true)}) {
      INFO(std::string(name_of(dtype)), ", gate ", config.gate_kernel);
      Mamba mamba(config, Device::cpu, dtype);
      shake(mamba.parameters(), 9);
      const Tokens tokens = some_tokens(2 * T, config.vocab_size);
      const Tensor whole = all_logits(mamba, indices(tokens, {2, T}));
      CHECK(distance(in_pieces(mamba, tokens, T, std::vector<std::int64_t>(T, 1)), whole) <=
            tolerance);
      CHECK(distance(in_pieces(mamba, tokens, T, {1, 2, 33, 3, 5, 1}), whole) <= tolerance);
      CHECK(distance(in_pieces(mamba, tokens, T, {44, 1}), whole) <= tolerance);
    }
  }
}

TEST_CASE("mamba: a decoder remembers its own sequences and nobody else's") {
  const Model model = make_mamba(small_config(5), Device::cpu, DType::f64);
  shake(*model.parameters, 10);
  const Tokens tokens = some_tokens(12, 13);
  const Tensor expected = logits_at(model, indices(tokens, {1, 12}), indices({11}, {1}));
  const Decoder one = model.decoder(1), other = model.decoder(1);
  Tensor last = one(indices({tokens.begin(), tokens.begin() + 8}, {1, 8}));
  for (std::size_t i = 8; i < 12; i++) {
    other(indices({1}, {1, 1}));
    last = one(indices({tokens[i]}, {1, 1}));
  }
  CHECK(distance(last, expected) <= 1e-10);
}

TEST_CASE("mamba: computing in bf16 stays close to f32") {
  for (const std::int64_t gate : {0, 16}) {
    MambaConfig config = small_config(gate);
    config.d_model = 32;
    config.d_state = 16;
    Mamba exact(config, Device::cpu, DType::f32), rounded(config, Device::cpu, DType::bf16);
    exact.parameters().initialise(11);
    rounded.parameters().initialise(11);
    const Tensor tokens = indices(some_tokens(80, 13), {2, 40});
    const double error = distance(all_logits(rounded, tokens), all_logits(exact, tokens));
    CHECK(error <= 0.04);
    CHECK(error > 1e-5);
  }
}

}  // namespace
}  // namespace farsight
