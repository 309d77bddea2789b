// Mamba's gates and dropout on the GPU, against the CPU.
#include <doctest/doctest.h>

#include "autograd/gradcheck.h"
#include "models/mamba.h"
#include "models/model.h"
#include "ops/dropout.h"
#include "tests/gpu_model_checks.h"
#include "tests/small_mamba.h"

namespace farsight {
namespace {

TEST_CASE("gpu: dropout drops what the CPU drops, and the rest has its bits") {
  if (!have_gpu()) return;
  const Tensor pass = indices({123, -456}, {2}), pass_there = pass.to(Device::cuda);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const std::int64_t columns : {1, 7, 8, 864}) {
      for (const std::int64_t shared : {1, 5}) {
        INFO(columns, " columns of ", std::string(name_of(dtype)), ", ", shared, " rows a mask");
        const Tensor x = random_normal({3, 5, columns}, dtype, 4, 1);
        const auto dropped = [&](const Tensor& from, const Tensor& key) {
          return dropout(from, {.p = 0.1, .pass = &key, .stream = 77, .shared_rows = shared});
        };
        CHECK(equal_bits(dropped(x.to(Device::cuda), pass_there), dropped(x, pass)));
      }
    }
  }
}

TEST_CASE("gpu: with each gate, loss and gradients agree with the CPU's f32, dropout and all") {
  if (!have_gpu()) return;
  for (const std::string_view gate : kGateKindNames) {
    for (const char* packing : {"off", "on"}) {
      INFO(std::string(gate), ", packing ", std::string(packing));
      const OnBothDevices models({{"run.model", "mamba-gs"},
                                  {"model.gate", std::string(gate)},
                                  {"train.packing", packing}});
      check_gradients_on_gpu(models, 1e-4);
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
    Tensor last = decode(piece_of(tokens, 1, 0, 8).to(Device::cuda));
    for (std::int64_t t = 8; t < 12; t++) {
      last = decode(piece_of(tokens, 1, t, 1).to(Device::cuda));
    }
    CHECK(difference(last, expected).norm <= 1e-5);
  }
}

}  // namespace
}  // namespace farsight
