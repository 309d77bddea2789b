#include "train/driver.h"

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <new>

#include "core/clock.h"
#include "core/device_calls.h"
#include "core/parallel.h"
#include "core/process.h"
#include "core/version.h"
#include "ops/gemm.h"
#include "train/command_line.h"
#include "train/exchange.h"
#include "train/from_settings.h"
#include "train/generate.h"
#include "train/language_eval.h"
#include "train/operations/resume.h"
#include "train/plan.h"
#include "train/presets.h"
#include "train/quantities.h"
#include "train/ranks/rank_job.h"
#include "train/report.h"
#include "train/run_folder.h"
#include "train/task.h"
#include "train/tested.h"
#include "train/text_generation.h"
#include "train/text_result.h"
#include "train/trainer.h"

namespace farsight {
namespace {

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

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

void note(std::string_view line) {
  std::fputs(fmt::format("{}\n", line).c_str(), stderr);
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
    record = std::make_unique<RunRecord>(command.resolved, command.train);
    std::fputs(header(settings, model, steps, record->folder(), job).c_str(), stderr);
    if (task.corpora) {
      keep_identity(record->folder(), *task.corpora);
      std::fputs(text_line(*task.corpora).c_str(), stderr);
    }
    resume = resume_point(command.train, record->folder(), record->continues());
    if (!resume.note.empty()) note(resume.note);
    if (!resume.checkpoint.empty()) {
      note(fmt::format("resuming from {}", resume.checkpoint.string()));
    }
  }
  if (job != nullptr) {
    const std::string folder = job->share(first ? record->folder().string() : "");
    resume.checkpoint = job->share(resume.checkpoint.string());
    if (!first) record = std::make_unique<RunRecord>(folder);
  }
  const Display display = first ? stderr_display(settings.log.progress)
                                : Display{.write = [](std::string_view) {}, .clock = seconds_now};
  TrainState state;
  try {
    state = train({settings, model, *record, display, task, job}, resume.checkpoint);
  } catch (const Error& error) {
    record->keep_failure(error);
    throw;
  }
  if (!first) return;
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
  const std::string folder = record->folder().string();
  print(
      fmt::format("\n{} steps, {} tokens in {} ({} tokens/s)\nreport:     {}/report.html\n"
                  "checkpoint: {}/{}\nnext:       make eval RUN={}\n",
                  grouped(result.steps), human_count(static_cast<double>(result.tokens)),
                  human_duration(result.seconds), human_count(result.tokens_per_second), folder,
                  folder, checkpoint_name(result.tested_step), folder));
}

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

/// The checkpoint that a verb reads: the given one, or the run's best, or its latest.
std::filesystem::path checkpoint_of(const Weights& weights) {
  if (!weights.checkpoint.empty()) return weights.checkpoint;
  return trained_checkpoint(weights.run);
}

Model loaded_model(const Settings& settings, const Weights& weights) {
  return model_from(checkpoint_of(weights), device_of(settings), settings.run.dtype);
}

/// A language model without tasks: its validation text.
void run_text_eval(const Model& model, const Command& command) {
  const Settings& settings = command.settings();
  const Corpora corpora = corpora_of(settings, note);
  const std::filesystem::path& run = command.eval.weights.run;
  if (!run.empty()) keep_identity(run, corpora);
  const TextResult result = tested_on_text(model, settings, corpora);
  print(command.eval.json ? text_json(result).dump(2) + "\n" : text_summary(result));
}

void run_eval(const Command& command) {
  const Settings& settings = command.settings();
  const EvalOptions& options = command.eval;
  if (!options.language_tasks.empty()) {
    print(evaluate_on_language(settings, options));
    return;
  }
  const Model model = loaded_model(settings, options.weights);
  const bool own = options.tasks.empty() && options.set.empty();
  if (own && is_language_model(settings)) return run_text_eval(model, command);
  const Tested test = tested(model, settings,
                             {.tasks = own ? test_tasks_of(settings) : options.tasks,
                              .set = options.set,
                              .split = options.split == "valid" ? Split::valid : Split::test,
                              .limit = options.limit,
                              .per_query = options.per_query});
  const std::vector<TaskAccuracy>& result = test.accuracy;
  const std::int64_t peak = arena(model.parameters->device()).peak_bytes();
  std::fputs(
      fmt::format("tested on {} tokens in {} ({} tokens/s), peak memory {}\n",
                  human_count(static_cast<double>(test.tokens)), human_duration(test.seconds),
                  human_count(static_cast<double>(test.tokens) / test.seconds), human_bytes(peak))
          .c_str(),
      stderr);
  const std::filesystem::path& run = options.weights.run;
  const bool unfinished = !run.empty() && !std::filesystem::exists(run / "result.json");
  std::fputs(fmt::format("checkpoint {}{}\n", checkpoint_of(options.weights).string(),
                         unfinished ? " of a run that is not finished" : "")
                 .c_str(),
             stderr);
  if (options.json) {
    print(accuracy_json(result, parameter_hash(model)).dump(2) + "\n");
    return;
  }
  print(accuracy_table(settings, result));
  print("\n" + metrics_table(result));
  print("\n" + cell_table(result));
}

void run_generate(const Command& command) {
  const Model model = loaded_model(command.settings(), command.generate.weights);
  if (command.generate.text) {
    generate_text_from(model, command.settings(), command.generate, print, note);
    return;
  }
  print(generate_text(model, command.settings(), command.generate));
}

void run_info(const Command& command) {
  const Settings& settings = command.settings();
  const Model model = model_of(settings, Device::meta);
  print(command.info.json ? model_json(settings, model).dump(2) + "\n"
                          : model_table(settings, model));
}

void run_logits(const Command& command) {
  const LogitsOptions& options = command.logits;
  print(write_logits(loaded_model(command.settings(), options.weights), options));
}

/// Who held how much, at the most: of the device whose memory was not enough.
std::string holders() {
  try {
    const Arena& gpu = arena(Device::cuda);
    if (gpu.peak_bytes() > arena(Device::cpu).peak_bytes()) return gpu.report();
  } catch (const Error&) {  // there is none
  }
  return arena(Device::cpu).report();
}

int report_error(std::string_view program, std::string_view message, ExitCode code) {
  const bool named = message.starts_with(program);  // "mamba train: there is no option ..."
  const std::string prefix = named ? "" : fmt::format("{}: ", program);
  std::fputs(fmt::format("{}{}\n", prefix, message).c_str(), stderr);
  return static_cast<int>(code);
}

}  // namespace

int run_program(std::string_view program, int argc, const char* const* argv) {
  try {
    prepare_process();
    const Command command = parse_command_line(program, argc, argv);
    if (command.verb != Verb::print && command.settings().run.threads > 0) {
      set_threads(static_cast<int>(command.settings().run.threads));
    }
    switch (command.verb) {
      case Verb::print:
        print(command.text);
        break;
      case Verb::train:
        run_train(command);
        break;
      case Verb::eval:
        run_eval(command);
        break;
      case Verb::generate:
        run_generate(command);
        break;
      case Verb::info:
        run_info(command);
        break;
      case Verb::convert:
        print(convert(command.convert));
        break;
      case Verb::logits:
        run_logits(command);
        break;
    }
    return static_cast<int>(ExitCode::ok);
  } catch (const Error& error) {
    if (error.code() == ExitCode::memory) std::fputs(holders().c_str(), stderr);
    return report_error(program, error.what(), error.code());
  } catch (const std::bad_alloc&) {
    return report_error(program, "out of memory", ExitCode::memory);
  } catch (const std::exception& error) {
    return report_error(program, error.what(), ExitCode::internal);
  }
}

}  // namespace farsight
