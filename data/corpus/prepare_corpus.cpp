#include "data/corpus/prepare_corpus.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "core/cache_folder.h"
#include "core/check.h"
#include "core/hash.h"
#include "core/parallel.h"
#include "data/corpus/build_reporter.h"
#include "data/corpus/corpus_folder.h"
#include "data/corpus/corpus_plan.h"
#include "data/corpus/ordered_pipeline.h"
#include "data/corpus/record_reader.h"
#include "data/corpus/record_text.h"
#include "data/corpus/token_shards.h"
#include "data/text/tokenizer.h"

namespace farsight {
namespace fs = std::filesystem;
namespace {

/// Tokens by which a shard may get longer than it should be, most often.
constexpr std::int64_t kLongestRecord = 1 << 18;
/// Of text that a thread has on its way, most often twice what it is: where records are long, as many
/// of them as the number of batches allows would fill the memory.
constexpr std::size_t kBytesUnderWay = std::size_t{8} << 20;
/// Of buffers, what they keep for the next batch.
constexpr std::size_t kBytesKept = std::size_t{1} << 20;

/// No token of the tokenizers that are read here reaches over white space behind something else, but
/// for added ones.
Cutting cutting_with(const Tokenizer& tokenizer) {
  for (std::int64_t id = 0; id < tokenizer.size(); id++) {
    const std::string_view text = tokenizer.bytes_of(static_cast<std::int32_t>(id));
    const std::size_t ink = text.find_first_not_of(" \t\r\n");
    if (text.find_first_of(" \t\r\n", ink) != std::string_view::npos &&
        ink != std::string_view::npos) {
      return Cutting::never;
    }
  }
  return Cutting::allowed;
}

/// Records on their way: read, tokenised, written.
struct Work {
  struct Tokens {
    std::size_t end = 0;  ///< of its ids, among all of the batch
    std::size_t text_bytes = 0;
    std::int64_t replaced = 0;
  };
  RecordBatch batch;
  std::vector<std::int32_t> ids;
  std::vector<Tokens> records;
  std::string space;
};

/// Fills shards with what comes, in order.
class ShardFiller {
 public:
  ShardFiller(const ShardManifest& manifest, std::int64_t shard_tokens, CorpusFolder& folder)
      : folder_(folder),
        contents_(manifest.token_bytes, shard_tokens + kLongestRecord),
        shard_tokens_(shard_tokens),
        end_of_text_(manifest.packing.end_of_text
                         ? std::optional(static_cast<std::int32_t>(manifest.tokenizer.end_of_text))
                         : std::nullopt) {
    check(shard_tokens >= 1, "ShardFiller: shard_tokens must be at least 1, got {}", shard_tokens);
    // Only a text that was cut goes on in the middle of a document, and its beginning had tokens.
    const CorpusPlace next = folder.next();
    const bool within = next.record > 0 && next.file < manifest.inputs.size() &&
                        manifest.inputs[next.file].kind.starts_with("txt") &&
                        manifest.reading.documents == TextDocuments::whole_file;
    if (within) document_tokens_ = 1;
  }

  void add(const Work& work) {
    if (work.batch.first_record == 0) document_tokens_ = 0;  // a file begins a document
    std::size_t begin = 0;
    for (std::size_t i = 0; i < work.records.size(); i++) {
      const Work::Tokens& tokens = work.records[i];
      contents_.add(std::span(work.ids).subspan(begin, tokens.end - begin));
      document_tokens_ += tokens.end - begin;
      begin = tokens.end;
      header_.text_bytes += static_cast<std::int64_t>(tokens.text_bytes);
      header_.replaced += tokens.replaced;
      if (work.batch.records[i].ends_document) end_document();
      header_.next = {.file = work.batch.file,
                      .record = work.batch.first_record + static_cast<std::int64_t>(i) + 1};
      if (std::max(contents_.tokens(), contents_.documents()) >= shard_tokens_) write();
    }
  }

  /// The last shard, which is most often not full.
  void finish() {
    if (contents_.tokens() > 0 || contents_.documents() > 0) write();
  }

  std::int64_t tokens() const { return folder_.sums().tokens + contents_.tokens(); }
  std::int64_t documents() const { return folder_.sums().documents + contents_.documents(); }
  std::int64_t text_bytes() const { return folder_.sums().text_bytes + header_.text_bytes; }

 private:
  void end_document() {
    if (document_tokens_ == 0) header_.empty_documents++;
    document_tokens_ = 0;
    if (end_of_text_) contents_.add({&*end_of_text_, 1});
    contents_.end_document();
  }

  void write() {
    folder_.add(contents_, header_);
    header_ = {};
  }

  CorpusFolder& folder_;
  ShardContents contents_;
  ShardHeader header_;
  std::int64_t shard_tokens_;
  std::optional<std::int32_t> end_of_text_;
  std::size_t document_tokens_ = 0;
};

void tokenise(const CorpusPlan& plan, const Tokenizer& tokenizer, const CorpusBuild& build,
              CorpusFolder& folder, BuildReporter& reporter) {
  const CorpusReading& reading = plan.manifest.reading;
  CorpusReader reader(plan.files, plan.manifest.inputs, reading, folder.next(),
                      cutting_with(tokenizer));
  ShardFiller filler(plan.manifest, build.shard_tokens, folder);
  reporter.state.stage = "tokenising";
  reporter.state.resumed_text_bytes = filler.text_bytes();
  const auto work = [&](Work& w) {
    w.ids.clear();
    w.records.clear();
    for (const Record& record : w.batch.records) {
      const RecordText text = text_of(w.batch, record, plan.files[w.batch.file], reading, w.space);
      tokenizer.encode_valid(text.text, w.ids);
      w.records.push_back({w.ids.size(), text.text.size(), text.replaced});
    }
  };
  const auto write = [&](Work& w) {
    filler.add(w);
    reporter.state.input_bytes = w.batch.input_bytes;
    reporter.state.tokens = filler.tokens();
    reporter.state.documents = filler.documents();
    reporter.state.text_bytes = filler.text_bytes();
    // Not w = {}: a string that is assigned a short one keeps its room.
    if (w.batch.bytes.capacity() > kBytesKept) (void)std::exchange(w, Work());
    reporter.tell();
  };
  const int asked = build.threads == 0 ? threads() : build.threads;
  const int workers = build.reads_ahead ? asked : 0;
  OrderedPipeline<Work>({.read = [&](Work& w) { return reader.next(w.batch); },
                         .work = work,
                         .write = write,
                         .weight = [](const Work& w) { return w.batch.bytes.size(); },
                         .most_weight = kBytesUnderWay * static_cast<std::size_t>(asked)},
                        workers)
      .run();
  filler.finish();
  reporter.tell(true);
}

/// Is this folder, finished before, what would be made, and still as it was made?
void require_whole(const fs::path& folder, const ShardManifest& plan) {
  try {
    require_same_corpus(folder, plan);
    (void)TokenShards::open(folder);  // what was damaged since is not handed out
  } catch (const Error& error) {
    if (error.code() != ExitCode::corrupt) throw;
    fail(ExitCode::corrupt,
         "{}; the tokenised corpus is damaged: remove the folder '{}', and it is made again from "
         "the text",
         error.what(), folder.string());
  }
}

void make(const fs::path& folder, const CorpusPlan& plan, const Tokenizer& tokenizer,
          const CorpusBuild& build, BuildReporter& reporter) {
  CorpusFolder target(folder, corpus_key(plan.manifest), [&] {
    reporter.state.stage = "waiting";
    reporter.tell(true);
  });
  if (target.is_done()) {
    require_whole(folder, plan.manifest);
    reporter.state.stage = "found";
    reporter.state.folder = folder;
    reporter.tell(true);
    return;
  }
  try {
    tokenise(plan, tokenizer, build, target, reporter);
    require(target.sums().tokens > 0, ExitCode::data,
            "there is no token in the corpus: its {} documents are empty", target.sums().documents);
  } catch (const Error& error) {
    // The same files and settings would fail again; with others the folder has another name.
    const bool is_final = error.code() == ExitCode::corrupt || error.code() == ExitCode::data;
    if (is_final) target.discard();
    throw;
  }
  target.publish(plan.manifest);
}

}  // namespace

fs::path default_corpus_cache() {
  const fs::path folder = cache_folder();
  require(!folder.empty(), ExitCode::storage,
          "there is no folder to keep tokenised corpora in: set FARSIGHT_CACHE to one");
  return folder / "corpora";
}

fs::path prepare_corpus(const std::vector<std::string>& patterns, const Tokenizer& tokenizer,
                        const CorpusSettings& settings, const CorpusBuild& build) {
  BuildReporter reporter(build);
  const fs::path cache = build.cache.empty() ? default_corpus_cache() : build.cache;
  const CorpusPlan plan = corpus_plan(patterns, tokenizer, settings,
                                      build.rehash ? fs::path() : cache / "hashes", reporter);
  const fs::path folder = cache / ("corpus-" + hex(corpus_key(plan.manifest)));
  make(folder, plan, tokenizer, build, reporter);
  return folder;
}

void build_corpus(const fs::path& folder, const std::vector<std::string>& patterns,
                  const Tokenizer& tokenizer, const CorpusSettings& settings,
                  const CorpusBuild& build) {
  BuildReporter reporter(build);
  make(folder, corpus_plan(patterns, tokenizer, settings, {}, reporter), tokenizer, build,
       reporter);
}

}  // namespace farsight
