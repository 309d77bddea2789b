// RWKV on the GPU, against the CPU and against itself.
#include <doctest/doctest.h>

#include "models/model.h"
#include "models/rwkv.h"
#include "tests/gpu_model_checks.h"

namespace farsight {
namespace {

TEST_CASE("gpu: loss and gradients of RWKV agree with the CPU's f32, dropout and packing too") {
  if (!have_gpu()) return;
  for (const char* model : {"rwkv", "rwkv-169m"}) {
    for (const char* packing : {"off", "on"}) {
      INFO(std::string(model), ", packing ", std::string(packing));
      const OnBothDevices models(
          {{"run.model", model}, {"model.l_max", "24"}, {"train.packing", packing}});
      check_gradients_on_gpu(models, 2e-4);
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
      INFO((config.published() ? "published " : "authors "), std::string(name_of(dtype)));
      const Model model = make_rwkv(config, Device::cuda, dtype);
      model.parameters->initialise(4);
      check_decoding_on_gpu(model, tolerance);
    }
  }
}

}  // namespace
}  // namespace farsight
