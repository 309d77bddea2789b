// The gradient of a whole Mamba through its loss.
#include <doctest/doctest.h>

#include "models/model.h"
#include "tests/model_checks.h"
#include "tests/small_mamba.h"

namespace farsight {
namespace {

TEST_CASE("mamba: the gradient of the whole model equals central differences in f64") {
  for (const std::int64_t gate : {0, 5}) {
    INFO("gate ", gate);
    const Model model = make_mamba(small_config(gate), Device::cpu, DType::f64);
    for (const bool packed : {false, true}) {
      check_gradients(model, {.packed = packed, .h = 2e-4, .directions = 2});
    }
  }
}

}  // namespace
}  // namespace farsight
