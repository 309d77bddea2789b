// farsight data export|import: sets as the paper's release stores them, in JSON lines.
#pragma once

#include <string>

#include "train/words.h"

namespace farsight {

/// Writes the set --data to the file --to; returns what is printed.
std::string export_text(const Words& words);

/// Makes the set --to of the file --from and returns what is printed. Every example keeps the rules of
/// its task, unless --unchecked; what no set can hold is refused even so. Throws Error(corrupt) naming
/// the line.
std::string import_text(const Words& words);

}  // namespace farsight
