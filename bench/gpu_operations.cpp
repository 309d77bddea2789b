#include "bench/gpu_operations.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "autograd/tape.h"
#include "bench/measurement.h"
#include "ops/adamw.h"

namespace farsight::bench {
namespace {

constexpr int kCopies = 2;  // of the inputs, taken in turns
constexpr int kWarmUps = 3;

using Tensors = std::vector<Tensor>;

/// One operation, its inputs on the GPU, and the tape of the run under way.
class Operation {
 public:
  Operation(const OpCase& operation, const Sizes& sizes,
            const std::vector<std::string_view>& wanted, RandomTensors& random)
      : operation_(operation) {
    const std::vector<OpInput> inputs = operation.inputs(sizes);
    for (const OpInput& input : inputs) {
      wants_gradient_.push_back(input.kind != OpInput::Kind::integer &&
                                (wanted.empty() || std::ranges::count(wanted, input.name) > 0));
    }
    for (int copy = 0; copy < kCopies; copy++) {
      Tensors made;
      for (const OpInput& input : inputs) {
        made.push_back(random.make(input, DType::bf16));
      }
      copies_.push_back(made);
    }
    for (const Tensor& y : operation.call(copies_.front())) {
      cotangents_.push_back(random.normal(y.shape(), y.dtype()));
    }
  }

  void prepare() {
    forget();
    run_++;
    const Tensors& inputs = copies_[run_ % copies_.size()];
    for (std::size_t i = 0; i < inputs.size(); i++) {
      leaves_.push_back(wants_gradient_[i] ? leaf(inputs[i]) : inputs[i]);
    }
    for (const Tensor& dy : cotangents_) {  // backward may use their bytes for gradients
      dy_.push_back(dy.to(dy.dtype()));
    }
    tape_.emplace();
  }

  void forward() { y_ = operation_.call(leaves_); }

  void backward() {
    // The walk starts at one tensor; further outputs already hold their gradients when it begins.
    for (std::size_t i = 1; i < y_.size(); i++) {
      y_[i].grad->value = dy_[i];
      y_[i].grad->filled = true;
    }
    tape_->backward(y_.front(), dy_.front());
  }

 private:
  void forget() {
    tape_.reset();
    y_.clear();
    dy_.clear();
    leaves_.clear();
  }

  OpCase operation_;
  std::vector<bool> wants_gradient_;
  std::vector<Tensors> copies_;
  Tensors cotangents_;
  std::size_t run_ = 0;

  Tensors leaves_, y_, dy_;
  std::optional<Tape> tape_;
};

/// The flat buffers of a model in bf16.
class Optimizer {
 public:
  Optimizer(std::int64_t parameters, RandomTensors& random)
      : count_(parameters),
        p_(random.normal({parameters}, DType::f32, 0, 0.02)),
        g_(random.normal({parameters}, DType::f32, 0, 1e-3)),
        m_(random.normal({parameters}, DType::f32, 0, 1e-3)),
        v_(random.normal({parameters}, DType::f32, 1e-6, 1e-7)),
        operands_(random.normal({parameters}, DType::bf16)),
        norm_(Tensor::zeros({2}, DType::f64, Device::cuda, "bench.norm")),
        shares_(
            Tensor::empty({GradientNormArgs::kShares}, DType::f64, Device::cuda, "bench.norm")) {
    const std::int64_t groups = parameters / AdamWArgs::kDecayGroup;
    const Tensor same = Tensor::empty({groups}, DType::i32);
    const Tensor ones = Tensor::empty({groups}, DType::i32);
    for (std::int64_t i = 0; i < groups; i++) {
      same.data<std::int32_t>()[i] = static_cast<std::int32_t>(i);
      ones.data<std::int32_t>()[i] = 1;
    }
    const double schedule[2] = {1e-3, 1e-4};
    schedule_ = Tensor::from(std::span<const double>(schedule), {2}).to(Device::cuda);
    operand_groups_ = same.to(Device::cuda);
    decays_ = ones.to(Device::cuda);
  }

  void gradient_norm() const {
    const GradientNormArgs a{.g = g_.ptr(),
                             .norm = norm_.data<double>(),
                             .shares = shares_.data<double>(),
                             .count = count_};
    FARSIGHT_LAUNCH(gradient_norm, Device::cuda, a);
  }

  void step() const {
    const AdamWArgs a{.p = p_.ptr(),
                      .m = m_.ptr(),
                      .v = v_.ptr(),
                      .g = g_.ptr(),
                      .decays = decays_.data<std::int32_t>(),
                      .operands = operands_.ptr(),
                      .operand_groups = operand_groups_.data<std::int32_t>(),
                      .count = count_,
                      .schedule = schedule_.data<double>(),
                      .norm = norm_.data<double>(),
                      .norm_limit = 1};
    FARSIGHT_LAUNCH(adamw_step, Device::cuda, a);
  }

 private:
  std::int64_t count_;
  Tensor p_, g_, m_, v_, operands_, operand_groups_, decays_, norm_, shares_, schedule_;
};

}  // namespace

GpuWork operation_work(const OpCase& operation, const Sizes& sizes,
                       const std::vector<std::string_view>& wanted, RandomTensors& random) {
  const auto made = std::make_shared<Operation>(operation, sizes, wanted, random);
  return {.prepare = [made] { made->prepare(); },
          .forward = [made] { made->forward(); },
          .backward = [made] { made->backward(); }};
}

GpuWork gradient_norm_gpu_work(std::int64_t parameters, RandomTensors& random) {
  const auto made = std::make_shared<Optimizer>(parameters, random);
  return {.forward = [made] { made->gradient_norm(); }};
}

GpuWork adamw_gpu_work(std::int64_t parameters, RandomTensors& random) {
  const auto made = std::make_shared<Optimizer>(parameters, random);
  return {.forward = [made] { made->step(); }};
}

GpuTimes time_on_gpu(const GpuWork& work, const GpuTimer& timer, int runs) {
  std::vector<double> forward, backward;
  for (int run = -kWarmUps; run < runs; run++) {
    if (work.prepare) work.prepare();
    const double forward_ms = timer.ms_of(work.forward);
    const double backward_ms = work.backward ? timer.ms_of(work.backward) : 0;
    if (run < 0) continue;
    forward.push_back(forward_ms);
    backward.push_back(backward_ms);
  }
  return {.forward_ms = median(forward), .backward_ms = median(backward), .runs = runs};
}

}  // namespace farsight::bench
