// The command line of the zoo programs: `mamba train|eval|generate|info|convert|logits`.
//
// parse_command_line() only reads: it returns what to do, or throws Error(usage), and it never
// exits or prints. --help, --version, --list and --print-config come back as text to print.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "train/next_token.h"
#include "train/resolve.h"

namespace farsight {

enum class Verb : std::uint8_t { print, train, eval, generate, info, convert, logits };

struct TrainOptions {
  /// auto: continue an unfinished run; never; step-K of it; or the path of a run or a checkpoint
  /// (train/operations/resume.h).
  std::string resume = "auto";
  bool may_fall_back = false;  ///< auto was asked for: a damaged checkpoint may be passed over
  bool dry_run = false;        ///< print the plan and stop
  bool overwrite = false;      ///< delete the run that is in the way
};

/// The trained weights a verb reads: exactly one of the two is given.
struct Weights {
  std::filesystem::path run;         ///< a run's folder; its best checkpoint
  std::filesystem::path checkpoint;  ///< a checkpoint's folder
};

struct EvalOptions {
  Weights weights;
  std::vector<std::string> tasks;  ///< none: those that belong to the run's (test_tasks_of)
  /// Or of eval/language/language_task.h; never both.
  std::vector<std::string> language_tasks{};
  std::string split = "test";       ///< or valid
  std::filesystem::path set;        ///< a frozen set to test on, in place of tasks; or empty
  std::filesystem::path per_query;  ///< where every answer is written; or empty
  std::filesystem::path out{};      ///< of language tasks: folder for results and samples; or empty
  std::int64_t limit = 0;  ///< examples per cell, items of a language task; 0 = all there are
  std::int64_t batch_tokens = 0;  ///< of a pass over language tasks; 0 = as the device likes it
  bool json = false;
};

struct GenerateOptions {
  Weights weights;
  std::vector<std::vector<std::int32_t>> prompts;  ///< of one length; none: an example of `task`
  std::string task;                                ///< empty: prompts were given, or
  std::optional<std::string> text{};               ///< text to continue (train/text_generation.h)
  bool past_end = false;                           ///< text goes on behind <|endoftext|>
  std::int64_t tokens = 16;
  std::int64_t samples = 1;  ///< continuations of every prompt, in one batch
  Sampling sampling;
  std::int64_t seed = 42;  ///< of sampling, and of the example
};

struct InfoOptions {
  bool json = false;
};

struct ConvertOptions {
  std::filesystem::path from;  ///< a run, a checkpoint, a folder or file of somebody else's
  std::filesystem::path to;    ///< a folder that is not there yet
  std::string format = "hf";   ///< or state-spaces, safari, zoology
  std::string dtype = "f32";   ///< of the stored tensors: f32, bf16, f16
};

struct LogitsOptions {
  Weights weights;
  std::filesystem::path ids;  ///< JSON: an array of rows of token ids
  std::filesystem::path out;  ///< safetensors
};

struct Command {
  Verb verb = Verb::print;
  std::string text;   ///< Verb::print: for stdout; then exit 0
  Resolved resolved;  ///< settings with their origins
  TrainOptions train;
  EvalOptions eval;
  GenerateOptions generate;
  InfoOptions info;
  ConvertOptions convert;
  LogitsOptions logits;

  const Settings& settings() const { return resolved.settings; }
};

/// `program` is the name in messages and of the model where nothing names another: "mamba". eval, generate and train --resume PATH take the
/// settings of the run they are given (its config.toml) as their settings file.
/// Throws Error(usage) for what is misspelt or missing, and what reading the settings throws.
Command parse_command_line(std::string_view program, int argc, const char* const* argv);

}  // namespace farsight
