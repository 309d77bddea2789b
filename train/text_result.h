// What came out of a language model's run: its perplexity, in the forms in which results are told.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/json.h"
#include "eval/report/document.h"
#include "models/model.h"
#include "train/corpora.h"
#include "train/run_report.h"
#include "train/settings.h"

namespace farsight {

struct TextResult {
  double loss = 0;  ///< nats a token, on the validation text
  double perplexity = 0;
  std::int64_t labels = 0, blocks = 0, block_tokens = 0;
  std::string source{};   ///< the validation text, as it was named
  bool held_out = false;  ///< the validation text is a part of the corpus
  CorpusIdentity corpus{};
};

/// The model on the validation text.
TextResult tested_on_text(const Model& model, const Settings& settings, const Corpora& corpora);

/// The member `text` of result.json, and what `eval --json` prints.
Json text_json(const TextResult& result);
/// For the screen, some lines.
std::string text_summary(const TextResult& result);
/// The section of a run's page, from its result.json.
ReportSection text_section(const RunFiles& run);

}  // namespace farsight
