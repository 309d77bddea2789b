// Small sets of every task, and how a set that is damaged is refused.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "data/frozen_set.h"
#include "tests/temporary_folder.h"

namespace farsight {

inline MqarTask small_task(const NamedTask& named) {
  TaskDescription d = named.description;
  if (!d.cells.empty()) d.cells = d.kind == TaskKind::copy ? "33x16 - 65x32" : "64x1 - 128x1";
  if (d.kind == TaskKind::key_retrieval) d.cells = "- 128x1";
  return make_task(named.name, d, {.vocabulary = 400, .lengths = {64, 128}, .pairs = {1, 2, 4}});
}

inline std::vector<Example> examples_of(const MqarTask& task, Split split, std::size_t cell,
                                        int count) {
  std::vector<Example> examples;
  for (int i = 0; i < count; i++) {
    examples.push_back(generate(task, split, 5, cell, static_cast<std::uint64_t>(i)));
    examples.back().pairs.clear();  // not stored: they follow from tokens and labels
  }
  return examples;
}

inline std::string refusal(const std::function<void()>& action, ExitCode expected) {
  ExitCode code = ExitCode::ok;
  const std::string message = error_of(action, &code);
  CHECK(code == expected);
  return message;
}

inline bool has(const std::string& text, std::string_view part) {
  INFO(text);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

}  // namespace farsight
