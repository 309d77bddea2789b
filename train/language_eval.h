// `mamba eval --task wikitext,piqa,...`: a trained model on the language tasks of eval/language/.
#pragma once

#include <string>

#include "train/command_line.h"

namespace farsight {

/// Their names, for `eval --list tasks`.
std::string language_task_list();

/// Reads tasks, tokenizer and model, in this order, so that a missing file costs nothing; scores;
/// writes results.json and samples_TASK.jsonl into options.out, if it is given. Returns what to print:
/// the harness's table, or results.json. Throws Error(data) where the tokenizer is not the model's.
std::string evaluate_on_language(const Settings& settings, const EvalOptions& options);

}  // namespace farsight
