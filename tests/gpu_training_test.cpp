// Device memory, the optimiser and whole models on the GPU, against the CPU.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <limits>

#include "autograd/tape.h"
#include "eval/recall.h"
#include "models/mamba.h"
#include "ops/adamw.h"
#include "ops/linear_cross_entropy.h"
#include "tests/gpu.h"
#include "tests/model_inputs.h"
#include "tests/small_mamba.h"
#include "tests/tiny_run.h"
#include "train/step.h"

namespace farsight {
namespace {

Tensor numbers(const Shape& shape, DType dtype, std::uint64_t stream) {
  return random_normal(shape, dtype, 7, stream);
}

TEST_CASE("gpu: tensors keep their bits on the way there and back, dense or strided") {
  if (!have_gpu()) return;
  for (const Shape& shape : {Shape{3, 5, 7}, Shape{1}, Shape{0, 4}, Shape{3'000'001}}) {
    const Tensor x = numbers(shape, DType::f32, 1);
    CHECK(equal_bits(x.to(Device::cuda), x));
  }
  const Tensor x = numbers({9, 13}, DType::bf16, 2);
  const Tensor on_gpu = x.to(Device::cuda);
  CHECK(equal_bits(on_gpu.columns(3, 5), x.columns(3, 5)));
  CHECK(equal_bits(x.columns(3, 5).to(Device::cuda), x.columns(3, 5)));
  on_gpu.columns(2, 4).fill_zero();
  x.columns(2, 4).fill_zero();
  CHECK(equal_bits(on_gpu, x));
  const Tensor block = numbers({9, 4}, DType::bf16, 3);
  on_gpu.columns(7, 4).copy_from(block);
  x.columns(7, 4).copy_from(block);
  CHECK(equal_bits(on_gpu, x));
  CHECK(equal_bits(on_gpu.columns(1, 9).to(DType::f32), x.columns(1, 9).to(DType::f32)));
  const Tensor wide = numbers({1000, 33}, DType::f32, 4);
  CHECK(equal_bits(wide.to(Device::cuda).to(DType::bf16), wide.to(DType::bf16)));
}

TEST_CASE("gpu: many small uploads arrive, although the host goes on at once") {
  if (!have_gpu()) return;
  std::vector<Tensor> sent;
  for (std::int32_t i = 0; i < 300; i++) {
    std::vector<std::int32_t> values(20'000 + static_cast<std::size_t>(i), i);
    const auto count = static_cast<std::int64_t>(values.size());
    sent.push_back(index_tensor(values, {count}, Device::cuda));
    std::ranges::fill(values, -1);
  }
  for (std::int32_t i = 0; i < 300; i++) {
    const Tensor back = sent[static_cast<std::size_t>(i)].to(Device::cpu);
    CHECK(std::ranges::all_of(back.span<std::int32_t>(), [&](auto value) { return value == i; }));
  }
}

TEST_CASE("gpu: the argmax is the first of equals, and infinities are no accident") {
  if (!have_gpu()) return;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (std::int64_t V : {1, 3, 31, 129, 4095, 4100, 20'001}) {
    for (DType dtype : {DType::f32, DType::bf16}) {
      INFO(V, " ", std::string(name_of(dtype)));
      const Tensor logits = numbers({7, V}, DType::f32, 5);
      float* row = logits.data<float>();
      for (std::int64_t v = 0; v < V; v++) {
        row[1 * V + v] = 2.5f;
        row[2 * V + v] = -kInfinity;
        row[3 * V + v] = v == V / 2 ? -1e30f : -kInfinity;
        row[4 * V + v] = v >= V / 3 && v % 5 == 0 ? 9.0f : row[4 * V + v];
      }
      const Tensor rounded = logits.to(dtype);
      CHECK(equal_bits(argmax_rows(rounded.to(Device::cuda)), argmax_rows(rounded)));
    }
  }
}

TEST_CASE("gpu: AdamW's kernels do what the CPU's do, for any count and alignment") {
  if (!have_gpu()) return;
  constexpr std::int64_t kGroup = AdamWArgs::kDecayGroup;
  constexpr double kSchedule[2] = {0.01, 0.001};
  for (std::int64_t count : {1, 15, 16, 4096, 100'003, 3'000'000}) {
    for (std::int64_t variant : {0, 1, 2, 3}) {
      const std::int64_t shift = variant % 2;  // 0: vectors of 16 bytes
      const bool in_bf16 = variant >= 2;
      INFO(count, " elements, shifted by ", shift, ", storage in bf16 ", in_bf16);
      const std::int64_t groups = (count + kGroup - 1) / kGroup;
      Tensor p = numbers({count + shift}, DType::f32, 1),
             m = numbers({count + shift}, DType::f32, 2);
      const Tensor g = numbers({count + shift}, DType::f32, 3), v = m.to(DType::f32);
      for (float& x : v.span<float>()) {
        x *= x;
      }
      const Tensor decays = Tensor::empty({groups}, DType::i32);
      const Tensor copies = Tensor::empty({groups}, DType::i32);
      for (std::int64_t i = 0; i < groups; i++) {
        decays.data<std::int32_t>()[i] = i % 3 == 0 ? 1 : 0;
        copies.data<std::int32_t>()[i] = static_cast<std::int32_t>(i % 2 == 0 ? i / 2 : -1);
      }
      const Tensor operands = Tensor::zeros({(groups + 1) / 2 * kGroup}, DType::bf16);
      std::vector<Tensor> results[2];
      double norms[2] = {};
      for (const Device device : {Device::cpu, Device::cuda}) {
        // Copies on both: the step works in place.
        std::vector<Tensor> t;
        for (const Tensor& x : {p, m, v, g, decays, copies, operands}) {
          const Tensor copy = Tensor::empty(x.shape(), x.dtype(), device);
          copy.copy_from(x);
          t.push_back(copy);
        }
        const Tensor norm = Tensor::zeros({2}, DType::f64, device);
        const Tensor schedule = Tensor::from(std::span<const double>(kSchedule), {2}).to(device);
        const Tensor shares = Tensor::empty({GradientNormArgs::kShares}, DType::f64, device);
        FARSIGHT_LAUNCH(gradient_norm, device,
                        (GradientNormArgs{.g = t[3].data<float>() + shift,
                                          .norm = norm.data<double>(),
                                          .shares = shares.data<double>(),
                                          .count = count}));
        norms[device == Device::cuda] = norm.to(Device::cpu).data<double>()[0];
        FARSIGHT_LAUNCH(adamw_step, device,
                        (AdamWArgs{.p = t[0].data<float>() + shift,
                                   .m = t[1].data<float>() + shift,
                                   .v = t[2].data<float>() + shift,
                                   .g = t[3].data<float>() + shift,
                                   .decays = t[4].data<std::int32_t>(),
                                   .operands = t[6].ptr(),
                                   .operand_groups = t[5].data<std::int32_t>(),
                                   .count = count,
                                   .schedule = schedule.data<double>(),
                                   .norm = norm.data<double>(),
                                   .norm_limit = 0.7,
                                   .value_limit = shift == 0 ? 0.0 : 0.5,
                                   .bf16_storage = in_bf16}));
        for (std::size_t i : {0u, 1u, 2u, 6u}) {
          results[device == Device::cuda].push_back(on_cpu(t[i]));
        }
      }
      CHECK(norms[1] == doctest::Approx(norms[0]).epsilon(1e-12));
      for (std::size_t i = 0; i < 4; i++) {
        // A last bit more or less before it is rounded to bf16 is seldom the next value after.
        const double tolerance = in_bf16 ? 1e-3 : i < 3 ? 1e-6 : 4e-3;
        CHECK(difference(results[1][i], results[0][i]).norm <= tolerance);
      }
    }
  }
}

TEST_CASE("gpu: a sequence fed in pieces gives the CPU's logits") {
  if (!have_gpu()) return;
  for (std::int64_t gate : {0, 9}) {
    INFO("gate of ", gate);
    const Model cpu = make_mamba(small_config(gate), Device::cpu, DType::f32);
    const Model gpu = make_mamba(small_config(gate), Device::cuda, DType::f32);
    cpu.parameters->initialise(3);
    gpu.parameters->initialise(3);
    const Decoder on_host = cpu.decoder(2), on_device = gpu.decoder(2);
    std::int64_t seed = 0;
    for (std::int64_t T : {7, 1, 1, 2, 12, 1}) {
      const Tokens tokens = some_tokens(2 * T + seed, 13);
      const Tokens piece(tokens.begin() + seed, tokens.end());
      seed++;
      const Tensor expected = on_host(index_tensor(piece, {2, T}, Device::cpu));
      const Tensor got = on_device(index_tensor(piece, {2, T}, Device::cuda));
      CHECK(difference(got, expected).norm <= 2e-5);
    }
  }
}

TEST_CASE("gpu: without one, the answer is a sentence") {
  std::string why;
  if (gpu_available(&why)) {
    CHECK(why.empty());
    select_gpu();
    CHECK_FALSE(gpu_name().empty());
    return;
  }
  CHECK(why.size() > 10);
  CHECK_THROWS_WITH_AS(select_gpu(), why.c_str(), Error);
  CHECK_THROWS_AS(Tensor::empty({1}, DType::f32, Device::cuda), Error);
}

}  // namespace
}  // namespace farsight
