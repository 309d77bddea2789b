// The matrices of all families on the GPU, against the CPU's f64.
#include <doctest/doctest.h>

#include <cstdlib>

#include "eval/probes/attention_matrix.h"
#include "models/model.h"
#include "tests/gpu.h"
#include "tests/gpu_model_checks.h"
#include "tests/random_mixing.h"

namespace farsight {
namespace {

/// Tiles of 64, chunks of 8 and 16 channels, groups of 16 states: at their edges and across.
std::vector<MixingSizes> sizes_of_kernels() {
  std::vector<MixingSizes> sizes = {{1, 1, 1}, {7, 3, 4}, {65, 9, 5}, {63, 17, 16}, {131, 3, 24}};
  if (std::getenv("FARSIGHT_TEST_TINY") != nullptr) return sizes;
  for (const MixingSizes& more : {MixingSizes{130, 4, 40},
                                  {129, 2, 64},
                                  {64, 70, 16},
                                  {300, 40, 3},
                                  {1000, 2, 16},
                                  {513, 130, 16}}) {
    sizes.push_back(more);
  }
  return sizes;
}

std::vector<MatrixPart> parts_of(const MixingSizes& sizes) {
  const std::int64_t third = sizes.T / 3;
  return {{},
          {.absolute = true},
          {.absolute = true, .row = third, .rows = (sizes.T - third + 1) / 2},
          {.channel = sizes.channels / 2, .channels = 1}};
}

TEST_CASE("gpu: the matrices of every operation agree with the CPU's f64") {
  if (!have_gpu()) return;
  for (const MixingSizes& sizes : sizes_of_kernels()) {
    RandomMixing exact(sizes, DType::f64), there(sizes, DType::f32, Device::cuda);
    const std::vector<RandomMixing::Named> expected = exact.all(), given = there.all();
    for (std::size_t i = 0; i < given.size(); i++) {
      for (const MatrixPart& part : parts_of(sizes)) {
        INFO(given[i].name, ": T ", sizes.T, ", channels ", sizes.channels, ", states ",
             sizes.states, ", rows from ", part.row, ", channels from ", part.channel,
             part.absolute ? ", absolute" : "");
        const Tensor reference = weight_matrix(expected[i].mixing, part);
        arena(Device::cuda).set_debug({.guard = true, .poison = true});
        const Tensor got = weight_matrix(given[i].mixing, part);
        CHECK(difference(got, reference).norm <= 4e-6);
        CHECK(equal_bits(got, weight_matrix(given[i].mixing, part)));
        CHECK_NOTHROW(arena(Device::cuda).check_guards());
        arena(Device::cuda).set_debug({});
      }
    }
  }
}

TEST_CASE("gpu: y = W x holds on the GPU for every operation, over long sequences too") {
  if (!have_gpu()) return;
  std::vector<MixingSizes> all = {{70, 6, 16}};
  if (std::getenv("FARSIGHT_TEST_TINY") == nullptr) all.push_back({4096, 3, 16});
  for (const MixingSizes& sizes : all) {
    RandomMixing random(sizes, DType::f32, Device::cuda);
    for (const auto& [name, mixing] : random.all()) {
      INFO(name, ", T ", sizes.T);
      CHECK(reconstruction_error(mixing, 3) <= 1e-5);
    }
  }
}

TEST_CASE("gpu: the matrices of a model's layers agree with the CPU's") {
  if (!have_gpu()) return;
  for (const char* name : {"mamba", "mamba-gs", "pythia", "hyena", "rwkv"}) {
    INFO(std::string(name));
    const OnBothDevices models(Flags{{"run.model", name}, {"model.n_head", "2"}});
    const Tensor tokens = indices(some_tokens(32, models.cpu.vocab_size), {1, 32});
    for (std::int64_t layer = 0; layer < layer_count(models.cpu); layer++) {
      const Tensor expected = attention_matrix(models.cpu, tokens, layer);
      const Tensor got = attention_matrix(models.gpu, tokens.to(Device::cuda), layer);
      CHECK(difference(got, expected).norm <= 1e-4);
    }
  }
}

}  // namespace
}  // namespace farsight
