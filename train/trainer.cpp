#include "train/trainer.h"

#include <fmt/format.h>

#include <cmath>
#include <deque>
#include <memory>
#include <vector>

#include "core/atomic_folder.h"
#include "core/clock.h"
#include "train/operations/step_bundle.h"
#include "train/run_checkpoints.h"
#include "train/step.h"

namespace farsight {
namespace {

constexpr std::int64_t kMostSkipped = 10;  // in a row: then the run ends
// What a rank says with a step when it was asked to end: Ctrl-C outweighs all schedulers.
constexpr double kResumable = 1, kInterrupted = 65536;

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
        own_shards_(own_shards(context.settings.train, context.ranks)),
        sync_(job_ == nullptr ? nullptr : job_->follow(context.model)),
        optimizer_(*context.model.parameters, context.settings.train),
        step_(context.model, optimizer_, context.settings.train.graphs,
              {.sync = sync_.get(), .shards = own_shards_}),
        checkpoints_(context.record.folder(), context.model, optimizer_,
                     context.settings.checkpoint) {
    step_.before_update([this] { checkpoints_.before_update(); });
  }

  TrainState run(const std::filesystem::path& resume) {
    if (!resume.empty()) {
      state_ = load_checkpoint(resume, model_, optimizer_);
      if (writes()) checkpoints_.resumed(state_);
      agree_on_best();
    }
    if (writes()) {
      remove_leftovers(context_.record.folder());
      context_.record.rewind(state_.step);
    }
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
    checkpoints_.finish();
    if (job_ != nullptr) job_->leave();
    return state_;
  }

 private:
  /// Whether this process writes the run's folder.
  bool writes() const { return job_ == nullptr || job_->first(); }

  /// Logical shards of a batch that this rank computes.
  static int own_shards(const TrainSettings& settings, const RankJob* job) {
    if (!settings.reproducible) return 1;
    return static_cast<int>(settings.gradient_shards) / (job == nullptr ? 1 : job->world());
  }

  /// This rank's share of a step.
  std::vector<GlobalBatch> batches_at(std::int64_t step) const {
    const int rank = job_ == nullptr ? 0 : job_->rank(),
              world = job_ == nullptr ? 1 : job_->world();
    std::vector<GlobalBatch> batches;
    for (int i = 0; i < own_shards_; i++)
      batches.push_back(
          data_.at(step, {.rank = rank * own_shards_ + i, .world = world * own_shards_}));
    return batches;
  }

  /// Several ranks do the same at the same step: they end when all have heard that one is to.
  bool asked_to_end() const { return job_ == nullptr ? CatchInterrupts::requested() : votes_ > 0; }
  static double vote() {
    if (!CatchInterrupts::requested()) return 0;
    return CatchInterrupts::exit_code() == ExitCode::interrupted ? kInterrupted : kResumable;
  }

  void agree_on_best() {
    if (job_ == nullptr) return;
    double numbers[] = {state_.best_score ? 1.0 : 0.0, state_.best_score.value_or(0),
                        static_cast<double>(state_.best_step)};
    job_->agree(numbers);
    state_.best_score.reset();
    if (numbers[0] != 0) state_.best_score = numbers[1];
    state_.best_step = static_cast<std::int64_t>(numbers[2]);
  }

  bool compares_after(std::int64_t step) const {
    const std::int64_t interval = settings_.ranks.check_interval;
    return job_ != nullptr && interval > 0 && (step % interval == 0 || step == total_);
  }

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
    return step == total_ || step % eval_interval_ == 0 || step % save_interval_ == 0 ||
           compares_after(step);
  }

  /// A GPU computes one step while the host prepares the next and looks at the one before; nothing
  /// goes past a step after which the parameters are looked at.
  bool may_launch() const {
    const int most = model_.parameters->device() == Device::cuda ? 2 : 1;
    const bool waits = launched_ != state_.step && (stops_after(launched_) || asked_to_end());
    return launched_ < total_ && step_.under_way() < most && !waits;
  }

  void launch() {
    const std::vector<GlobalBatch> batches = batches_at(launched_);
    step_.launch(batches, learning_rate(settings_.train, launched_, total_), vote());
    if (job_ != nullptr) job_->step_launched();
    launched_++;
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
                .skipped = state_.skipped};
    if (job_ != nullptr) metrics_.exposed_ms = result.exposed_ms;
    state_.step++;
    state_.tokens += tokens;
    if (good) state_.loss = result.loss;
    progress.step({.step = state_.step,
                   .loss = state_.loss,
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
    if (compares_after(state_.step)) job_->compare_parameters(model_, state_.step);
    // Before the checkpoint: a run that is killed in between writes the line again, and none is lost.
    if (state_.step == 1 || state_.step % settings_.log.interval == 0 || last ||
        metrics_.valid_loss) {
      context_.record.append(metrics_);
    }
    checkpoints_.look();
    if (best || state_.step % save_interval_ == 0 || last) save(best);
    if (asked_to_end() && !last && step_.under_way() == 0) end_early(progress);
  }

  void save(bool best) {
    if (writes()) checkpoints_.save(state_, best);
    if (job_ != nullptr) job_->wait_for_all();
  }

  [[noreturn]] void end_early(Progress& progress) {
    save(false);
    checkpoints_.finish();
    progress.finish();
    const bool here = CatchInterrupts::requested();
    const ExitCode code = job_ == nullptr         ? CatchInterrupts::exit_code()
                          : votes_ < kInterrupted ? ExitCode::resumable
                                                  : ExitCode::interrupted;
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
      stop_diverged(state_.step, batches_at(state_.step),
                    fmt::format("validation loss {}", result.loss), result.loss, 0);
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

  /// The step after `state_` was not finite, and with it nothing has moved: what was launched after
  /// it counts for nothing and comes again.
  void skip(const StepResult& result, Progress& progress) {
    while (step_.under_way() > 0) {
      step_.finish();
    }
    tokens_.clear();
    const std::int64_t step = state_.step + 1;
    const std::vector<GlobalBatch> batches = batches_at(state_.step);
    const std::string what =
        fmt::format("loss {}, gradient norm {}", result.loss, result.gradient_norm);
    if (settings_.train.on_nan == OnNan::stop || state_.skipped_in_a_row + 1 >= kMostSkipped) {
      stop_diverged(step, batches, what, result.loss, result.gradient_norm);
    }
    const BadStep bad = explain(
        {.step = step, .loss = result.loss, .gradient_norm = result.gradient_norm}, batches);
    progress.note(fmt::format("step {} skipped: {}; {}.{}", step, what, bad.place, bad.saved));
    state_.skipped++;
    state_.skipped_in_a_row++;
    launched_ = step;
    optimizer_.forgive();
    optimizer_.set_steps(step);
  }

  /// Sentences on a step whose parameters and batch are these.
  struct BadStep {
    std::string place, saved;
  };
  BadStep explain(StepOutcome outcome, const std::vector<GlobalBatch>& batches) {
    std::size_t shown = 0;  // the batch that shows it, or the first
    for (std::size_t i = 0; i < batches.size() && outcome.place.empty(); i++) {
      outcome.place = first_not_finite(model_, batches[i]);
      if (!outcome.place.empty()) shown = i;
    }
    const std::string places = job_ == nullptr ? outcome.place : job_->collect(outcome.place);
    BadStep bad{places.empty() ? "no single operation made a value that is not finite"
                               : "the first value that is not finite comes from " + places,
                ""};
    if (job_ != nullptr) outcome.shard = {.rank = job_->rank(), .world = job_->world()};
    const bool mine = job_ == nullptr || (places.empty() ? job_->first() : job_->leads(places));
    try {
      const std::filesystem::path bundle =
          mine ? save_step_bundle(context_.record.folder(), settings_, model_, batches[shown],
                                  outcome)
               : std::filesystem::path();
      if (!bundle.empty()) bad.saved = " farsight replay " + bundle.string() + " looks closer";
    } catch (const Error& error) {  // what is wrong with the step matters more
      bad.saved = fmt::format(" The step itself could not be saved: {}", error.what());
    }
    return bad;
  }

  /// One of `batches` shows it.
  [[noreturn]] void stop_diverged(std::int64_t step, const std::vector<GlobalBatch>& batches,
                                  const std::string& what, double loss, double norm) {
    const std::string again = settings_.train.on_nan == OnNan::skip && state_.skipped_in_a_row > 0
                                  ? fmt::format(", the {}th in a row", state_.skipped_in_a_row + 1)
                                  : "";
    const BadStep bad = explain({.step = step, .loss = loss, .gradient_norm = norm}, batches);
    std::string good = writes() ? checkpoints_.fall_back(state_.step) : "";
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
  RankJob* job_;    // null: alone
  int own_shards_;  // of each batch
  std::unique_ptr<GradientSync> sync_;
  AdamW optimizer_;
  TrainStep step_;
  RunCheckpoints checkpoints_;
  TrainState state_;
  StepMetrics metrics_;
  double accuracy_ = 0, votes_ = 0;
  std::int64_t launched_ = 0;        // steps, those that the state counts among them
  std::deque<std::int64_t> tokens_;  // of the steps under way
  std::int64_t eval_interval_ = 1, save_interval_ = 1;
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
