// Hyena on the GPU, against the CPU and against itself.
#include <doctest/doctest.h>

#include "models/hyena.h"
#include "models/model.h"
#include "tests/gpu_model_checks.h"

namespace farsight {
namespace {

TEST_CASE("gpu: loss and gradients of Hyena agree with the CPU's f32, dropout too") {
  if (!have_gpu()) return;
  const OnBothDevices models(
      {{"run.model", "hyena"}, {"model.l_max", "24"}, {"model.d_ff", "32"}, {"model.d_conv", "3"}});
  check_gradients_on_gpu(models, 2e-4);
}

TEST_CASE("gpu: Hyena decodes token by token what it computes at once") {
  if (!have_gpu()) return;
  const HyenaConfig config{.vocab_size = 13, .d_model = 32, .n_layer = 2, .d_ff = 64, .l_max = 90};
  for (const auto& [dtype, tolerance] : {std::pair{DType::f32, 1e-4}, {DType::bf16, 0.05}}) {
    INFO(std::string(name_of(dtype)));
    const Model model = make_hyena(config, Device::cuda, dtype);
    model.parameters->initialise(4);
    check_decoding_on_gpu(model, tolerance);
  }
}

}  // namespace
}  // namespace farsight
