// Mamba beside the numbers that transformers computed (tests/reference/make_mamba.py).
#include <doctest/doctest.h>

#include "tests/reference_model.h"

namespace farsight {
namespace {

TEST_CASE("mamba: logits, loss and every gradient equal those of transformers") {
  check_against_reference("mamba", 32);
}

TEST_CASE("mamba: ten AdamW steps go where those in double go in PyTorch") {
  check_ten_steps("mamba", 3e-2);
}

}  // namespace
}  // namespace farsight
