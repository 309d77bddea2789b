// What the paper leaves open, and how a run answers it: every result says so.
#pragma once

#include <string>

#include "eval/report/document.h"
#include "train/settings.h"

namespace farsight {

/// One row a question: what is open, the setting, its value here, and what the recipes paper-text
/// and paper-code put in its place for the same preset, task and model.
Table ambiguity_table(const Settings& settings);

/// A value as people read it: TOML, but a text without its quotes.
std::string shown_value(const Value& value);

}  // namespace farsight
