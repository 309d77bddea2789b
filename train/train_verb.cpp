#include "train/train_verb.h"

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <memory>

#include "core/clock.h"
#include "core/device_calls.h"
#include "core/parallel.h"
#include "core/version.h"
#include "ops/gemm.h"
#include "train/from_settings.h"
#include "train/interrupts.h"
#include "train/operations/restart.h"
#include "train/plan.h"
#include "train/presets.h"
#include "train/quantities.h"
#include "train/ranks/launch_job.h"
#include "train/ranks/rank_job.h"
#include "train/report.h"
#include "train/run_folder.h"
#include "train/task.h"
#include "train/terminal.h"
#include "train/tested.h"
#include "train/text_result.h"
#include "train/trainer.h"

namespace farsight {
namespace {

std::string device_text(Device device) {
  if (device == Device::cuda) return gpu_name();
  return fmt::format("{} ({} {})", name_of(device), threads(),
                     threads() == 1 ? "thread" : "threads");
}

/// " x 4 ranks"; nothing for a process that is alone.
std::string ranks_text(const RankJob* job) {
  return job == nullptr ? std::string() : fmt::format(" x {} ranks", job->world());
}

std::string header(const Settings& settings, const Model& model, std::int64_t steps,
                   const std::filesystem::path& folder, const RankJob* job) {
  std::string text = fmt::format(
      "farsight {}\n{} on {}, preset {}, recipe {}, seed {}\n{} parameters, {} steps of {}, {}, "
      "{}, "
      "{}\nrun folder: {}\n",
      version_line(), settings.run.model, own_task_name(settings), settings.run.preset,
      settings.run.recipe, settings.run.seed, grouped(model.parameters->count()), grouped(steps),
      step_text(settings), device_text(model.parameters->device()) + ranks_text(job),
      name_of(settings.run.dtype), cpu::blas_description(), folder.string());
  if (settings.run.preset == "pocket") {
    text += fmt::format(
        "pocket is not a setting of the paper: {} and a small model, for minutes on two cores. "
        "PRESET=tiny and PRESET=full are the real ones.\n",
        is_language_model(settings) ? "short blocks of text"
                                    : "a small vocabulary, short sequences");
  }
  return text;
}

/// "4,512,344 tokens of 6,866 documents: 2,100 blocks of 2,048 to train on, 52 to validate on"
std::string text_line(const Corpora& corpora) {
  return fmt::format("{} tokens of {} {}: {} blocks of {} to train on, {} to validate on\n",
                     grouped(corpora.tokens), grouped(corpora.documents),
                     corpora.documents == 1 ? "document" : "documents",
                     grouped(corpora.train.count), grouped(corpora.train.length),
                     grouped(corpora.valid.count));
}

/// What the run learns from. The first rank may prepare a text, which the others find ready.
TrainingTask shared_task(const Settings& settings, RankJob* job) {
  const bool waits = job != nullptr && !job->first();
  if (waits) job->wait_for_all();
  TrainingTask task = waits ? training_task_of(settings) : training_task_of(settings, note);
  if (job != nullptr && !waits) job->wait_for_all();
  return task;
}

/// `job`: the other ranks; null: alone. The first rank alone writes and tests.
void train_and_test(const Command& command, RankJob* job) {
  const Settings& settings = command.settings();
  const bool first = job == nullptr || job->first();
  const Device device = device_of(settings);
  // What the settings cannot give is refused before anything is written.
  const TrainingTask task = shared_task(settings, job);
  const std::int64_t steps = total_steps(settings, task.data);
  const Model model = model_of(settings, device);
  std::unique_ptr<RunRecord> record;
  ResumePoint resume;
  if (first) {
    const std::string launch = launch_of_process();
    record = std::make_unique<RunRecord>(command.resolved, command.train, launch);
    std::fputs(header(settings, model, steps, record->folder(), job).c_str(), stderr);
    if (task.corpora) {
      keep_identity(record->folder(), *task.corpora);
      std::fputs(text_line(*task.corpora).c_str(), stderr);
    }
    resume = record->restarts()
                 ? restart_point(command.train, record->folder(), record->continues())
                 : resume_point(command.train, record->folder(), record->continues());
    if (!resume.note.empty()) note(resume.note);
    if (!resume.checkpoint.empty()) {
      note(fmt::format("resuming from {}", resume.checkpoint.string()));
    }
    begin_from(record->folder(), resume.checkpoint, launch);
  }
  if (job != nullptr) {
    const auto shared = [&](const std::filesystem::path& path) {  // another rank may work elsewhere
      return job->share(path.empty() ? "" : std::filesystem::absolute(path).string());
    };
    const std::string folder = shared(first ? record->folder() : std::filesystem::path());
    resume.checkpoint = shared(resume.checkpoint);
    if (!first) record = std::make_unique<RunRecord>(folder);
    job->require_seen(record->folder());
  }
  const Display display = first ? stderr_display(settings.log.progress)
                                : Display{.write = [](std::string_view) {}, .clock = seconds_now};
  const CatchInterrupts catching;  // until the test's own handler is there
  TrainState state;
  try {
    state = train({settings, model, *record, display, task, job}, resume.checkpoint);
  } catch (const Error& error) {
    record->keep_failure(error);
    throw;
  }
  if (!first) return;
  const std::string folder = record->folder().string();
  const std::string trained = fmt::format(
      "after the last step; {} is trained, and the same command goes on with its test", folder);
  const EndOnInterrupt testing(trained);
  if (CatchInterrupts::requested()) {  // before that, and too late for the loop
    fail(CatchInterrupts::exit_code(), "interrupted by {} {}", CatchInterrupts::name(), trained);
  }
  RunResult result{.device = device_text(device) + ranks_text(job),
                   .parameters = model.parameters->count(),
                   .steps = state.step,
                   .tokens = state.tokens,
                   .seconds = state.seconds,
                   .tokens_per_second = static_cast<double>(state.tokens) / state.seconds,
                   .loss = state.loss,
                   .stopped_by = std::string(name_of(stopped_by(settings.stop, state.stop))),
                   .tested_step = state.best_step,
                   .peak_memory_bytes = arena(device).peak_bytes(),
                   .parameter_hash = parameter_hash(model)};
  if (task.corpora) {
    const TextResult text = tested_on_text(model, settings, *task.corpora);
    result.text = text_json(text);
    print("\n" + text_summary(text));
  } else {
    const TestOptions tests{.tasks = test_tasks_of(settings), .set = {}};
    result.accuracy = tested(model, settings, tests).accuracy;
    print("\n" + accuracy_table(settings, result.accuracy));
  }
  record->finish(result);
  print(
      fmt::format("\n{} steps, {} tokens in {} ({} tokens/s)\nreport:     {}/report.html\n"
                  "checkpoint: {}/{}\nnext:       make eval RUN={}\n",
                  grouped(result.steps), human_count(static_cast<double>(result.tokens)),
                  human_duration(result.seconds), human_count(result.tokens_per_second), folder,
                  folder, checkpoint_name(result.tested_step), folder));
}

}  // namespace

void run_train(const Command& command) {
  const Settings& settings = command.settings();
  if (command.train.dry_run) {
    print(plan_text(settings, make_plan(settings)));
    return;
  }
  const std::unique_ptr<RankJob> job = RankJob::join(settings);
  try {
    train_and_test(command, job.get());
  } catch (const Error& error) {
    if (job) job->stop(error);
    throw;
  } catch (const std::exception& error) {
    if (job) job->stop(std::string(error.what()));
    throw;
  }
}

}  // namespace farsight
