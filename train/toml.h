// Settings as TOML text. Reading is strict: an unknown table or key, a value of the wrong type or
// out of range, or a key given twice is an error that names the place and the nearest name.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "train/presets.h"
#include "train/settings.h"

namespace farsight {

/// The assignments in `text`, in the order of the table; `source` names it in messages.
/// Throws Error(corrupt) for text that is not TOML, Error(usage) for what is not a setting.
Assignments read_toml(std::string_view text, std::string_view source);

/// The same of the table called `part`, whose own tables are the sections: [part.data] lengths = ...
/// None if there is no such table.
Assignments read_toml_part(std::string_view text, std::string_view source, std::string_view part);

/// The same from a file. Throws Error(storage) if it cannot be read, Error(corrupt) if it is larger
/// than any settings file (1 MiB).
Assignments read_toml_file(const std::filesystem::path& path);

/// Every setting with its documentation as comments; reading it back gives the same settings.
std::string write_toml(const Settings& settings);

}  // namespace farsight
