// Settings of a run that takes milliseconds, and a loop that can be stopped at any step.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/file_calls.h"
#include "tests/temporary_folder.h"
#include "train/from_settings.h"
#include "train/trainer.h"

namespace farsight {

using Flags = std::vector<std::pair<std::string, std::string>>;

/// Two layers of width 16, lengths 16 and 24, 84 ids; `more` overrides.
inline Flags tiny_flags(const Flags& more = {}) {
  Flags flags = {{"model.vocab_size", "84"},
                 {"model.d_model", "16"},
                 {"model.n_layer", "2"},
                 {"model.d_state", "4"},
                 {"model.dt_rank", "2"},
                 {"data.vocabulary", "64"},
                 {"data.lengths", "16,24"},
                 {"data.pairs", "1,2"},
                 {"data.examples_per_cell", "48"},
                 {"data.valid_examples_per_cell", "4"},
                 {"data.test_examples_per_cell", "4"},
                 {"train.steps", "24"},
                 {"train.batch_size", "8"},
                 {"train.micro_tokens", "96"},
                 {"eval.interval", "6"},
                 {"log.interval", "2"}};
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

inline Resolved resolved(const Flags& flags) {
  Assignments assignments;
  for (const auto& [name, text] : flags) {
    const Setting& setting = setting_named(name);
    assignments.push_back({&setting, parse_value(setting, text, name), name});
  }
  return resolve({}, assignments);
}

/// The same as words of a command line.
inline std::vector<std::string> words_of(const Flags& flags) {
  std::vector<std::string> words;
  for (const auto& [name, text] : flags) {
    words.push_back("--" + name);
    if (text != "true") words.push_back(text);  // a switch is its name alone
  }
  return words;
}

/// Calls `at_step` with 1, 2, ... when a step of the loop is done, and shows nothing.
inline Display silent_display(std::function<void(int)> at_step = {}) {
  return {.write = [](std::string_view) {},
          .clock =
              [at_step, calls = 0]() mutable {
                if (at_step && calls > 0) at_step(calls);
                return static_cast<double>(calls++);
              }};
}

/// Saves without waiting for the disk, while alive: a test that kills nothing but itself needs none.
class NoSync {
 public:
  NoSync() {
    file_calls().fsync = [](int) { return 0; };
  }
  ~NoSync() { file_calls() = system_file_calls(); }
  NoSync(const NoSync&) = delete;
  NoSync& operator=(const NoSync&) = delete;
};

/// What one process does for `mamba train`, without the tests at the end.
struct TinyRun {
  Resolved settings;
  Model model;
  TrainState state;

  explicit TinyRun(const Flags& flags)
      : settings(resolved(flags)), model(model_of(settings.settings, Device::cpu)) {}

  /// Goes on from the run's last checkpoint if there is one; returns the hash of the parameters.
  std::string train(std::function<void(int)> at_step = {}) {
    const NoSync quick;
    RunRecord record(settings, {});
    const auto resume = record.continues() ? pointed_checkpoint(record.folder(), "latest")
                                           : std::filesystem::path();
    const TrainingTask task = training_task_of(settings.settings);
    state = farsight::train(
        {settings.settings, model, record, silent_display(std::move(at_step)), task}, resume);
    return parameter_hash(model);
  }
};

}  // namespace farsight
