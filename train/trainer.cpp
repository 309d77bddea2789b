#include "train/trainer.h"

#include <fmt/format.h>

#include <cmath>
#include <deque>
#include <memory>
#include <vector>

#include "core/atomic_folder.h"
#include "core/clock.h"
#include "train/bad_step.h"
#include "train/operations/profile.h"
#include "train/plan.h"
#include "train/ranks/rank_share.h"
#include "train/run_checkpoints.h"
#include "train/step.h"
#include "train/step_calendar.h"
#include "train/step_speed.h"

namespace farsight {
namespace {

constexpr std::int64_t kMostSkipped = 10;  // in a row: then the run ends

/// One run of the loop.
class Loop {
 public:
  explicit Loop(const TrainingContext& context)
      : context_(context),
        settings_(context.settings),
        model_(context.model),
        data_(context.task.data),
        total_(total_steps(context.settings, data_)),
        job_(context.ranks),
        calendar_(context.settings, total_, data_.steps_per_epoch, context.ranks != nullptr),
        share_(context.ranks, context.settings.train),
        sync_(job_ == nullptr ? nullptr : job_->follow(context.model)),
        optimizer_(*context.model.parameters, context.settings.train),
        speed_(context.model, training_flops_per_token(context.model, data_) /
                                  (job_ == nullptr ? 1 : job_->world())),
        profile_(context.model.parameters->device(), context.settings.log.profile, speed_.limits()),
        step_(context.model, optimizer_,
              profile_.wanted() ? GraphUse::off : context.settings.train.graphs,
              {.sync = sync_.get(), .shards = share_.shards()}),
        checkpoints_(context.record.folder(), context.model, optimizer_,
                     context.settings.checkpoint) {
    step_.before_update([this] {
      checkpoints_.before_update();
      optimizer_.forget_others();  // what was completed for a checkpoint has been copied
    });
    if (job_ != nullptr) {
      checkpoints_.hold_while_writing([this] { return job_->ranks().liveness().hold(); });
    }
  }

  TrainState run(const std::filesystem::path& resume) {
    if (!resume.empty()) {
      state_ = load_checkpoint(resume, model_, optimizer_);
      if (share_.writes()) checkpoints_.resumed(state_);
      share_.agree_on_best(state_);
    }
    keep_own_part();
    if (share_.writes()) {
      remove_leftovers(context_.record.folder());
      context_.record.rewind(state_.step);
    }
    Progress progress(context_.display, state_.step, total_);
    const CatchInterrupts catching;
    const double before = state_.seconds;
    const double start = seconds_now();
    launched_ = state_.step;
    while (state_.step < total_ && stopped() == StoppedBy::steps) {
      while (may_launch())
        launch();
      finish(progress);
      state_.seconds = before + (seconds_now() - start);
      after_step(progress);
    }
    if (stopped() != StoppedBy::steps) {
      progress.note(fmt::format("ended at step {} of {}: {}", state_.step, total_,
                                stop_reason(settings_.stop, stopped())));
    }
    progress.finish();
    checkpoints_.finish();
    if (job_ != nullptr) job_->leave();
    return state_;
  }

 private:
  void keep_own_part() {
    if (job_ == nullptr || settings_.ranks.zero == 0) return;
    const Bucket own = owned_part(model_.parameters->flat_count(), job_->rank(), job_->world());
    optimizer_.keep(own.begin, own.count,
                    [this](const Tensor& numbers) { sync_->add_up(numbers); });
  }

  StoppedBy stopped() const { return stopped_by(settings_.stop, state_.stop); }

  /// A GPU computes one step while the host prepares the next and looks at the one before; nothing
  /// goes past a step after which the parameters are looked at.
  bool may_launch() const {
    const int most = model_.parameters->device() == Device::cuda ? 2 : 1;
    const bool waits = launched_ != state_.step &&
                       (calendar_.pauses_after(launched_) || share_.asked_to_end(votes_));
    return launched_ < total_ && step_.under_way() < most && !waits;
  }

  void launch() {
    const std::vector<GlobalBatch> batches = share_.batches(data_, launched_);
    profile_.begin_step();
    step_.launch(batches, learning_rate(settings_.train, launched_, total_), RankShare::vote());
    profile_.end_step();
    launched_++;
    if (job_ != nullptr) job_->step_launched(launched_);
    tokens_.push_back(batches.front().tokens);
  }

  void finish(Progress& progress) {
    const StepResult result = step_.finish();
    if (job_ != nullptr) {
      job_->step_done(step_.under_way() > 0);
      votes_ = result.votes;
    }
    const std::int64_t tokens = tokens_.front();
    tokens_.pop_front();
    const bool good = std::isfinite(result.loss) && std::isfinite(result.gradient_norm);
    if (good) {
      state_.skipped_in_a_row = 0;
    } else {
      skip(result, progress);
    }
    metrics_ = {.step = state_.step + 1,
                .loss = result.loss,
                .lr = learning_rate(settings_.train, state_.step, total_),
                .grad_norm = result.gradient_norm,
                .tokens = state_.tokens + tokens,
                .skipped = state_.skipped,
                .total_steps = total_};
    if (job_ != nullptr) metrics_.exposed_ms = result.exposed_ms;
    state_.step++;
    state_.tokens += tokens;
    if (good) state_.loss = result.loss;
    speed_.tell(progress,
                {.step = state_.step,
                 .loss = state_.loss,
                 .tokens = tokens,
                 .accuracy = result.accuracy(),
                 .gradient_norm = result.gradient_norm,
                 .lr = metrics_.lr},
                metrics_);
    accuracy_ = result.accuracy();
  }

  void after_step(Progress& progress) {
    const bool best = calendar_.validates_after(state_.step) && validate(progress);
    const bool last = state_.step == total_ || stopped() != StoppedBy::steps;
    metrics_.seconds = state_.seconds;
    metrics_.memory_bytes = arena(model_.parameters->device()).peak_bytes();
    metrics_.train_accuracy = accuracy_;
    if (calendar_.compares_after(state_.step, last)) {
      job_->compare_parameters(model_, state_.step);
      compared_++;
    }
    if (job_ != nullptr) metrics_.weights_compared = compared_;
    // Before the checkpoint: a run that is killed in between writes the line again, and none is lost.
    if (state_.step == 1 || state_.step % settings_.log.interval == 0 || last ||
        metrics_.valid_loss) {
      context_.record.append(metrics_);
    }
    if (profile_.due() && share_.writes()) {
      profile_.write(context_.record.folder());
      progress.note("where the time goes: " + (context_.record.folder() / "profile.md").string());
    }
    checkpoints_.look();
    if (best || calendar_.saves_after(state_.step) || last) save(best);
    if (share_.asked_to_end(votes_) && !last && step_.under_way() == 0) end_early(progress);
  }

  void save(bool best) {
    if (optimizer_.keeps_part()) {
      optimizer_.complete([this](const Tensor& flat) { sync_->share_parts(flat); });
    }
    if (share_.writes()) checkpoints_.save(state_, best);
    if (job_ != nullptr) job_->wait_for_all();
  }

  [[noreturn]] void end_early(Progress& progress) {
    save(false);
    checkpoints_.finish();
    progress.finish();
    const bool here = CatchInterrupts::requested();
    const ExitCode code = share_.exit_code(votes_);
    if (job_ != nullptr) job_->leave();
    fail(code,
         "interrupted by {} at step {} of {}; a checkpoint is in {}. The same command goes on "
         "from there.",
         here ? CatchInterrupts::name() : "a signal to another rank", state_.step, total_,
         checkpoints_.path_of(state_.step).string());
  }

  /// Whether these are the best parameters so far.
  bool validate(Progress& progress) {
    ValidationResult result = context_.task.validate(model_);
    if (job_ != nullptr) {  // the same on all; what is decided by it must be
      double numbers[] = {result.loss, result.score};
      job_->agree(numbers);
      result.loss = numbers[0];
      result.score = numbers[1];
    }
    if (!std::isfinite(result.loss)) {
      stop_diverged(state_.step, share_.batches(data_, state_.step),
                    fmt::format("validation loss {}", result.loss), result.loss, 0);
    }
    metrics_.valid_accuracy = result.pair_accuracy;
    metrics_.valid_loss = result.loss;
    metrics_.valid_perplexity = result.perplexity;
    progress.note(fmt::format("step {}: validation {}", state_.step, result.text));
    note_validation(settings_.stop, result.score, state_.stop);
    return note_best(settings_.checkpoint, result, state_);
  }

  /// The step after `state_` was not finite, and with it nothing has moved: what was launched after
  /// it counts for nothing and comes again.
  void skip(const StepResult& result, Progress& progress) {
    while (step_.under_way() > 0) {
      step_.finish();
    }
    tokens_.clear();
    if (job_ != nullptr) job_->step_done(false);  // a closer look takes longer than a step
    const std::int64_t step = state_.step + 1;
    const std::vector<GlobalBatch> batches = share_.batches(data_, state_.step);
    const std::string what =
        fmt::format("loss {}, gradient norm {}", result.loss, result.gradient_norm);
    if (settings_.train.on_nan == OnNan::stop || state_.skipped_in_a_row + 1 >= kMostSkipped) {
      stop_diverged(step, batches, what, result.loss, result.gradient_norm);
    }
    const BadStep bad = explain_bad_step(
        context_, batches,
        {.step = step, .loss = result.loss, .gradient_norm = result.gradient_norm});
    progress.note(fmt::format("step {} skipped: {}; {}.{}", step, what, bad.place, bad.saved));
    state_.skipped++;
    state_.skipped_in_a_row++;
    launched_ = step;
    optimizer_.forgive();
    optimizer_.set_steps(step);
  }

  /// One of `batches` shows it.
  [[noreturn]] void stop_diverged(std::int64_t step, const std::vector<GlobalBatch>& batches,
                                  const std::string& what, double loss, double norm) {
    const bool in_a_row = step > state_.step && state_.skipped_in_a_row > 0;  // no validation
    const std::string again =
        in_a_row ? fmt::format(", the {}th in a row", state_.skipped_in_a_row + 1) : "";
    const BadStep bad =
        explain_bad_step(context_, batches, {.step = step, .loss = loss, .gradient_norm = norm});
    std::string good = share_.writes() ? checkpoints_.fall_back(state_.step) : "";
    if (job_ != nullptr) {
      good = job_->share(good);
      job_->leave();
    }
    fail(ExitCode::diverged,
         "training diverged at step {}{}: {}; {}. {}. A lower --lr or --grad-clip often helps.{}",
         step, again, what, bad.place, good, bad.saved);
  }

  const TrainingContext& context_;
  const Settings& settings_;
  const Model& model_;
  const TrainData& data_;
  std::int64_t total_;
  RankJob* job_;  // null: alone
  StepCalendar calendar_;
  RankShare share_;
  std::unique_ptr<GradientSync> sync_;
  AdamW optimizer_;
  StepSpeed speed_;
  Profile profile_;
  TrainStep step_;
  RunCheckpoints checkpoints_;
  TrainState state_;
  StepMetrics metrics_;
  double accuracy_ = 0, votes_ = 0;
  std::int64_t compared_ = 0;        // times that all ranks' parameters were
  std::int64_t launched_ = 0;        // steps, those that the state counts among them
  std::deque<std::int64_t> tokens_;  // of the steps under way
};

}  // namespace

TrainState train(const TrainingContext& context, const std::filesystem::path& resume) {
  TrainState state = Loop(context).run(resume);
  if (context.ranks != nullptr && !context.ranks->first()) return state;
  const std::filesystem::path chosen = pointed_checkpoint(context.record.folder(), "best");
  if (!chosen.empty() && state.best_step != state.step) load_parameters(chosen, context.model);
  return state;
}

}  // namespace farsight
