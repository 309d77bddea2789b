#include "train/tokenizer_choice.h"

#include <string>

#include "core/check.h"
#include "data/known_files.h"
#include "train/corpora.h"
#include "train/run_folder.h"

namespace farsight {

namespace fs = std::filesystem;

Tokenizer tokenizer_of(std::string_view title, const Words& words) {
  if (const auto path = words.value("tokenizer")) return Tokenizer::load(*path);
  constexpr std::string_view kDefault[] = {"tokenizer/20B_tokenizer.json"};
  const fs::path folder = data_directory(words.value("data-dir").value_or(""));
  return Tokenizer::load(require_known(title, kDefault, folder));
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
