// Mamba as a function: against a naive implementation, packed rows, step mode, bf16.
#include <doctest/doctest.h>

#include <array>
#include <string>

#include "models/mamba.h"
#include "models/model.h"
#include "tests/model_checks.h"
#include "tests/naive_mamba.h"
#include "tests/small_mamba.h"

namespace farsight {
namespace {

TEST_CASE("mamba: the forward equals a naive implementation of the formulas") {
  for (const MambaConfig& config :
       {small_config(0), small_config(7), small_config(5, true), small_config(40)}) {
    INFO("gate ", config.gate_kernel);
    Mamba mamba(config, Device::cpu, DType::f64);
    shake(mamba.parameters(), 3);
    check_against_naive<NaiveMamba>(mamba, 37);  // longer than a chunk of the scan
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
    INFO("gate ", gate);
    Mamba mamba(small_config(gate), Device::cpu, DType::f64);
    shake(mamba.parameters(), 7);
    check_packed_rows(mamba, 5, 36);
  }
}

TEST_CASE("mamba: token by token and in uneven pieces it computes what one pass computes") {
  for (const auto& [dtype, tolerance] :
       {std::pair{DType::f64, 1e-10}, {DType::f32, 1e-5}, {DType::bf16, 0.05}}) {
    for (const MambaConfig& config : {small_config(0), small_config(7), small_config(50, true)}) {
      INFO(std::string(name_of(dtype)), ", gate ", config.gate_kernel);
      Mamba mamba(config, Device::cpu, dtype);
      shake(mamba.parameters(), 9);
      check_in_pieces(mamba, 45, {{1, 2, 33, 3, 5, 1}, {44, 1}}, tolerance);
    }
  }
}

TEST_CASE("mamba: a decoder remembers its own sequences and nobody else's") {
  const Model model = make_mamba(small_config(5), Device::cpu, DType::f64);
  shake(*model.parameters, 10);
  check_decoder_remembers(model);
}

TEST_CASE("mamba: computing in bf16 stays close to f32") {
  for (const std::int64_t gate : {0, 16}) {
    INFO("gate ", gate);
    MambaConfig config = small_config(gate);
    config.d_model = 32;
    config.d_state = 16;
    check_bf16_near_f32<Mamba>(config, 40);
  }
}

}  // namespace
}  // namespace farsight
