// One example for people: its tokens, each with what it is, and what every query asks for.
#pragma once

#include <string>

#include "data/mqar.h"

namespace farsight {

struct TextStyle {
  bool colour = false;  ///< else a letter before each token says what it is
  int columns = 80;     ///< of the terminal
};

/// Tokens in rows, then a line a query. Examples that break the task's rules are shown, too: their
/// tokens without what they are, and what is wrong.
std::string example_text(const MqarTask& task, const Cell& cell, Split split,
                         const Example& example, const TextStyle& style);

}  // namespace farsight
