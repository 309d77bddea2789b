#include "train/corpora.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/clock.h"
#include "core/files.h"
#include "core/hash.h"
#include "data/corpus/prepare_corpus.h"
#include "data/corpus/token_shards.h"
#include "data/text/tokenizer.h"
#include "train/quantities.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCorpusFile = "corpus.json";
constexpr const char* kWikiTrain = "corpus/enwiki_2018_train.jsonl.zst";
constexpr const char* kWikiValid = "corpus/enwiki_2018_valid.jsonl.zst";
constexpr const char* kTokenizer = "tokenizer/20B_tokenizer.json";
constexpr std::int64_t kHeldOutShare = 20;  // one of so many blocks

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  for (std::size_t from = 0; from <= list.size();) {
    const std::size_t end = std::min(list.find(',', from), list.size());
    std::string part = list.substr(from, end - from);
    part.erase(0, std::min(part.find_first_not_of(' '), part.size()));
    part.erase(part.find_last_not_of(' ') + 1);
    if (!part.empty()) parts.push_back(std::move(part));
    from = end + 1;
  }
  return parts;
}

/// The folder of token shards that `text` names, if it does.
std::optional<fs::path> shards_in(const std::string& text) {
  std::error_code none;
  if (!fs::is_directory(text, none)) return std::nullopt;
  return fs::path(text);
}

/// Data folder's file, or a sentence on what to give.
fs::path data_file(const Settings& settings, const char* name, std::string_view setting,
                   std::string_view what) {
  const fs::path folder = data_folder(settings);
  require(!folder.empty(), ExitCode::usage,
          "task lm: which {}? Give --{} (with make: {}), or a data folder that has {}: --data-dir "
          "DIR, or FARSIGHT_DATA=DIR in the environment",
          what, setting, setting == "corpus" ? "DATA=..." : "ARGS=\"--tokenizer ...\"", name);
  std::error_code none;
  require(fs::exists(folder / name, none), ExitCode::data,
          "task lm: the data folder '{}' has no {}; give --{}", folder.string(), name, setting);
  return folder / name;
}

/// Opens corpora with one tokenizer, which is loaded when the first of them needs it.
class Opener {
 public:
  Opener(const Settings& settings, const std::function<void(std::string_view)>& note)
      : settings_(settings), note_(note) {}

  TokenShards open(const std::string& text) {
    if (const auto folder = shards_in(text)) {
      TokenShards shards = TokenShards::open(*folder);
      const bool knows = !shards.tokenizer_fingerprint().empty();  // imported ids may not
      if (knows && named()) shards.require_tokenizer(tokenizer().fingerprint());
      return shards;
    }
    const DataSettings& data = settings_.data;
    const CorpusSettings how{
        .reading = {.field = data.text_field,
                    .documents = text_documents_named(name_of(data.documents)),
                    .invalid_utf8 = invalid_utf8_named(name_of(data.invalid_utf8))},
        .packing = {.group_documents = data.packing == TextPacking::authors ? 1000 : 0,
                    .end_of_text = data.packing == TextPacking::end_of_text}};
    const CorpusBuild build{.cache = data.cache, .progress = progress_of(text)};
    return TokenShards::open(prepare_corpus(split(text), tokenizer(), how, build));
  }

  /// The tokenizer's, if one was needed.
  const Tokenizer* loaded() const { return tokenizer_ ? &*tokenizer_ : nullptr; }
  const fs::path& path() const { return path_; }

 private:
  /// Whether there is a tokenizer to compare shards with.
  bool named() const {
    std::error_code none;
    const fs::path folder = data_folder(settings_);
    return !settings_.data.tokenizer.empty() ||
           (!folder.empty() && fs::exists(folder / kTokenizer, none));
  }

  const Tokenizer& tokenizer() {
    if (!tokenizer_) {
      path_ = tokenizer_path(settings_);
      tokenizer_ = Tokenizer::load(path_);
    }
    return *tokenizer_;
  }

  std::function<void(const CorpusProgress&)> progress_of(const std::string& text) const {
    return [note = note_, text, start = seconds_now(),
            shown = seconds_now()](const CorpusProgress& at) mutable {
      constexpr double kEvery = 5;  // seconds
      const double now = seconds_now();
      if (!note || now - shown < kEvery) return;
      shown = now;
      const double read = static_cast<double>(at.input_bytes);
      const double left = static_cast<double>(at.total_input_bytes - at.input_bytes);
      note(fmt::format("{}: {} {} of {}, {} tokens, {} left", text, at.stage,
                       human_bytes(static_cast<std::int64_t>(at.input_bytes)),
                       human_bytes(static_cast<std::int64_t>(at.total_input_bytes)),
                       human_count(static_cast<double>(at.tokens)),
                       read > 0 ? human_duration(left / read * (now - start)) : "?"));
    };
  }

  const Settings& settings_;
  const std::function<void(std::string_view)>& note_;
  std::optional<Tokenizer> tokenizer_;
  fs::path path_;
};

TextBlocks blocks_of(const TokenShards& shards, std::int64_t length) {
  const TokenBlocks blocks = shards.blocks(length);
  return {
      .count = blocks.size(),
      .length = length,
      .read = [blocks](std::int64_t block, std::span<std::int32_t> to) { blocks.copy(block, to); }};
}

/// Refuses what the model has no row for.
void require_fits(const Settings& settings, const Corpora& corpora, const TokenShards& shards) {
  const std::int64_t rows = settings.model.vocab_size;
  require(
      corpora.vocabulary <= rows, ExitCode::data,
      "the tokenizer{} has {} ids, and the model's vocabulary is {}: set model.vocab_size to at "
      "least {}",
      corpora.tokenizer.empty() ? "" : " " + corpora.tokenizer.string(), corpora.vocabulary, rows,
      corpora.vocabulary);
  shards.require_vocabulary(rows);
}

std::string text_of(const Settings& settings, const std::string& given, const char* name) {
  if (!given.empty()) return given;
  return data_file(settings, name, "corpus", "text").string();
}

}  // namespace

fs::path data_folder(const Settings& settings) {
  if (!settings.data.dir.empty()) return settings.data.dir;
  const char* folder = std::getenv("FARSIGHT_DATA");
  return folder == nullptr ? "" : folder;
}

fs::path tokenizer_path(const Settings& settings) {
  if (!settings.data.tokenizer.empty()) return settings.data.tokenizer;
  return data_file(settings, kTokenizer, "tokenizer", "tokenizer.json");
}

Corpora corpora_of(const Settings& settings, const std::function<void(std::string_view)>& note) {
  const DataSettings& data = settings.data;
  Opener opener(settings, note);
  const TokenShards shards = opener.open(text_of(settings, data.corpus, kWikiTrain));
  const bool own_validation = !data.validation.empty() || data.corpus.empty();
  std::optional<TokenShards> validation;
  if (own_validation) validation = opener.open(text_of(settings, data.validation, kWikiValid));

  Corpora corpora{.train = blocks_of(shards, data.block),
                  .valid = {},
                  .identity = {.tokenizer = shards.tokenizer_fingerprint(),
                               .corpus = hex(corpus_key(shards.manifest())),
                               .validation = {}},
                  .tokenizer = opener.path(),
                  .vocabulary = opener.loaded() ? opener.loaded()->size()
                                                : shards.manifest().tokenizer.vocabulary,
                  .tokens = shards.tokens(),
                  .documents = shards.documents(),
                  .held_out = !own_validation};
  require_fits(settings, corpora, shards);
  if (validation) {
    if (!corpora.identity.tokenizer.empty()) {
      validation->require_tokenizer(corpora.identity.tokenizer);
    }
    require_fits(settings, corpora, *validation);
    corpora.valid = blocks_of(*validation, data.block);
    corpora.identity.validation = hex(corpus_key(validation->manifest()));
    require(corpora.valid.count >= 1, ExitCode::data,
            "data.validation has no block of {} tokens (its groups of documents are shorter); give "
            "more text, or a smaller --block",
            data.block);
  } else {
    const std::int64_t all = corpora.train.count;
    const std::int64_t held_out =
        std::min(data.validation_blocks, std::max<std::int64_t>(1, all / kHeldOutShare));
    require(
        all >= 2, ExitCode::data,
        "data.corpus has {} blocks of {} tokens, too few to train on one and validate on another; "
        "give more text, or a smaller --block",
        all, data.block);
    corpora.valid = part_of(corpora.train, all - held_out, held_out);
    corpora.train = part_of(corpora.train, 0, all - held_out);
    corpora.identity.validation = corpora.identity.corpus;
  }
  corpora.valid = part_of(corpora.valid, 0, std::min(corpora.valid.count, data.validation_blocks));
  return corpora;
}

Json corpora_json(const Corpora& corpora) {
  return Json::object({{"tokenizer", Json::object({{"fingerprint", corpora.identity.tokenizer},
                                                   {"path", corpora.tokenizer.string()},
                                                   {"vocabulary", corpora.vocabulary}})},
                       {"corpus", Json::object({{"key", corpora.identity.corpus},
                                                {"tokens", corpora.tokens},
                                                {"documents", corpora.documents},
                                                {"blocks", corpora.train.count},
                                                {"block_tokens", corpora.train.length}})},
                       {"validation", Json::object({{"key", corpora.identity.validation},
                                                    {"blocks", corpora.valid.count},
                                                    {"held_out", corpora.held_out}})}});
}

CorpusIdentity stored_identity(const fs::path& run) {
  const Json json = read_json(run / kCorpusFile);
  return {.tokenizer = json.at("tokenizer").at("fingerprint").as_string(),
          .corpus = json.at("corpus").at("key").as_string(),
          .validation = json.at("validation").at("key").as_string()};
}

void keep_identity(const fs::path& run, const Corpora& corpora) {
  std::error_code none;
  if (!fs::exists(run / kCorpusFile, none)) {
    write_file_atomically(run / kCorpusFile, corpora_json(corpora).dump(2) + "\n");
    return;
  }
  const CorpusIdentity before = stored_identity(run);
  const CorpusIdentity& now = corpora.identity;
  require(before.tokenizer == now.tokenizer, ExitCode::data,
          "{}: this run has a tokenizer with the fingerprint {}, and the one given has {}",
          run.string(), before.tokenizer, now.tokenizer);
  require(before == now, ExitCode::data,
          "{}: this run has another corpus (key {}, validation {}) than the one given (key {}, "
          "validation {}): the files changed since it began",
          run.string(), before.corpus, before.validation, now.corpus, now.validation);
}

}  // namespace farsight
