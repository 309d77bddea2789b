#include "train/trainer.h"

#include <fmt/format.h>

#include <cmath>
#include <deque>

#include "core/atomic_folder.h"
#include "core/clock.h"
#include "train/run_checkpoints.h"
#include "train/step.h"

namespace farsight {
namespace {

constexpr Shard kAlone = {};

/// One run of the loop.
class Loop {
 public:
  explicit Loop(const TrainingContext& context)
      : context_(context),
        settings_(context.settings),
        model_(context.model),
        data_(context.task.data),
        total_(total_steps(context.settings, data_)),
        optimizer_(*context.model.parameters, context.settings.train),
        step_(context.model, optimizer_, context.settings.train.graphs),
        checkpoints_(context.record.folder(), context.settings.checkpoint) {}

  TrainState run(const std::filesystem::path& resume) {
    if (!resume.empty()) {
      state_ = load_checkpoint(resume, model_, optimizer_);
      checkpoints_.resumed(state_);
    }
    remove_leftovers(context_.record.folder());
    context_.record.rewind(state_.step);
    if (settings_.eval.interval == 0) {
      eval_interval_ = std::min(total_, std::max<std::int64_t>(1, data_.steps_per_epoch));
    } else {
      eval_interval_ = settings_.eval.interval;
    }
    save_interval_ =
        settings_.checkpoint.interval == 0 ? eval_interval_ : settings_.checkpoint.interval;
    Progress progress(context_.display, state_.step, total_);
    const CatchInterrupts catching;
    const double before = state_.seconds;
    const double start = seconds_now();
    launched_ = state_.step;
    while (state_.step < total_ && stopped() == StoppedBy::steps) {
      while (may_launch()) {
        launch();
      }
      finish(progress);
      state_.seconds = before + (seconds_now() - start);
      after_step(progress);
    }
    if (stopped() != StoppedBy::steps) {
      progress.note(fmt::format("ended at step {} of {}: {}", state_.step, total_, stop_reason()));
    }
    progress.finish();
    return state_;
  }

 private:
  StoppedBy stopped() const { return stopped_by(settings_.stop, state_.stop); }

  std::string stop_reason() const {
    const StopSettings& stop = settings_.stop;
    if (stopped() == StoppedBy::accuracy) {
      return fmt::format("{} validations with at least {} % (stop.accuracy)", stop.validations,
                         stop.accuracy);
    }
    return fmt::format("{} validations that were no better (stop.plateau)", stop.plateau);
  }

  /// Whether something is done with the parameters as they are after `step` steps.
  bool stops_after(std::int64_t step) const {
    return step == total_ || step % eval_interval_ == 0 || step % save_interval_ == 0;
  }

  /// A GPU computes one step while the host prepares the next and looks at the one before; nothing
  /// goes past a step after which the parameters are looked at.
  bool may_launch() const {
    const int most = model_.parameters->device() == Device::cuda ? 2 : 1;
    const bool waits =
        launched_ != state_.step && (stops_after(launched_) || CatchInterrupts::requested());
    return launched_ < total_ && step_.under_way() < most && !waits;
  }

  void launch() {
    const GlobalBatch batch = data_.at(launched_, kAlone);
    step_.launch(batch, learning_rate(settings_.train, launched_, total_));
    launched_++;
    tokens_.push_back(batch.tokens);
  }

  void finish(Progress& progress) {
    const StepResult result = step_.finish();
    if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
      stop_diverged(state_.step + 1, data_.at(state_.step, kAlone),
                    fmt::format("loss {}, gradient norm {}", result.loss, result.gradient_norm));
    }
    const std::int64_t tokens = tokens_.front();
    tokens_.pop_front();
    metrics_ = {.step = state_.step + 1,
                .loss = result.loss,
                .lr = learning_rate(settings_.train, state_.step, total_),
                .grad_norm = result.gradient_norm,
                .tokens = state_.tokens + tokens};
    state_.step++;
    state_.tokens += tokens;
    state_.loss = result.loss;
    progress.step({.step = state_.step,
                   .loss = result.loss,
                   .tokens = tokens,
                   .accuracy = result.accuracy()});
    metrics_.tokens_per_second = progress.tokens_per_second();
    accuracy_ = result.accuracy();
  }

  void after_step(Progress& progress) {
    const bool best =
        (state_.step % eval_interval_ == 0 || state_.step == total_) && validate(progress);
    const bool last = state_.step == total_ || stopped() != StoppedBy::steps;
    metrics_.seconds = state_.seconds;
    metrics_.memory_bytes = arena(model_.parameters->device()).peak_bytes();
    metrics_.train_accuracy = accuracy_;
    // Before the checkpoint: a run that is killed in between writes the line again, and none is lost.
    if (state_.step == 1 || state_.step % settings_.log.interval == 0 || last ||
        metrics_.valid_loss) {
      context_.record.append(metrics_);
    }
    if (best || state_.step % save_interval_ == 0 || last) save();
    if (best) checkpoints_.point_at_best(state_.step);
    if (CatchInterrupts::requested() && !last && step_.under_way() == 0) {
      save();
      progress.finish();
      fail(ExitCode::interrupted,
           "interrupted at step {} of {}; a checkpoint is in {}. The same command goes on from "
           "there.",
           state_.step, total_, checkpoints_.path_of(state_.step).string());
    }
  }

  /// Whether these are the best parameters so far.
  bool validate(Progress& progress) {
    const ValidationResult result = context_.task.validate(model_);
    if (!std::isfinite(result.loss)) {
      stop_diverged(state_.step, data_.at(state_.step, kAlone),
                    fmt::format("validation loss {}", result.loss));
    }
    metrics_.valid_accuracy = result.pair_accuracy;
    metrics_.valid_loss = result.loss;
    metrics_.valid_perplexity = result.perplexity;
    progress.note(fmt::format("step {}: validation {}", state_.step, result.text));
    note_validation(settings_.stop, result.score, state_.stop);
    const double score = settings_.checkpoint.best_by == BestBy::loss ? -result.loss
                         : settings_.checkpoint.best_by == BestBy::pair_accuracy
                             ? result.score
                             : static_cast<double>(state_.step);
    // Of equals the later: it has seen more.
    if (state_.best_score && score < *state_.best_score) return false;
    state_.best_score = score;
    state_.best_step = state_.step;
    return true;
  }

  void save() { checkpoints_.save(model_, optimizer_, state_); }

  /// `batch` is one that shows it.
  [[noreturn]] void stop_diverged(std::int64_t step, const GlobalBatch& batch,
                                  const std::string& what) {
    const std::string place = first_not_finite(model_, batch);
    fail(ExitCode::diverged,
         "training diverged at step {}: {}; {}. {}. A lower --lr or --grad-clip often helps", step,
         what,
         place.empty() ? "no single operation made a value that is not finite"
                       : "the first value that is not finite comes from " + place,
         checkpoints_.fall_back(state_.step));
  }

  const TrainingContext& context_;
  const Settings& settings_;
  const Model& model_;
  const TrainData& data_;
  std::int64_t total_;
  AdamW optimizer_;
  TrainStep step_;
  RunCheckpoints checkpoints_;
  TrainState state_;
  StepMetrics metrics_;
  double accuracy_ = 0;
  std::int64_t launched_ = 0;        // steps, those that the state counts among them
  std::deque<std::int64_t> tokens_;  // of the steps under way
  std::int64_t eval_interval_ = 1, save_interval_ = 1;
};

}  // namespace

TrainState train(const TrainingContext& context, const std::filesystem::path& resume) {
  TrainState state = Loop(context).run(resume);
  const std::filesystem::path chosen = pointed_checkpoint(context.record.folder(), "best");
  if (!chosen.empty() && state.best_step != state.step) load_parameters(chosen, context.model);
  return state;
}

}  // namespace farsight
