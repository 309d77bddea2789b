// What the paper's tables and figures are made of: a model trained on a task, and tested on one.
#pragma once

#include <string>
#include <tuple>

namespace farsight {

/// What is trained. Runs of several seeds and learning rates are the same training.
struct Training {
  std::string model, task;
  /// Without the <SEP> target that the paper's n-gram training sets have (docs/tasks.md,
  /// data.separator_target; custom_dataset/build_mqar.py of the authors' code): the control of
  /// Table 2.
  bool control = false;
  friend auto operator<=>(const Training&, const Training&) = default;
  friend bool operator==(const Training&, const Training&) = default;
};

/// One number of a table: pair accuracy, macro average over the cells of the test, percent; of a
/// training on lm what language_score (train/repro/language_tests.h) takes of a language task.
struct Trial {
  Training training;
  std::string test;
  friend auto operator<=>(const Trial&, const Trial&) = default;
  friend bool operator==(const Trial&, const Trial&) = default;
};

/// "mamba trained on k1v1", "mamba trained on k1v1 without <SEP> targets"
std::string describe(const Training& training);
/// "mamba trained on k1v1, tested on k1v2"
std::string describe(const Trial& trial);
/// "mamba k1v1 → k1v2", "mamba k1v1 (no <SEP>) → k1v2": trained on, tested on.
std::string brief(const Trial& trial);

}  // namespace farsight
