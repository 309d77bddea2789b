// A model tested on tasks, with everything that is reported of it (train/report.h).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "models/model.h"
#include "train/report.h"

namespace farsight {

struct TestOptions {
  std::vector<std::string> tasks;     ///< as task_of (train/task.h) reads them
  std::filesystem::path set;          ///< or: a frozen set (data/frozen_set.h)
  Split split = Split::test;          ///< of generated examples
  std::int64_t limit = 0;             ///< examples per cell; 0: as many as there are
  std::filesystem::path per_query{};  ///< file for every answer, a line of JSON each; empty: none
};

struct Tested {
  std::vector<TaskAccuracy> accuracy;  ///< in the order of the tasks
  std::int64_t tokens = 0;             ///< fed
  double seconds = 0;
};

/// What the model cannot read is refused before the first test.
Tested tested(const Model& model, const Settings& settings, const TestOptions& options);

}  // namespace farsight
