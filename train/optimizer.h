// AdamW over a model's flat buffers (ops/adamw.h has the formula), and the learning rate of a step.
#pragma once

#include <functional>

#include "core/trace.h"
#include "models/parameters.h"
#include "train/settings.h"

namespace farsight {

/// The learning rate of step `step` (from 0) of `total`: linear from 0 over the first warmup *
/// total steps, then half a cosine down to 0, as get_cosine_schedule_with_warmup of transformers
/// has it, which the authors' src/train_dev2.py takes; `constant` stays at the top.
///   W = warmup * total:  lr * step / W for step < W, else lr / 2 * (1 + cos(pi (step-W)/(total-W)))
double learning_rate(const TrainSettings& settings, std::int64_t step, std::int64_t total);

class AdamW {
 public:
  AdamW(ParameterStore& parameters, const TrainSettings& settings);

  /// Clips as the settings say, moves the parameters and makes their copies current. A gradient that
  /// is not finite moves nothing, nor does any step after it. On a GPU nothing is waited for.
  void step(double lr) {
    schedule(lr);
    launch();
  }
  /// The two halves of a step: what changes from step to step goes to the device, and the kernels,
  /// which are called with the same arguments every time.
  void schedule(double lr);
  void launch() const;

  /// A step whose loss is not finite moves nothing either: [>= 1] f64 on the device, where the sum over
  /// all labels of all ranks stands by the time of launch().
  void watch_loss(const Tensor& loss) { loss_ = loss; }

  /// [2] f64, on the device: the norm of all gradients together in the last launch, before any
  /// clipping, not finite if one of them was not; and whether that has ever happened.
  const Tensor& norm() const { return norm_; }
  /// norm()[0], waited for.
  double last_norm() const { return norm_.to(Device::cpu).data<double>()[0]; }

  /// After a gradient that was not finite: steps move the parameters again.
  void forgive() const { norm_.fill_zero(); }

  /// Of launch(): gradients read twice, values and moments read and written, copies written.
  LeastWork least_work() const;

  // ZeRO-1: every rank moves a part of the parameters and keeps the moments of that part alone.

  /// A flat tensor of which every rank has its part: after it, all of it (GradientSync::share_parts).
  using Share = std::function<void(const Tensor& flat)>;
  /// From here on only elements [begin, begin + count), multiples of 16 but for the last, are moved, and
  /// the others' moments given up. `sum` adds up [n] f64 of all ranks.
  void keep(std::int64_t begin, std::int64_t count, std::function<void(const Tensor&)> sum);
  bool keeps_part() const { return static_cast<bool>(sum_); }
  /// m() and v() are whole until forget_others(): for a checkpoint.
  void complete(const Share& share);
  void forget_others();

  /// Steps taken: the t of the formula.
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }
  /// First and second moments, flat, in the layout of the parameters; of an optimiser that keeps a part
  /// only between complete() and forget_others().
  const Tensor& m() const { return m_; }
  const Tensor& v() const { return v_; }

 private:
  ParameterStore& parameters_;
  TrainSettings settings_;
  Tensor m_, v_, decays_;
  Tensor norm_, norm_shares_;  // [2] f64 and the workspace of the sum
  Tensor schedule_;            // [2] f64: AdamWArgs::schedule
  Tensor loss_;
  std::int64_t begin_ = 0, count_ = 0;  // what is moved
  Tensor own_m_, own_v_;                // of a part
  std::function<void(const Tensor&)> sum_;
  std::int64_t steps_ = 0;
};

}  // namespace farsight
