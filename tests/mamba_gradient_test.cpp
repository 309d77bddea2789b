// The gradient of a whole Mamba through its loss.
#include <doctest/doctest.h>

#include <cmath>

#include "autograd/tape.h"
#include "ops/linear_cross_entropy.h"
#include "tests/small_mamba.h"

namespace farsight {
namespace {

/// Loss of the labelled rows and, when `learn`, its gradients.
double loss_of(Mamba& mamba, const Tensor& tokens, const Tensor* position, bool learn) {
  const Tensor rows = indices({1, 2, 9, 10, 15, 21}, {6});
  const Tensor targets = indices({3, 0, 12, 7, 7, 1}, {6});
  mamba.parameters().forget_gradients();
  const Tensor one = Tensor::zeros({1}, DType::f64);
  one.data<double>()[0] = 1;
  Tape tape;
  const Tensor loss = linear_cross_entropy(mamba.features(tokens, rows, position),
                                           mamba.head().operand, targets, 1.0 / 6);
  const double value = loss.data<double>()[0];
  if (learn) tape.backward(loss, one);
  if (learn) mamba.parameters().complete_gradients();
  return value;
}

TEST_CASE("mamba: the gradient of the whole model equals central differences in f64") {
  const Tensor tokens = indices(some_tokens(22, 13), {2, 11});
  const Tensor packed =
      indices({0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {2, 11});
  for (const std::int64_t gate : {0, 5}) {
    for (const Tensor* position : {static_cast<const Tensor*>(nullptr), &packed}) {
      Mamba mamba(small_config(gate), Device::cpu, DType::f64);
      ParameterStore& parameters = mamba.parameters();
      shake(parameters, 6);
      loss_of(mamba, tokens, position, true);
      const Tensor gradients = parameters.gradients().to(DType::f64);
      double all = 0;
      for (double g : gradients.span<double>()) {
        all += g * g;
      }
      all = std::sqrt(all);
      std::uint64_t stream = 100;
      for (const ParameterStore::Entry& entry : parameters.entries()) {
        INFO(entry.name, ", gate ", gate, ", packed ", position != nullptr);
        const double* g = gradients.data<double>() + entry.offset;
        double* p = entry.parameter->master.data<double>();
        const Tensor start = entry.parameter->master.to(DType::f64);
        for (int round = 0; round < 2; round++) {
          const Tensor direction = random_normal({entry.count}, DType::f64, 8, stream++);
          const double* v = direction.data<double>();
          const auto loss_at = [&](double step) {
            for (std::int64_t i = 0; i < entry.count; i++) {
              p[i] = start.data<double>()[i] + step * v[i];
            }
            return loss_of(mamba, tokens, position, false);
          };
          constexpr double h = 2e-4;  // with four points the error is of order h^4
          const double numeric =
              (8 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12 * h);
          loss_at(0);
          double analytic = 0, norm = 0;
          for (std::int64_t i = 0; i < entry.count; i++) {
            analytic += g[i] * v[i];
            norm += g[i] * g[i];
          }
          CHECK(norm > 0);
          // Beside the rest of the model, a tiny gradient only has to be right to 1e-10 of it.
          const double floor = std::max(0.1 * std::sqrt(norm), 1e-4 * all);
          CHECK(std::abs(analytic - numeric) <= 1e-6 * std::max(std::abs(numeric), floor));
        }
      }
    }
  }
}

}  // namespace
}  // namespace farsight
