#include "train/corpora.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/clock.h"
#include "core/files.h"
#include "core/hash.h"
#include "data/corpus/corpus_files.h"
#include "data/corpus/prepare_corpus.h"
#include "data/corpus/token_shards.h"
#include "data/known_files.h"
#include "data/text/tokenizer.h"
#include "train/corpus_progress.h"
#include "train/default_file.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCorpusFile = "corpus.json";
constexpr DefaultFile kWikiTrain = {"corpus/enwiki_2018_train.jsonl.zst", "text",
                                    "--corpus FILES (with make: DATA=FILES)"};
constexpr DefaultFile kWikiValid = {"corpus/enwiki_2018_valid.jsonl.zst", "validation text",
                                    "--validation FILES"};
constexpr std::string_view kTitle = "task lm";
constexpr std::int64_t kHeldOutShare = 20;  // one of so many blocks

/// The folder of token shards that `text` names, if it does.
std::optional<fs::path> shards_in(const std::string& text) {
  std::error_code none;
  if (!fs::is_directory(text, none)) return std::nullopt;
  return fs::path(text);
}

/// Opens corpora with one tokenizer, which is loaded when the first of them needs it.
class Opener {
 public:
  Opener(const Settings& settings, const std::function<void(std::string_view)>& note)
      : settings_(settings), note_(note) {}

  TokenShards open(const std::string& text) {
    if (const auto folder = shards_in(text)) {
      require(fs::exists(*folder / "manifest.json"), ExitCode::data,
              "'{}' is a folder, and no tokenised corpus: it has no manifest.json; to train on the "
              "text in it, name the files, as in '{}'",
              text, (*folder / "*.jsonl").string());
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
    return TokenShards::open(prepare_corpus(patterns_in(text), tokenizer(), how, build));
  }

  /// The tokenizer's, if one was needed.
  const Tokenizer* loaded() const { return tokenizer_ ? &*tokenizer_ : nullptr; }
  const fs::path& path() const { return path_; }

 private:
  /// Whether there is a tokenizer to compare shards with.
  bool named() const {
    if (!settings_.data.tokenizer.empty()) return true;
    const fs::path folder = named_data_directory(settings_.data.dir);
    return !folder.empty() && !find_known(kDefaultTokenizer.path, folder).empty();
  }

  const Tokenizer& tokenizer() {
    if (!tokenizer_) {
      path_ = tokenizer_path(settings_);
      tokenizer_ = Tokenizer::load(path_);
    }
    return *tokenizer_;
  }

  std::function<void(const CorpusProgress&)> progress_of(const std::string& text) const {
    if (!note_) return {};
    const auto line = std::make_shared<CorpusProgressLine>(
        Display{.write =
                    [note = note_, text](std::string_view shown) {
                      shown.remove_suffix(shown.ends_with('\n') ? 1 : 0);
                      note(fmt::format("{}: {}", text, shown));
                    },
                .clock = seconds_now});
    return [line, start = seconds_now()](const CorpusProgress& at) {
      constexpr double kQuick = 2;  // seconds: nobody asks how a text that is there was found
      if (at.stage != "hashing" || seconds_now() - start > kQuick) line->show(at);
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

std::string text_of(const Settings& settings, const std::string& given, const DefaultFile& wiki) {
  if (!given.empty()) return given;
  return default_file(kTitle, wiki, settings.data.dir).string();
}

/// So that it is found from another folder, too.
std::string absolute_or_empty(const fs::path& path) {
  return path.empty() ? "" : fs::absolute(path).lexically_normal().string();
}

/// Is the validation a text of its own, or the end of the other?
bool has_own_validation(const Settings& settings) {
  return !settings.data.validation.empty() || settings.data.corpus.empty();
}

/// The texts that are read: one or two.
std::vector<std::string> texts_of(const Settings& settings) {
  std::vector<std::string> texts = {text_of(settings, settings.data.corpus, kWikiTrain)};
  if (has_own_validation(settings)) {
    texts.push_back(text_of(settings, settings.data.validation, kWikiValid));
  }
  return texts;
}

}  // namespace

fs::path tokenizer_path(const Settings& settings) {
  if (!settings.data.tokenizer.empty()) return settings.data.tokenizer;
  return default_file(kTitle, kDefaultTokenizer, settings.data.dir);
}

void require_corpora_there(const Settings& settings) {
  bool needs_tokenizer = false;
  for (const std::string& text : texts_of(settings)) {
    if (const auto folder = shards_in(text)) {
      (void)read_manifest(*folder);
      continue;
    }
    (void)corpus_files(patterns_in(text));
    needs_tokenizer = true;
  }
  if (!needs_tokenizer) return;
  const fs::path tokenizer = tokenizer_path(settings);
  std::error_code none;
  require(fs::exists(tokenizer, none), ExitCode::storage, "{}: there is no tokenizer '{}'", kTitle,
          tokenizer.string());
}

Corpora corpora_of(const Settings& settings, const std::function<void(std::string_view)>& note) {
  const DataSettings& data = settings.data;
  Opener opener(settings, note);
  const std::vector<std::string> texts = texts_of(settings);
  const TokenShards shards = opener.open(texts.front());
  std::optional<TokenShards> validation;
  if (texts.size() > 1) validation = opener.open(texts.back());

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
                  .held_out = !validation,
                  .validation = texts.back()};
  require_fits(settings, corpora, shards);
  if (validation) {
    if (!corpora.identity.tokenizer.empty()) {
      validation->require_tokenizer(corpora.identity.tokenizer);
    }
    require_fits(settings, corpora, *validation);
    corpora.valid = blocks_of(*validation, data.block);
    corpora.identity.validation = hex(corpus_key(validation->manifest()));
    require(corpora.valid.count >= 1, ExitCode::data,
            "the validation text {} has no block of {} tokens (its groups of documents are "
            "shorter); give more text (--validation), or a smaller --block",
            corpora.validation, data.block);
  } else {
    const std::int64_t all = corpora.train.count;
    const std::int64_t held_out =
        std::min(data.validation_blocks, std::max<std::int64_t>(1, all / kHeldOutShare));
    require(
        all >= 2, ExitCode::data,
        "the text {} has {} blocks of {} tokens, too few to train on one and validate on another; "
        "give more text, or a smaller --block",
        texts.front(), all, data.block);
    corpora.valid = part_of(corpora.train, all - held_out, held_out);
    corpora.train = part_of(corpora.train, 0, all - held_out);
    corpora.identity.validation = corpora.identity.corpus;
  }
  corpora.valid = part_of(corpora.valid, 0, std::min(corpora.valid.count, data.validation_blocks));
  return corpora;
}

Json corpora_json(const Corpora& corpora) {
  return Json::object({{"tokenizer", Json::object({{"fingerprint", corpora.identity.tokenizer},
                                                   {"path", absolute_or_empty(corpora.tokenizer)},
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

fs::path stored_tokenizer(const fs::path& run) {
  return read_json(run / kCorpusFile).at("tokenizer").at("path").as_string();
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
