#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

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
  norm_ = Tensor::zeros({2}, DType::f64, device, "adamw.norm");
  schedule_ = Tensor::zeros({2}, DType::f64, device, "adamw.schedule");
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

void AdamW::schedule(double lr) {
  steps_++;
  const double t = static_cast<double>(steps_);
  const double rates[2] = {
      lr * std::sqrt(1 - std::pow(settings_.beta2, t)) / (1 - std::pow(settings_.beta1, t)),
      lr * settings_.weight_decay};
  schedule_.copy_from(Tensor::from(std::span<const double>(rates), {2}, "adamw.schedule"));
}

void AdamW::keep(std::int64_t begin, std::int64_t count, std::function<void(const Tensor&)> sum) {
  check(!keeps_part() && begin % AdamWArgs::kDecayGroup == 0 &&
            begin + count <= parameters_.flat_count(),
        "AdamW::keep: a part in whole groups, once; got {} from {} of {}", count, begin,
        parameters_.flat_count());
  begin_ = begin;
  count_ = count;
  sum_ = std::move(sum);
  for (auto [whole, own] : {std::pair{&m_, &own_m_}, std::pair{&v_, &own_v_}}) {
    *own = Tensor::empty({count}, whole->dtype(), whole->device(), "adamw.part");
    own->copy_from(whole->slice_flat(begin, {count}));
  }
  forget_others();
}

void AdamW::complete(const Share& share) {
  for (auto [whole, own] : {std::pair{&m_, &own_m_}, std::pair{&v_, &own_v_}}) {
    const Tensor& values = parameters_.values();
    *whole = Tensor::zeros(values.shape(), values.dtype(), values.device(), "adamw.whole");
    whole->slice_flat(begin_, {count_}).copy_from(*own);
    share(*whole);
  }
}

void AdamW::forget_others() {
  if (!keeps_part()) return;
  m_ = Tensor();
  v_ = Tensor();
}

void AdamW::launch() const {
  const Device device = parameters_.device();
  const DType type = parameters_.values().dtype();
  const bool part = keeps_part();
  const std::int64_t count = part ? count_ : parameters_.flat_count();
  const auto from_begin = [&](const Tensor& flat) -> void* {
    return static_cast<std::byte*>(flat.ptr()) + begin_ * size_of(type);
  };
  const auto group = [&](const Tensor& groups) {
    return groups ? groups.data<std::int32_t>() + begin_ / AdamWArgs::kDecayGroup : nullptr;
  };
  const void* gradients = from_begin(parameters_.gradients());
  GradientNormArgs n{.g = gradients,
                     .norm = norm_.data<double>(),
                     .shares = norm_shares_.data<double>(),
                     .loss = loss_ ? loss_.data<double>() : nullptr,
                     .count = count,
                     .type = type};
  if (part) {
    n.part = GradientNormArgs::Part::squares;
    FARSIGHT_LAUNCH(gradient_norm, device, n);
    sum_(norm_shares_);
    n.part = GradientNormArgs::Part::root;
  }
  FARSIGHT_LAUNCH(gradient_norm, device, n);
  const auto limit = [this](ClipKind kind) {
    return settings_.clip_kind == kind ? settings_.grad_clip : 0.0;
  };
  const AdamWArgs a{.p = from_begin(parameters_.values()),
                    .m = part ? own_m_.ptr() : m_.ptr(),
                    .v = part ? own_v_.ptr() : v_.ptr(),
                    .g = gradients,
                    .decays = group(decays_),
                    .operands = parameters_.operands().ptr(),
                    .operand_groups = group(parameters_.operand_groups()),
                    .count = count,
                    .schedule = schedule_.data<double>(),
                    .norm = norm_.data<double>(),
                    .beta1 = settings_.beta1,
                    .beta2 = settings_.beta2,
                    .eps = settings_.eps,
                    .norm_limit = limit(ClipKind::norm),
                    .value_limit = limit(ClipKind::value),
                    .bf16_storage = parameters_.storage() == Storage::bf16,
                    .type = type};
  FARSIGHT_LAUNCH(adamw_step, device, a);
}

LeastWork AdamW::least_work() const {
  return {.bytes = 8 * parameters_.values().bytes() + parameters_.operands().bytes(), .flops = 0};
}

}  // namespace farsight
