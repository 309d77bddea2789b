// What must hold of every family of models on the GPU.
#pragma once

#include <doctest/doctest.h>

#include "models/model.h"
#include "tests/gpu.h"
#include "tests/model_inputs.h"
#include "tests/tiny_run.h"
#include "train/step.h"

namespace farsight {

/// The same settings on two devices: those of tiny_flags, overridden by `more`.
struct OnBothDevices {
  Resolved settings;
  Model cpu, gpu;
  explicit OnBothDevices(const Flags& more)
      : settings(resolved(tiny_flags(more))),
        cpu(model_of(settings.settings, Device::cpu)),
        gpu(model_of(settings.settings, Device::cuda)) {}
};

/// Loss and gradients of the run's first batch beside the CPU's; `tolerance` is of a gradient's norm.
inline void check_gradients_on_gpu(const OnBothDevices& models, double tolerance) {
  const GlobalBatch batch = loader_of(models.settings.settings).at(0);
  const StepResult expected = forward_backward(models.cpu, batch);
  const StepResult got = forward_backward(models.gpu, batch);
  CHECK(got.loss == doctest::Approx(expected.loss).epsilon(1e-5));
  CHECK(got.labels == expected.labels);
  const ParameterStore &a = *models.cpu.parameters, &b = *models.gpu.parameters;
  for (std::size_t i = 0; i < a.entries().size(); i++) {
    INFO(a.entries()[i].name);
    const Difference d = difference(b.entries()[i].parameter->master.grad->value,
                                    a.entries()[i].parameter->master.grad->value);
    CHECK(d.norm <= tolerance);
  }
}

/// Two sequences of 80 tokens: a prompt, then one token after the other, beside one pass.
inline void check_decoding_on_gpu(const Model& model, double tolerance) {
  const std::int64_t T = 80, prompt = 67;
  const Tokens tokens = some_tokens(2 * T, model.vocab_size);
  const Tensor whole = logits_at(model, indices(tokens, {2, T}).to(Device::cuda),
                                 indices({79, 159}, {2}).to(Device::cuda));
  const Decoder decoder = model.decoder(2);
  Tensor last = decoder(piece_of(tokens, 2, 0, prompt).to(Device::cuda));
  for (std::int64_t t = prompt; t < T; t++) {
    last = decoder(piece_of(tokens, 2, t, 1).to(Device::cuda));
  }
  CHECK(difference(last, whole).norm <= tolerance);
}

}  // namespace farsight
