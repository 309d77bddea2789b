#include "train/driver.h"

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <new>

#include "core/parallel.h"
#include "core/process.h"
#include "train/checkpoint.h"
#include "train/command_line.h"
#include "train/exchange.h"
#include "train/from_settings.h"
#include "train/generate.h"
#include "train/language_eval.h"
#include "train/quantities.h"
#include "train/ranks/launch_job.h"
#include "train/report.h"
#include "train/run_folder.h"
#include "train/task.h"
#include "train/terminal.h"
#include "train/tested.h"
#include "train/text_generation.h"
#include "train/text_result.h"
#include "train/tokenizer_choice.h"
#include "train/train_verb.h"

namespace farsight {
namespace {

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
  const std::filesystem::path& run = command.eval.weights.run;
  const std::filesystem::path& weights = run.empty() ? command.eval.weights.checkpoint : run;
  const Corpora corpora = corpora_of(with_tokenizer_of_run(settings, weights), note);
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
  bool same_on_all = true;  // ranks of a launch were given the same words
  try {
    prepare_process();
    const Command command = parse_command_line(program, argc, argv);
    same_on_all = false;
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
    same_on_all |= error.code() == ExitCode::usage;
    if (same_on_all && is_later_rank_of_launch()) return static_cast<int>(error.code());
    return report_error(program, error.what(), error.code());
  } catch (const std::bad_alloc&) {
    return report_error(program, "out of memory", ExitCode::memory);
  } catch (const std::exception& error) {
    return report_error(program, error.what(), ExitCode::internal);
  }
}

}  // namespace farsight
