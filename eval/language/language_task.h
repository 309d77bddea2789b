// The zero-shot tasks of lm-evaluation-harness 0.4 that the paper's models are measured on: which
// texts each item asks a model to score. Nothing here knows of tokens or models.
//
//   name            version  context                        continuations             metrics
//   wikitext        2        none: every token of a page    the page, detokenised     perplexities
//   piqa            1        "Question: {goal}\nAnswer:"    " {sol1}", " {sol2}"      acc, acc_norm
//   hellaswag       1        the query                      " {ending}" x 4           acc, acc_norm
//   winogrande      1        the sentence up to "_", with   what follows the "_",     acc
//                            either option                  the same for both
//   lambada_openai  1        the text without its last word " {last word}"            acc, perplexity
//   arc_easy        1        "Question: {question}\nAnswer:" " {choice}" each         acc, acc_norm
//   arc_challenge   1        the same                       the same                  the same
//
// "lambada" is a name of lambada_openai.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace farsight {

/// What is asked of a model, as the harness names it.
enum class OutputType : std::uint8_t { multiple_choice, loglikelihood, loglikelihood_rolling };
std::string_view name_of(OutputType type);

struct TextPair {
  std::string context, continuation;
};

struct LanguageDoc {
  Json doc{};                           ///< the item as its file has it
  std::vector<TextPair> pairs{};        ///< to be scored; rolling: one, without a context
  std::int64_t gold = 0;                ///< of multiple choice
  std::vector<std::int64_t> lengths{};  ///< of the choices, in characters, without the space before
  std::string target{};                 ///< what the harness's samples call so
  std::int64_t words = 0, bytes = 0;    ///< of a page, before it was detokenised
};

struct LanguageTask {
  std::string name{};
  double version = 1;
  OutputType output = OutputType::multiple_choice;
  bool normalised = false;  ///< has acc_norm, too
  std::string dataset{};    ///< the harness's name of it, and the split
  std::string split{};
  std::vector<std::filesystem::path> files{};  ///< that were read
  std::string note{};                          ///< to be said with every number; or empty
  std::int64_t original = 0;                   ///< items of the set; more than docs where limited
  std::vector<LanguageDoc> docs{};
};

/// Is `name` one of these tasks?
bool is_language_task(std::string_view name);
std::span<const std::string_view> language_task_names();

/// Reads the task's files under `data_dir` (data/known_files.h); the first `limit` items, 0: all.
/// Throws Error(storage) for a missing file, saying how to get it, Error(corrupt) for a damaged one.
LanguageTask load_language_task(std::string_view name, const std::filesystem::path& data_dir,
                                std::int64_t limit);

}  // namespace farsight
