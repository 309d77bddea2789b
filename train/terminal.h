// What programs say.
#pragma once

#include <string_view>

namespace farsight {

/// To stdout, at once: what was asked for.
void print(std::string_view text);

/// A line to stderr: what a person may want to know meanwhile.
void note(std::string_view line);

}  // namespace farsight
