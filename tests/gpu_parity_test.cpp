// The operations on the GPU against the same operations on the CPU in f64, over the tables of
// tests/op_cases and over longer sequences and wider rows than the CPU's own tests need.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "autograd/gradcheck.h"
#include "autograd/tape.h"
#include "tests/gpu.h"
#include "tests/gpu_sizes.h"
#include "tests/op_cases/op_case.h"

namespace farsight {
namespace {

constexpr std::uint64_t kSeed = 20241015;
/// A single element may be off by this many times what all may be off by together.
constexpr double kElementFactor = 12;

bool is_real(const Tensor& t) {
  return t && t.dtype() != DType::i32;
}

std::string label(const OpCase& c, const Sizes& sizes) {
  std::string text = c.name;
  for (std::size_t i = 0; i < sizes.size(); i++) {
    text += fmt::format(" {}={}", c.size_names[i], sizes[i]);
  }
  return text;
}

/// Whether the i-th is in the share that an environment variable names: 2/4 is every fourth, from the
/// third on. A sanitizer is slow, and several can run side by side.
bool in_share(const char* variable, std::size_t i) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return true;
  const std::string_view share(text);
  const std::size_t slash = share.find('/');
  std::size_t index = 0, count = 0;
  std::from_chars(share.data(), share.data() + std::min(slash, share.size()), index);
  if (slash != share.npos) {
    std::from_chars(share.data() + slash + 1, share.data() + share.size(), count);
  }
  REQUIRE_MESSAGE(index < count, variable, ": expected INDEX/COUNT, got ", text);
  return i % count == index;
}

/// FARSIGHT_TEST_SHARD takes a share of the operations, FARSIGHT_TEST_SIZES one of the sizes of each.
template <class F>
void for_each_case(const F& f) {
  const std::vector<OpCase> all = op_cases();
  for (std::size_t i = 0; i < all.size(); i++) {
    const OpCase& c = all[i];
    if (!in_share("FARSIGHT_TEST_SHARD", i)) continue;
    const std::vector<Sizes> every = gpu_sizes(c);
    for (std::size_t size = 0; size < every.size(); size++) {
      if (!in_share("FARSIGHT_TEST_SIZES", size)) continue;
      for (DType dtype : {DType::f32, DType::bf16}) {
        const std::string text = label(c, every[size]) + " " + name_of(dtype);
        INFO(text);
        f(c, every[size], dtype);
      }
    }
  }
}

struct Case {
  std::vector<Tensor> inputs;  // on the CPU
  TensorFunction call;
};

/// Every strided input widened by columns on both sides; the views are cut out inside the tape.
Case strided(const OpCase& c, const Sizes& sizes, DType dtype) {
  std::vector<OpInput> inputs = c.inputs(sizes);
  std::vector<bool> wide;
  for (OpInput& input : inputs) {
    wide.push_back(input.strided);
    if (input.strided) input.shape = input.shape.with_last(input.shape.last() + 3);
  }
  return {make_inputs(inputs, dtype, kSeed), [call = c.call, wide](std::span<const Tensor> in) {
            std::vector<Tensor> narrow(in.begin(), in.end());
            for (std::size_t i = 0; i < narrow.size(); i++) {
              if (!wide[i]) continue;
              narrow[i] = split(in[i], {1, in[i].shape().last() - 3, 2})[1];
            }
            return call(narrow);
          }};
}

std::vector<Tensor> cotangents_of(const Case& c) {
  const NoTape none;
  std::vector<Tensor> cotangents;
  std::uint64_t stream = 500;
  for (const Tensor& y : c.call(c.inputs)) {
    cotangents.push_back(random_normal(y.shape(), y.dtype(), kSeed, stream++));
  }
  return cotangents;
}

struct Results {
  std::vector<Tensor> outputs, gradients;  // on the CPU
};

Results run(const Case& c, const std::vector<Tensor>& cotangents, Device device) {
  const std::vector<Tensor> inputs = moved(c.inputs, device);
  Results r;
  {
    const NoTape none;
    for (const Tensor& y : c.call(inputs)) {
      r.outputs.push_back(on_cpu(y));
    }
  }
  for (const Tensor& g : gradients_of(c.call, inputs, cotangents)) {
    r.gradients.push_back(on_cpu(g));
  }
  return r;
}

std::vector<Tensor> widened(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> wide;
  for (const Tensor& t : tensors) {
    wide.push_back(is_real(t) ? t.to(DType::f64) : t);
  }
  return wide;
}

bool equal_bits(const Results& a, const Results& b) {
  const auto same = [](const std::vector<Tensor>& x, const std::vector<Tensor>& y) {
    return std::ranges::equal(
        x, y, [](const Tensor& u, const Tensor& v) { return farsight::equal_bits(u, v); });
  };
  return same(a.outputs, b.outputs) && same(a.gradients, b.gradients);
}

/// Fresh device blocks are NaN everywhere and have guard zones, while alive.
class WatchedMemory {
 public:
  WatchedMemory() { arena(Device::cuda).set_debug({.guard = true, .poison = true}); }
  ~WatchedMemory() { arena(Device::cuda).set_debug({}); }
  WatchedMemory(const WatchedMemory&) = delete;
  WatchedMemory& operator=(const WatchedMemory&) = delete;
};

void check_close(const std::string& what, const Tensor& got, const Tensor& expected,
                 double tolerance) {
  const Difference d = difference(got, expected);
  CHECK_MESSAGE(d.norm <= tolerance, what, ": ", d.norm, " apart, at most ", tolerance);
  CHECK_MESSAGE(d.element <= kElementFactor * tolerance, what, ": element ", d.at, " is ",
                d.element, " apart, at most ", kElementFactor * tolerance);
}

void compare(const OpCase& c, const Sizes& sizes, DType dtype, const Case& made) {
  const double tolerance = dtype == DType::f32 ? c.f32_tolerance : c.bf16_tolerance;
  const std::vector<Tensor> cotangents = cotangents_of(made);
  const Results exact = run({widened(made.inputs), made.call}, widened(cotangents), Device::cpu);
  const WatchedMemory watched;
  const Results got = run(made, cotangents, Device::cuda);
  for (std::size_t i = 0; i < got.outputs.size(); i++) {
    check_close(fmt::format("output {}", i), got.outputs[i], exact.outputs[i], tolerance);
  }
  const std::vector<OpInput> inputs = c.inputs(sizes);
  for (std::size_t i = 0; i < got.gradients.size(); i++) {
    const std::string what = fmt::format("gradient of {}", inputs[i].name);
    CHECK_MESSAGE(static_cast<bool>(got.gradients[i]) == static_cast<bool>(exact.gradients[i]),
                  what);
    if (!got.gradients[i] || !exact.gradients[i]) continue;
    check_close(what, got.gradients[i], exact.gradients[i], 2 * tolerance);
  }
  CHECK_MESSAGE(equal_bits(got, run(made, cotangents, Device::cuda)), "a second run differs");
  CHECK_NOTHROW(arena(Device::cuda).check_guards());
}

TEST_CASE("gpu: operations agree with the CPU's f64 on the same rounded inputs") {
  if (!have_gpu()) return;
  for_each_case([](const OpCase& c, const Sizes& sizes, DType dtype) {
    compare(c, sizes, dtype, {make_inputs(c.inputs(sizes), dtype, kSeed), c.call});
  });
}

TEST_CASE("gpu: operations agree with the CPU's f64 on strided rows that break alignment") {
  if (!have_gpu()) return;
  for_each_case([](const OpCase& c, const Sizes& sizes, DType dtype) {
    compare(c, sizes, dtype, strided(c, sizes, dtype));
  });
}

TEST_CASE("gpu: a gradient that is already there is added to") {
  if (!have_gpu()) return;
  for_each_case([](const OpCase& c, const Sizes& sizes, DType dtype) {
    const Case made{make_inputs(c.inputs(sizes), dtype, kSeed), c.call};
    const std::vector<Tensor> cotangents = cotangents_of(made);
    const Results fresh = run(made, cotangents, Device::cuda);
    const auto before = [&](std::size_t i) {
      const Tensor& x = made.inputs[i];
      return random_normal(x.shape(), x.dtype(), kSeed, 900 + i);
    };
    const auto prefilled = [&](std::span<const Tensor> in) {
      for (std::size_t i = 0; i < in.size(); i++) {
        if (!in[i].grad) continue;
        // A matrix in bf16 has its gradient in f32; whoever writes it checks the type.
        const bool operand = std::string_view(c.inputs(sizes)[i].name) == "w";
        const DType type = operand ? accumulator_of(dtype) : in[i].dtype();
        in[i].grad->value = before(i).to(type).to(Device::cuda);
        in[i].grad->filled = true;
      }
      return c.call(in);
    };
    const Results added = run({made.inputs, prefilled}, cotangents, Device::cuda);
    const double tolerance = dtype == DType::f32 ? 1e-5 : 1.2e-2;
    for (std::size_t i = 0; i < made.inputs.size(); i++) {
      if (!is_real(made.inputs[i])) continue;
      const Tensor expected = before(i).to(DType::f64);
      if (fresh.gradients[i]) {
        const Tensor term = fresh.gradients[i].to(DType::f64);
        for (std::int64_t k = 0; k < expected.elements(); k++) {
          expected.data<double>()[k] += term.data<double>()[k];
        }
      }
      check_close(fmt::format("gradient of {}", c.inputs(sizes)[i].name), added.gradients[i],
                  expected, tolerance);
    }
  });
}

}  // namespace
}  // namespace farsight
