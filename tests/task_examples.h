// Examples of tasks read back token by token, by the rules and not by the generator.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "core/check.h"
#include "data/mqar.h"

namespace farsight {

inline std::int32_t token_at(const Example& example, int position) {
  return example.tokens.at(static_cast<std::size_t>(position));
}

/// `count` tokens from `begin` on.
inline std::vector<std::int32_t> tokens_at(const Example& example, int begin, int count) {
  const auto first = example.tokens.begin() + begin;
  return {first, first + count};
}

/// Calls body(cell index, example) for `samples` examples of every cell.
template <class Body>
void for_examples_of(const MqarTask& task, Split split, std::uint64_t samples, const Body& body) {
  for (std::size_t cell = 0; cell < task.cells.size(); cell++) {
    for (std::uint64_t sample = 0; sample < samples; sample++) {
      INFO(task.name, ", length ", task.cells[cell].length, ", pairs ", task.cells[cell].pairs,
           ", sample ", sample);
      body(cell, generate(task, split, kDefaultSeed, cell, sample));
    }
  }
}

/// The message of the ExitCode::data error that `body` must throw.
template <class Body>
std::string refusal_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::data);
    return error.what();
  }
  return "nothing was refused";
}

inline bool says(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) {
    if (text.find(part) == std::string::npos) {
      MESSAGE("missing '", part, "' in: ", text);
      return false;
    }
  }
  return true;
}

}  // namespace farsight
