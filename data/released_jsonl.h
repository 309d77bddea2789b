// The form in which the paper's release stores its sets: a line of JSON an example,
//
//   {"ctx_length": 64, "num_kv_pair": 4, "key_len": 1, "value_len": 1,
//    "V_id": {"position": token, ...}, "input_ids": [...]}
//
// V_id has the labels, each at the position of the token to be predicted. It does not say which task
// the examples are of, nor which pair a label belongs to: imported pairs are numbered in the order of
// their queries.
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "data/mqar.h"

namespace farsight {

/// Appends one cell after another of a set to a file, which appears whole or not at all.
void write_released_jsonl(const std::filesystem::path& path, const MqarTask& task,
                          const std::function<std::vector<Example>(std::size_t cell)>& examples_of);

struct ReleasedExample {
  Cell cell;
  std::int64_t line = 0;  ///< of the file, from 1
  Example example;
};

/// All examples of a file, in its order. A pair's labels are value_length, or in the training split
/// one more for the closing <SEP>. Throws Error(corrupt), naming line and field, for a line that is
/// no such example of keys and values as long as the task's.
std::vector<ReleasedExample> read_released_jsonl(const std::filesystem::path& path,
                                                 const TaskDescription& task, Split split);

}  // namespace farsight
