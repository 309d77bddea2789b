// Hyena on the GPU, against the CPU and against itself.
#include <doctest/doctest.h>

#include "models/hyena.h"
#include "models/model.h"
#include "tests/gpu.h"
#include "tests/model_inputs.h"
#include "tests/tiny_run.h"
#include "train/step.h"

namespace farsight {
namespace {

const Flags kFlags = tiny_flags(
    {{"run.model", "hyena"}, {"model.l_max", "24"}, {"model.d_ff", "32"}, {"model.d_conv", "3"}});

TEST_CASE("gpu: loss and gradients of Hyena agree with the CPU's f32, dropout too") {
  if (!have_gpu()) return;
  const Resolved settings = resolved(kFlags);
  const Model cpu = model_of(settings.settings, Device::cpu);
  const Model gpu = model_of(settings.settings, Device::cuda);
  const GlobalBatch batch = loader_of(settings.settings).at(0);
  const StepResult expected = forward_backward(cpu, batch);
  const StepResult result = forward_backward(gpu, batch);
  CHECK(result.loss == doctest::Approx(expected.loss).epsilon(1e-5));
  const ParameterStore &a = *cpu.parameters, &b = *gpu.parameters;
  for (std::size_t i = 0; i < a.entries().size(); i++) {
    INFO(a.entries()[i].name);
    const Difference d = difference(b.entries()[i].parameter->master.grad->value,
                                    a.entries()[i].parameter->master.grad->value);
    CHECK(d.norm <= 2e-4);
  }
}

TEST_CASE("gpu: Hyena decodes token by token what it computes at once") {
  if (!have_gpu()) return;
  const HyenaConfig config{.vocab_size = 13, .d_model = 32, .n_layer = 2, .d_ff = 64, .l_max = 90};
  for (const auto& [dtype, tolerance] : {std::pair{DType::f32, 1e-4}, {DType::bf16, 0.05}}) {
    const Model model = make_hyena(config, Device::cuda, dtype);
    model.parameters->initialise(4);
    const Tokens tokens = some_tokens(2 * 80, 13);
    const Tensor whole = logits_at(model, indices(tokens, {2, 80}).to(Device::cuda),
                                   indices({79, 159}, {2}).to(Device::cuda));
    const Decoder decoder = model.decoder(2);
    Tensor last;
    for (std::size_t t = 0; t < 80;) {
      const std::size_t length = t == 0 ? 67 : 1;  // a prompt, then one after the other
      Tokens piece;
      for (std::size_t b = 0; b < 2; b++) {
        for (std::size_t i = 0; i < length; i++) {
          piece.push_back(tokens[b * 80 + t + i]);
        }
      }
      last = decoder(indices(piece, {2, static_cast<std::int64_t>(length)}).to(Device::cuda));
      t += length;
    }
    CHECK(difference(last, whole).norm <= tolerance);
  }
}

}  // namespace
}  // namespace farsight
