#include "autograd/gradcheck.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "autograd/tape.h"
#include "core/philox.h"

namespace farsight {
namespace {

bool is_real(const Tensor& t) {
  return t && t.dtype() != DType::i32;
}

/// An identity whose backward hands each output its cotangent: many outputs become one walk.
Tensor join(const std::vector<Tensor>& outputs, const std::vector<Tensor>& cotangents) {
  Tensor joined = Tensor::zeros({1}, DType::f64);
  for (std::size_t i = 0; i < outputs.size(); i++) {
    if (!cotangents[i] || !outputs[i].grad) continue;
    Tensor next = Tensor::zeros({1}, DType::f64);
    record("join", {&next}, {&joined, &outputs[i]},
           [before = Slot(joined), slot = Slot(outputs[i]),
            cotangent = cotangents[i]](std::span<const Tensor> dy) {
             if (const Sink pass = before.sink()) {
               check(!pass.add, "gradients_of: the chain is a line");
               std::memcpy(pass.ptr(), dy[0].ptr(), sizeof(double));
             }
             const Sink sink = slot.sink();
             // Itself, or a copy of the GPU's; of what is not added to there is nothing to copy yet.
             const Tensor out = sink.add || sink.out.device() == Device::cpu
                                    ? sink.out.to(Device::cpu)
                                    : Tensor::empty(sink.out.shape(), sink.out.dtype());
             with_type(cotangent.dtype(), [&]<class T>() {
               const std::int64_t columns = cotangent.shape().last();
               for (std::int64_t k = 0; k < cotangent.elements(); k++) {
                 T& to = out.data<T>()[k / columns * out.row_stride() + k % columns];
                 const T term = cotangent.data<T>()[k];
                 using A = accumulator_t<T>;
                 to = sink.add ? T(static_cast<A>(to) + static_cast<A>(term)) : term;
               }
             });
             if (sink.out.device() != Device::cpu) sink.out.copy_from(out);
           });
    joined = next;
  }
  return joined;
}

/// sum_i <cotangent_i, f(above)_i - f(below)_i>. The difference comes first: two large sums would
/// cancel and leave their rounding.
double change(const TensorFunction& f, const std::vector<Tensor>& above,
              const std::vector<Tensor>& below, const std::vector<Tensor>& cotangents) {
  const NoTape none;
  const std::vector<Tensor> high = f(above), low = f(below);
  double sum = 0;
  for (std::size_t i = 0; i < high.size(); i++) {
    if (!cotangents[i]) continue;
    const Tensor y = high[i].contiguous(), x = low[i].contiguous();
    for (std::int64_t k = 0; k < y.elements(); k++) {
      sum += (y.data<double>()[k] - x.data<double>()[k]) * cotangents[i].data<double>()[k];
    }
  }
  return sum;
}

class Comparison {
 public:
  void add(double analytic, double numeric, double floor, const std::string& where) {
    const double scale = std::max({std::abs(analytic), std::abs(numeric), floor, 1e-12});
    double error = std::abs(analytic - numeric) / scale;
    if (!std::isfinite(error)) error = std::numeric_limits<double>::infinity();
    report.checked++;
    if (error > report.worst) {
      report.worst = error;
      report.where = fmt::format("{}: analytic {:.12g}, numeric {:.12g}, relative error {:.2g}",
                                 where, analytic, numeric, error);
    }
  }
  GradcheckReport report;
};

/// The coordinates to visit: all, or a sample without order.
std::vector<std::int64_t> pick(std::int64_t elements, std::int64_t limit, std::uint64_t seed) {
  std::vector<std::int64_t> at;
  PhiloxSequence draw(philox_key(seed, hash_name("gradcheck/coordinates")), 0);
  for (std::int64_t k = 0; k < std::min(elements, limit); k++) {
    at.push_back(elements <= limit ? k
                                   : static_cast<std::int64_t>(
                                         draw.below64(static_cast<std::uint64_t>(elements))));
  }
  return at;
}

}  // namespace

Tensor random_normal(const Shape& shape, DType dtype, std::uint64_t seed, std::uint64_t stream) {
  Tensor t = Tensor::empty(shape, dtype, Device::cpu, "random_normal");
  const std::uint64_t key = philox_key(seed, hash_name("random_normal") + stream);
  with_type(dtype, [&]<class T>() {
    for (std::int64_t i = 0; i < t.elements(); i++) {
      const Random4 r = philox4x32(key, 0, static_cast<std::uint64_t>(i));
      const double radius = std::sqrt(-2 * std::log(uniform_double(r.v[0], r.v[1])));
      const double z = radius * std::cos(2 * std::numbers::pi * uniform_double(r.v[2], r.v[3]));
      t.data<T>()[i] = T(static_cast<accumulator_t<T>>(z));
    }
  });
  return t;
}

std::vector<Tensor> gradients_of(const TensorFunction& f, const std::vector<Tensor>& inputs,
                                 const std::vector<Tensor>& cotangents) {
  Tape tape;
  std::vector<Tensor> leaves;
  for (const Tensor& x : inputs) {
    leaves.push_back(is_real(x) ? leaf(x) : x);
  }
  const std::vector<Tensor> outputs = f(leaves);
  check(outputs.size() == cotangents.size(), "gradients_of: {} outputs, {} cotangents",
        outputs.size(), cotangents.size());
  const Tensor joined = join(outputs, cotangents);
  const Tensor one = Tensor::zeros({1}, DType::f64);
  one.data<double>()[0] = 1;
  tape.backward(joined, one);
  std::vector<Tensor> gradients;
  for (const Tensor& x : leaves) {
    gradients.push_back(is_real(x) && x.grad->filled ? x.grad->value : Tensor());
  }
  return gradients;
}

GradcheckReport gradcheck(const TensorFunction& f, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options) {
  for (const Tensor& x : inputs) {
    check(!is_real(x) || (x.dtype() == DType::f64 && x.dense()),
          "gradcheck: inputs must be dense f64, got {}", name_of(x.dtype()));
  }
  std::vector<Tensor> cotangents;
  {
    const NoTape none;
    std::uint64_t stream = 1000;
    for (const Tensor& y : f(inputs)) {
      cotangents.push_back(is_real(y) ? random_normal(y.shape(), DType::f64, options.seed, stream++)
                                      : Tensor());
    }
  }
  const std::vector<Tensor> analytic = gradients_of(f, inputs, cotangents);
  Comparison compare;
  for (std::size_t i = 0; i < inputs.size(); i++) {
    if (!is_real(inputs[i]) || inputs[i].elements() == 0) continue;
    const std::int64_t elements = inputs[i].elements();
    const auto gradient = [&](std::int64_t k) {
      return analytic[i] ? analytic[i].data<double>()[k] : 0.0;
    };
    double largest = 0;
    for (std::int64_t k = 0; k < elements; k++) {
      largest = std::max(largest, std::abs(gradient(k)));
    }
    // Central difference along `direction` (null: the coordinate k alone).
    const auto numeric = [&](const Tensor* direction, std::int64_t k) {
      std::vector<Tensor> sides[2] = {inputs, inputs};
      for (int side = 0; side < 2; side++) {
        const double step = side == 0 ? options.step : -options.step;
        Tensor& moved = sides[side][i];
        moved = inputs[i].to(DType::f64);
        for (std::int64_t j = 0; j < elements && direction != nullptr; j++) {
          moved.data<double>()[j] += step * direction->data<double>()[j];
        }
        if (direction == nullptr) moved.data<double>()[k] += step;
      }
      return change(f, sides[0], sides[1], cotangents) / (2 * options.step);
    };
    for (std::int64_t k : pick(elements, options.coordinates, options.seed + i)) {
      compare.add(gradient(k), numeric(nullptr, k), 1e-3 * largest,
                  fmt::format("input {} at {}", i, k));
    }
    for (std::uint64_t round = 0; round < 3; round++) {
      const Tensor direction =
          random_normal(inputs[i].shape(), DType::f64, options.seed, 77 * (i + 1) + round);
      double along = 0;
      for (std::int64_t j = 0; j < elements; j++) {
        along += gradient(j) * direction.data<double>()[j];
      }
      compare.add(along, numeric(&direction, 0), largest,
                  fmt::format("input {} along direction {}", i, round));
    }
  }
  return compare.report;
}

}  // namespace farsight
