// RWKV on the GPU, against the CPU and against itself.
#include <doctest/doctest.h>

#include "models/model.h"
#include "models/rwkv.h"
#include "tests/gpu.h"
#include "tests/model_inputs.h"
#include "tests/tiny_run.h"
#include "train/step.h"

namespace farsight {
namespace {

TEST_CASE("gpu: loss and gradients of RWKV agree with the CPU's f32, dropout and packing too") {
  if (!have_gpu()) return;
  for (const char* model : {"rwkv", "rwkv-169m"}) {
    for (const char* packing : {"off", "on"}) {
      INFO(std::string(model), ", packing ", std::string(packing));
      const Resolved settings = resolved(
          tiny_flags({{"run.model", model}, {"model.l_max", "24"}, {"train.packing", packing}}));
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
  }
}

TEST_CASE("gpu: RWKV decodes token by token what it computes at once") {
  if (!have_gpu()) return;
  const RwkvConfig authors{.vocab_size = 13, .d_model = 32, .n_layer = 2, .d_ff = 64, .l_max = 90};
  RwkvConfig published = authors;
  published.form = RwkvForm::published;
  published.embed_dropout = 0;
  for (const RwkvConfig& config : {authors, published}) {
    for (const auto& [dtype, tolerance] : {std::pair{DType::f32, 1e-4}, {DType::bf16, 0.05}}) {
      const Model model = make_rwkv(config, Device::cuda, dtype);
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
}

}  // namespace
}  // namespace farsight
