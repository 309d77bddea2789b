// What each verb of the zoo programs is called, what it does and which options it has beside the
// settings.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "train/command_line.h"
#include "train/help.h"

namespace farsight {

inline constexpr auto kVerbs =
    std::to_array<std::string_view>({"train", "eval", "generate", "info", "convert", "logits"});

struct VerbSyntax {
  Verb verb;
  std::string_view summary;
  std::vector<VerbOption> options;
};

/// Whether a verb's --help tells of a setting; --help-all tells of every one.
bool often_set(Verb verb, const Setting& setting);

/// `name`: one of kVerbs.
VerbSyntax syntax_of(std::string_view name);

}  // namespace farsight
