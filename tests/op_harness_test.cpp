// Every operation, every case of its table: gradients, accumulation, repeatability, precision,
// memory safety, and proof that the checks can fail.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "autograd/gradcheck.h"
#include "autograd/tape.h"
#include "core/parallel.h"
#include "tests/op_cases/op_case.h"

namespace farsight {
namespace {

constexpr double kGradTolerance = 1e-6;
constexpr std::uint64_t kSeed = 20241015;

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

template <class F>
void for_each_case(const F& f) {
  for (const OpCase& c : op_cases()) {
    for (const Sizes& sizes : c.sizes) {
      INFO(label(c, sizes));
      f(c, sizes);
    }
  }
}

/// Guard zones and poison for the life of the object; checks the guards at its end.
class WatchedMemory {
 public:
  WatchedMemory() { arena(Device::cpu).set_debug({.guard = true, .poison = true}); }
  ~WatchedMemory() { arena(Device::cpu).set_debug({}); }
  void check() const { arena(Device::cpu).check_guards(); }
};

/// The inputs of the case with every strided one widened by columns on both sides, and a function
/// that cuts the views out again inside the tape.
struct StridedCase {
  std::vector<Tensor> inputs;
  TensorFunction call;
};

StridedCase strided(const OpCase& c, const Sizes& sizes, DType dtype) {
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
              const std::int64_t columns = in[i].shape().last() - 3;
              narrow[i] = split(in[i], {1, columns, 2})[1];
            }
            return call(narrow);
          }};
}

std::vector<Tensor> cotangents_of(const OpCase& c, const std::vector<Tensor>& inputs) {
  const NoTape none;
  std::vector<Tensor> cotangents;
  std::uint64_t stream = 500;
  for (const Tensor& y : c.call(inputs)) {
    cotangents.push_back(random_normal(y.shape(), y.dtype(), kSeed, stream++));
  }
  return cotangents;
}

struct Results {
  std::vector<Tensor> outputs, gradients;
};

Results run(const OpCase& c, const std::vector<Tensor>& inputs) {
  Results r;
  {
    const NoTape none;
    r.outputs = c.call(inputs);
  }
  r.gradients = gradients_of(c.call, inputs, cotangents_of(c, inputs));
  return r;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  if (static_cast<bool>(a) != static_cast<bool>(b)) return false;
  if (!a) return true;
  const Tensor x = a.contiguous(), y = b.contiguous();
  return std::memcmp(x.ptr(), y.ptr(), static_cast<std::size_t>(x.bytes())) == 0;
}

bool same_bits(const Results& a, const Results& b) {
  for (std::size_t i = 0; i < a.outputs.size(); i++) {
    if (!same_bits(a.outputs[i], b.outputs[i])) return false;
  }
  for (std::size_t i = 0; i < a.gradients.size(); i++) {
    if (!same_bits(a.gradients[i], b.gradients[i])) return false;
  }
  return true;
}

/// ||a - b|| / ||b||; infinite when a is not finite anywhere.
double distance(const Tensor& a, const Tensor& b) {
  const Tensor x = a.contiguous().to(DType::f64), y = b.contiguous().to(DType::f64);
  double difference = 0, norm = 0;
  for (std::int64_t i = 0; i < x.elements(); i++) {
    const double u = x.data<double>()[i], v = y.data<double>()[i];
    if (!std::isfinite(u)) return std::numeric_limits<double>::infinity();
    difference += (u - v) * (u - v);
    norm += v * v;
  }
  return std::sqrt(difference / std::max(norm, 1e-30));
}

std::vector<Tensor> widened(const std::vector<Tensor>& inputs) {
  std::vector<Tensor> wide;
  for (const Tensor& x : inputs) {
    wide.push_back(is_real(x) ? x.to(DType::f64) : x);
  }
  return wide;
}

/// x with a backward that is 1 % too large: what a wrong gradient formula looks like.
Tensor tampered(const Tensor& x) {
  Tensor y = x;
  y.grad.reset();
  record("tampered", {&y}, {&x}, [slot = Slot(x)](std::span<const Tensor> dy) {
    const Sink dx = slot.sink();
    REQUIRE(dy[0].dense());
    for (std::int64_t i = 0; i < dy[0].elements(); i++) {
      double& to = dx.out.data<double>()[i];
      to = (dx.add ? to : 0.0) + 1.01 * dy[0].data<double>()[i];
    }
  });
  return y;
}

TEST_CASE("ops: gradients equal central differences in f64, dense and strided") {
  for_each_case([](const OpCase& c, const Sizes& sizes) {
    const GradcheckReport dense =
        gradcheck(c.call, make_inputs(c.inputs(sizes), DType::f64, kSeed));
    CHECK_MESSAGE(dense.worst <= kGradTolerance, dense.where);
    const StridedCase s = strided(c, sizes, DType::f64);
    const GradcheckReport wide = gradcheck(s.call, s.inputs, {.coordinates = 60});
    CHECK_MESSAGE(wide.worst <= kGradTolerance, wide.where);
  });
}

TEST_CASE("ops: the gradient check notices a backward scaled by 1.01, for every input") {
  for (const OpCase& c : op_cases()) {
    const Sizes& sizes = c.sizes[std::min<std::size_t>(1, c.sizes.size() - 1)];
    const std::vector<Tensor> inputs = make_inputs(c.inputs(sizes), DType::f64, kSeed);
    for (std::size_t i = 0; i < inputs.size(); i++) {
      if (!is_real(inputs[i])) continue;
      INFO(label(c, sizes), ", input ", std::string(c.inputs(sizes)[i].name));
      const auto wrong = [&](std::span<const Tensor> in) {
        std::vector<Tensor> moved(in.begin(), in.end());
        if (moved[i].grad) moved[i] = tampered(in[i]);
        return c.call(moved);
      };
      CHECK(gradcheck(wrong, inputs, {.coordinates = 40}).worst > 5e-3);
    }
  }
}

TEST_CASE("ops: a gradient that is already there is added to") {
  for_each_case([](const OpCase& c, const Sizes& sizes) {
    const std::vector<Tensor> inputs = make_inputs(c.inputs(sizes), DType::f64, kSeed);
    const std::vector<Tensor> cotangents = cotangents_of(c, inputs);
    const std::vector<Tensor> fresh = gradients_of(c.call, inputs, cotangents);
    const auto prefilled = [&](std::span<const Tensor> in) {
      std::uint64_t stream = 900;
      for (const Tensor& x : in) {
        if (!x.grad) continue;
        x.grad->value = random_normal(x.shape(), DType::f64, kSeed, stream++);
        x.grad->filled = true;
      }
      return c.call(in);
    };
    const std::vector<Tensor> added = gradients_of(prefilled, inputs, cotangents);
    std::uint64_t stream = 900;
    for (std::size_t i = 0; i < inputs.size(); i++) {
      if (!is_real(inputs[i])) continue;
      const Tensor before = random_normal(inputs[i].shape(), DType::f64, kSeed, stream++);
      for (std::int64_t k = 0; k < inputs[i].elements(); k++) {
        const double expected =
            before.data<double>()[k] + (fresh[i] ? fresh[i].data<double>()[k] : 0.0);
        REQUIRE(added[i].data<double>()[k] == doctest::Approx(expected).epsilon(1e-11));
      }
    }
  });
}

TEST_CASE("ops: the same inputs give the same bits, whatever the number of threads") {
  const int before = threads();
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    for_each_case([&](const OpCase& c, const Sizes& sizes) {
      const std::vector<Tensor> inputs = make_inputs(c.inputs(sizes), dtype, kSeed);
      set_threads(1);
      const Results one = run(c, inputs);
      CHECK(same_bits(one, run(c, inputs)));
      for (int count : {2, 3}) {
        set_threads(count);
        CHECK(same_bits(one, run(c, inputs)));
      }
    });
  }
  set_threads(before);
}

TEST_CASE("ops: f32 and bf16 agree with f64 on the same rounded inputs") {
  for (DType dtype : {DType::f32, DType::bf16}) {
    for_each_case([&](const OpCase& c, const Sizes& sizes) {
      const double tolerance = dtype == DType::f32 ? c.f32_tolerance : c.bf16_tolerance;
      const std::vector<Tensor> inputs = make_inputs(c.inputs(sizes), dtype, kSeed);
      const std::vector<Tensor> exact = widened(inputs);
      const std::vector<Tensor> cotangents = cotangents_of(c, inputs);
      const NoTape none;
      const std::vector<Tensor> y = c.call(inputs), y64 = c.call(exact);
      for (std::size_t i = 0; i < y.size(); i++) {
        CHECK(distance(y[i], y64[i]) <= tolerance);
      }
      const std::vector<Tensor> g = gradients_of(c.call, inputs, cotangents);
      const std::vector<Tensor> g64 = gradients_of(c.call, exact, widened(cotangents));
      for (std::size_t i = 0; i < g.size(); i++) {
        if (!g64[i]) continue;
        INFO(std::string(name_of(dtype)), " gradient of input ",
             std::string(c.inputs(sizes)[i].name));
        CHECK(distance(g[i], g64[i]) <= 2 * tolerance);
      }
    });
  }
}

TEST_CASE("ops: nothing is read before it is written, nothing is written outside its block") {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    for_each_case([&](const OpCase& c, const Sizes& sizes) {
      const std::vector<Tensor> inputs = make_inputs(c.inputs(sizes), dtype, kSeed);
      const Results clean = run(c, inputs);
      const WatchedMemory watched;
      std::vector<Tensor> guarded;
      for (const Tensor& x : inputs) {
        guarded.push_back(is_real(x) ? x.to(x.dtype()) : x);
      }
      const Results poisoned = run(c, guarded);
      CHECK(same_bits(clean, poisoned));
      CHECK_NOTHROW(watched.check());
    });
  }
}

TEST_CASE("ops: on the meta device an operation allocates what it allocates for real") {
  for_each_case([](const OpCase& c, const Sizes& sizes) {
    const auto peak = [&](Device device) {
      std::vector<Tensor> inputs;
      for (const Tensor& x : make_inputs(c.inputs(sizes), DType::f32, kSeed)) {
        if (device == Device::cpu || !is_real(x)) {
          inputs.push_back(x);
          continue;
        }
        inputs.push_back(Tensor::empty(x.shape(), x.dtype(), device));
      }
      Arena& memory = arena(device);
      const std::int64_t before = memory.in_use_bytes();
      memory.reset_peak();
      Tape tape;
      for (Tensor& x : inputs) {
        if (is_real(x)) x = leaf(x);
      }
      const std::vector<Tensor> y = c.call(inputs);
      const Tensor dy = Tensor::empty(y[0].shape(), y[0].dtype(), device);
      if (device == Device::cpu) dy.fill_zero();
      tape.backward(y[0], dy);
      return memory.peak_bytes() - before;
    };
    CHECK(peak(Device::meta) == peak(Device::cpu));
  });
}

}  // namespace
}  // namespace farsight
