// Mamba's gates and dropout on the GPU, against the CPU.
#include <doctest/doctest.h>

#include "models/mamba.h"
#include "models/model.h"
#include "tests/gpu.h"
#include "tests/small_mamba.h"
#include "tests/tiny_run.h"
#include "train/step.h"

namespace farsight {
namespace {

TEST_CASE("gpu: with each gate, loss and gradients agree with the CPU's f32, dropout and all") {
  if (!have_gpu()) return;
  for (const std::string_view gate : kGateKindNames) {
    for (const char* packing : {"off", "on"}) {
      INFO(std::string(gate), ", packing ", std::string(packing));
      const Resolved settings = resolved(tiny_flags({{"run.model", "mamba-gs"},
                                                     {"model.gate", std::string(gate)},
                                                     {"train.packing", packing}}));
      const Model cpu = model_of(settings.settings, Device::cpu);
      const Model gpu = model_of(settings.settings, Device::cuda);
      const GlobalBatch batch = loader_of(settings.settings).at(0);
      const StepResult expected = forward_backward(cpu, batch);
      const StepResult got = forward_backward(gpu, batch);
      CHECK(got.loss == doctest::Approx(expected.loss).epsilon(1e-5));
      const ParameterStore &a = *cpu.parameters, &b = *gpu.parameters;
      for (std::size_t i = 0; i < a.entries().size(); i++) {
        INFO(a.entries()[i].name);
        const Difference d = difference(b.entries()[i].parameter->master.grad->value,
                                        a.entries()[i].parameter->master.grad->value);
        CHECK(d.norm <= 1e-4);
      }
    }
  }
}

TEST_CASE("gpu: with each gate, a sequence fed in pieces gives the CPU's logits") {
  if (!have_gpu()) return;
  for (std::size_t kind = 0; kind < kGateKindNames.size(); kind++) {
    INFO(std::string(kGateKindNames[kind]));
    MambaConfig config = small_config(5);
    config.gate = static_cast<GateKind>(kind);
    const Model cpu = make_mamba(config, Device::cpu, DType::f32);
    const Model gpu = make_mamba(config, Device::cuda, DType::f32);
    cpu.parameters->initialise(8);
    gpu.parameters->initialise(8);
    const Tokens tokens = some_tokens(12, 13);
    const Tensor expected = logits_at(cpu, indices(tokens, {1, 12}), indices({11}, {1}));
    const Decoder decode = gpu.decoder(1);
    Tensor last = decode(indices({tokens.begin(), tokens.begin() + 8}, {1, 8}).to(Device::cuda));
    for (std::size_t i = 8; i < 12; i++) {
      last = decode(indices({tokens[i]}, {1, 1}).to(Device::cuda));
    }
    CHECK(difference(last, expected).norm <= 1e-5);
  }
}

}  // namespace
}  // namespace farsight
