// The options of the verbs of a model's program, read from their words.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "train/next_token.h"
#include "train/resolve.h"
#include "train/words.h"

namespace farsight {

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

// Each throws Error(usage) for what is misspelt, missing or contradictory.
TrainOptions train_options(const Words& words);
EvalOptions eval_options(const Words& words);
GenerateOptions generate_options(const Words& words);
ConvertOptions convert_options(const Words& words);
LogitsOptions logits_options(const Words& words);

/// The settings file of the run that `path` is, or is a checkpoint of. Throws Error(storage) naming
/// `flag` if there is none.
std::filesystem::path config_of(const std::filesystem::path& path, std::string_view flag);
/// The settings of the run whose weights these are; none for a checkpoint of somebody else's, which is
/// in no run's folder.
Assignments settings_of(const Weights& weights);

}  // namespace farsight
