// A model beside the numbers that another implementation computed for it: tests/reference/FAMILY, a
// folder of weights, and FAMILY-numbers.safetensors (tests/reference/reference_numbers.py).
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "autograd/tape.h"
#include "core/safetensors.h"
#include "models/pretrained.h"
#include "ops/linear_cross_entropy.h"
#include "tests/model_inputs.h"
#include "train/optimizer.h"

namespace farsight {

inline const std::filesystem::path kReference =
    std::filesystem::path(FARSIGHT_SOURCE_DIR) / "tests" / "reference";

inline std::vector<double> wide(const Tensor& tensor) {
  const Tensor t = tensor.to(DType::f64);
  return {t.data<double>(), t.data<double>() + t.elements()};
}

inline double largest(const std::vector<double>& x) {
  double most = 0;
  for (const double value : x) {
    most = std::max(most, std::abs(value));
  }
  return most;
}

/// Largest difference; infinite where one is not finite.
inline double apart(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (std::size_t i = 0; i < a.size(); i++) {
    const double difference = std::abs(a[i] - b[i]);
    most = std::isfinite(difference) ? std::max(most, difference) : INFINITY;
  }
  return most;
}

struct ReferenceModel {
  ReferenceModel(const std::string& family, DType compute)
      : numbers(kReference / (family + "-numbers.safetensors")),
        saved(kReference / family),
        model(make_model(saved.config(), Device::cpu, compute)),
        ids(numbers.load("ids")) {
    saved.load(model);
  }

  std::vector<double> number(const std::string& name) const { return wide(numbers.load(name)); }

  /// Mean over all positions but the last of each row of the loss of the next id.
  double loss(bool learn) const {
    const std::int64_t B = ids.dim(0), T = ids.dim(1);
    Tokens rows, targets;
    for (std::int64_t i = 0; i < B * T; i++) {
      if (i % T == T - 1) continue;
      rows.push_back(static_cast<std::int32_t>(i));
      targets.push_back(ids.data<std::int32_t>()[i + 1]);
    }
    const Shape shape = {static_cast<std::int64_t>(rows.size())};
    model.parameters->forget_gradients();
    Tape tape;
    const Tensor mean = linear_cross_entropy(
        model.features(ids, indices(rows, shape), nullptr, nullptr), model.head->operand,
        indices(targets, shape), 1 / static_cast<double>(rows.size()));
    if (learn) {
      const Tensor one = Tensor::zeros({1}, mean.dtype());
      with_type(one.dtype(), [&]<class T2>() { one.data<T2>()[0] = T2(1); });
      tape.backward(mean, one);
      model.parameters->complete_gradients();
    }
    return mean.to(DType::f64).data<double>()[0];
  }

  SafetensorsFile numbers;
  Pretrained saved;
  Model model;
  Tensor ids;
};

/// Logits, loss and the gradient of each of `parameters` tensors, in f64 and in f32.
inline void check_against_reference(const std::string& family, std::size_t parameters) {
  for (const DType compute : {DType::f64, DType::f32}) {
    const ReferenceModel reference(family, compute);
    const bool exact = compute == DType::f64;
    const std::string type = exact ? "f64" : "f32";
    INFO("in ", type);
    const Tensor rows = all_rows(reference.ids.elements());
    const std::vector<double> logits = wide(logits_at(reference.model, reference.ids, rows));
    CHECK(apart(logits, reference.number("logits." + type)) < (exact ? 1e-10 : 1e-4));
    const double loss = reference.loss(true);
    CHECK(std::abs(loss - reference.number("loss." + type)[0]) < (exact ? 1e-12 : 1e-5));
    std::size_t compared = 0;
    for (const ParameterStore::Entry& entry : reference.model.parameters->entries()) {
      INFO(entry.name);
      const std::vector<double> expected = reference.number("grad." + entry.name);
      const double tolerance = (exact ? 1e-10 : 1e-4) * largest(expected);
      CHECK(largest(expected) > 1e-6);
      CHECK(apart(wide(entry.parameter->master.grad->value), expected) < tolerance);
      compared++;
    }
    CHECK(compared == parameters);
  }
}

/// The losses before each of ten AdamW steps in f64, and after the last.
inline void check_ten_steps(const std::string& family, double lr) {
  const ReferenceModel reference(family, DType::f64);
  TrainSettings settings;
  settings.weight_decay = 0.1;
  settings.grad_clip = 0;
  AdamW optimizer(*reference.model.parameters, settings);
  const std::vector<double> expected = reference.number("steps.f64");
  CHECK(expected.front() - expected.back() > 3);
  for (std::size_t step = 0; step < 10; step++) {
    CHECK(std::abs(reference.loss(true) - expected[step]) < 1e-9);
    optimizer.step(lr);
  }
  CHECK(std::abs(reference.loss(false) - expected[10]) < 1e-9);
}

}  // namespace farsight
