#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "ops/adamw.h"

namespace farsight {

double learning_rate(const TrainSettings& settings, std::int64_t step, std::int64_t total) {
  const double at = static_cast<double>(step), all = static_cast<double>(total);
  const double warm = settings.warmup * all;
  if (at < warm) return settings.lr * at / warm;
  if (settings.schedule == Schedule::constant || all <= warm) return settings.lr;
  return settings.lr / 2 * (1 + std::cos(std::numbers::pi * (at - warm) / (all - warm)));
}

AdamW::AdamW(ParameterStore& parameters, const TrainSettings& settings)
    : parameters_(parameters), settings_(settings) {
  const Tensor& values = parameters.values();
  const Device device = parameters.device();
  m_ = Tensor::zeros(values.shape(), values.dtype(), device, "adamw.m");
  v_ = Tensor::zeros(values.shape(), values.dtype(), device, "adamw.v");
  norm_ = Tensor::empty({1}, DType::f64, device, "adamw.norm");
  norm_shares_ = Tensor::empty({GradientNormArgs::kShares}, DType::f64, device, "adamw.norm");
  if (settings.decay_scope == DecayScope::all) return;
  constexpr std::int64_t group = AdamWArgs::kDecayGroup;
  const Tensor decays =
      Tensor::zeros({values.elements() / group}, DType::i32, Device::cpu, "decays");
  for (const ParameterStore::Entry& entry : parameters.entries()) {
    const Parameter& p = *entry.parameter;
    if (p.shape.n < 2 || !p.decays_as_matrix) continue;
    std::fill_n(decays.data<std::int32_t>() + entry.offset / group,
                (entry.count + group - 1) / group, 1);
  }
  decays_ = decays.to(device);
}

double AdamW::gradient_norm() const {
  const GradientNormArgs a{.g = parameters_.gradients().ptr(),
                           .norm = norm_.data<double>(),
                           .shares = norm_shares_.data<double>(),
                           .count = parameters_.flat_count(),
                           .type = parameters_.values().dtype()};
  FARSIGHT_LAUNCH(gradient_norm, parameters_.device(), a);
  // On the GPU this is the step's one wait for the device beside the loss. Without it the clipping
  // factor would have to be taken from norm_ by the kernel of the step.
  return norm_.to(Device::cpu).data<double>()[0];
}

void AdamW::step(double lr, double norm) {
  steps_++;
  const bool by_norm = settings_.clip_kind == ClipKind::norm && settings_.grad_clip > 0;
  const AdamWArgs a{
      .p = parameters_.values().ptr(),
      .m = m_.ptr(),
      .v = v_.ptr(),
      .g = parameters_.gradients().ptr(),
      .decays = decays_ ? decays_.data<std::int32_t>() : nullptr,
      .operands = parameters_.operands().ptr(),
      .operand_groups = parameters_.operand_groups()
                            ? parameters_.operand_groups().data<std::int32_t>()
                            : nullptr,
      .count = parameters_.flat_count(),
      .t = steps_,
      .lr = lr,
      .beta1 = settings_.beta1,
      .beta2 = settings_.beta2,
      .eps = settings_.eps,
      .weight_decay = settings_.weight_decay,
      .factor = by_norm && norm > settings_.grad_clip ? settings_.grad_clip / norm : 1.0,
      .value_limit = settings_.clip_kind == ClipKind::value ? settings_.grad_clip : 0.0,
      .type = parameters_.values().dtype()};
  FARSIGHT_LAUNCH(adamw_step, parameters_.device(), a);
}

}  // namespace farsight
