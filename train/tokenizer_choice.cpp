#include "train/tokenizer_choice.h"

#include <string>

#include "core/check.h"
#include "train/corpora.h"
#include "train/default_file.h"
#include "train/run_folder.h"

namespace farsight {

namespace fs = std::filesystem;

Tokenizer tokenizer_of(std::string_view title, const Words& words) {
  if (const auto path = words.value("tokenizer")) return Tokenizer::load(*path);
  return Tokenizer::load(
      default_file(title, kDefaultTokenizer, words.value("data-dir").value_or("")));
}

Settings with_tokenizer_of_run(Settings settings, const fs::path& weights) {
  const fs::path identity = file_of_run(weights, "corpus.json");
  if (!settings.data.tokenizer.empty() || identity.empty()) return settings;
  const fs::path run = identity.parent_path(), file = stored_tokenizer(run);
  std::error_code none;
  if (!fs::is_regular_file(file, none)) return settings;
  const bool is_the_same = Tokenizer::load(file).fingerprint() == stored_identity(run).tokenizer;
  if (is_the_same) settings.data.tokenizer = file.string();
  return settings;
}

void require_tokenizer_fits(const Tokenizer& tokenizer, const fs::path& file,
                            std::int64_t vocabulary, const fs::path& weights) {
  require(tokenizer.size() <= vocabulary, ExitCode::data,
          "tokenizer {} has {} ids, and the model's vocabulary is {}: it was trained with another",
          file.string(), tokenizer.size(), vocabulary);
  const fs::path identity = file_of_run(weights, "corpus.json");
  if (identity.empty()) return;
  const fs::path run = identity.parent_path();
  const std::string trained_with = stored_identity(run).tokenizer;
  require(trained_with.empty() || trained_with == tokenizer.fingerprint(), ExitCode::data,
          "tokenizer {} has the fingerprint {}, and {} was trained with {}: name that one with "
          "--tokenizer",
          file.string(), tokenizer.fingerprint(), run.string(), trained_with);
}

}  // namespace farsight
