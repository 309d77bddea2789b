// Tokenised corpora: what their shards and blocks hold, whoever made them and however often he was
// stopped, and that nothing damaged is read.
#include "data/corpus/token_shards.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/files.h"
#include "data/corpus/prepare_corpus.h"
#include "data/corpus/shard_file.h"
#include "tests/failing_calls.h"
#include "tests/packed_bytes.h"
#include "tests/small_tokenizer.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;
using Texts = std::vector<std::string>;

std::string json_lines(const Texts& texts) {
  std::string lines;
  for (const std::string& text : texts) {
    lines += Json::object({{"text", text}}).dump() + "\n";
  }
  return lines;
}

/// Documents of all kinds: empty, a byte, much longer than any block.
Texts some_documents(int count) {
  Texts texts;
  for (int i = 0; i < count; i++) {
    std::string text;
    const int words = i % 5 == 0 ? 0 : i % 7 == 0 ? 1 : i % 31 == 0 ? 900 : i * 37 % 60;
    for (int w = 0; w < words; w++) {
      text += fmt::format("{} the {}", w % 3 == 0 ? "\n\n" : "  in", (w + 1) * (i + 3) % 977);
    }
    texts.push_back(text);
  }
  return texts;
}

/// Blocks as the definition says, written without a thought for speed.
std::vector<Ids> naive_blocks(const Tokenizer& tokenizer, const Texts& texts,
                              const Packing& packing, std::size_t length) {
  const std::size_t group = packing.group_documents == 0
                                ? texts.size()
                                : static_cast<std::size_t>(packing.group_documents);
  std::vector<Ids> blocks;
  for (std::size_t first = 0; first < texts.size(); first += group) {
    Ids all;
    for (std::size_t i = first; i < std::min(first + group, texts.size()); i++) {
      const Ids ids = tokenizer.encode(texts[i]);
      all.insert(all.end(), ids.begin(), ids.end());
      if (packing.end_of_text) all.push_back(0);
    }
    for (std::size_t at = 0; at + length <= all.size(); at += length) {
      blocks.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(at),
                          all.begin() + static_cast<std::ptrdiff_t>(at + length));
    }
  }
  return blocks;
}

std::vector<Ids> all_blocks(const TokenShards& corpus, std::int64_t length) {
  const TokenBlocks blocks = corpus.blocks(length);
  std::vector<Ids> all;
  for (std::int64_t b = 0; b < blocks.size(); b++) {
    all.push_back(blocks[b]);
  }
  return all;
}

Ids all_tokens(const TokenShards& corpus) {
  Ids ids(static_cast<std::size_t>(corpus.tokens()));
  corpus.copy(0, ids);
  return ids;
}

/// A corpus of some documents in a few files, and builds of it.
class Corpus {
 public:
  explicit Corpus(Texts texts = some_documents(120)) : texts_(std::move(texts)) {
    const auto third = static_cast<std::ptrdiff_t>(texts_.size() / 3);
    write_plainly(folder_ / "a.jsonl", json_lines({texts_.begin(), texts_.begin() + third}));
    write_plainly(folder_ / "b.jsonl.zst",
                  zstd_bytes(json_lines({texts_.begin() + third, texts_.begin() + 2 * third})));
    write_plainly(folder_ / "c.jsonl.gz",
                  gzip_bytes(json_lines({texts_.begin() + 2 * third, texts_.end()})));
  }

  const Texts& texts() const { return texts_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  fs::path operator/(std::string_view name) const { return folder_ / name; }
  std::string pattern() const { return (folder_ / "*.jsonl*").string(); }

  fs::path build(const std::string& name, const CorpusSettings& settings = {},
                 CorpusBuild how = {}) const {
    if (how.threads == 0) how.threads = 1;
    build_corpus(folder_ / name, {pattern()}, tokenizer_, settings, how);
    return folder_ / name;
  }

 private:
  TemporaryFolder folder_;
  Texts texts_;
  Tokenizer tokenizer_ = small_tokenizer();
};

CorpusSettings packed(std::int64_t group, bool end_of_text) {
  return {.reading = {}, .packing = {.group_documents = group, .end_of_text = end_of_text}};
}

}  // namespace

TEST_CASE("token shards: blocks are those of the definition for every packing and length") {
  const Corpus corpus;
  int made = 0;
  for (const bool end_of_text : {false, true}) {
    for (const std::int64_t group : {0, 1, 7, 50, 1000}) {
      CAPTURE(end_of_text);
      CAPTURE(group);
      const CorpusSettings settings = packed(group, end_of_text);
      const TokenShards shards =
          TokenShards::open(corpus.build(fmt::format("made-{}", made++), settings,
                                         {.threads = 1, .shard_tokens = 777}),
                            TokenShards::Check::hashes);
      CHECK(shards.manifest().shards.size() > 3);
      for (const std::int64_t length : {1, 2, 13, 256, 2048}) {
        CAPTURE(length);
        const auto expected = naive_blocks(corpus.tokenizer(), corpus.texts(), settings.packing,
                                           static_cast<std::size_t>(length));
        CHECK(all_blocks(shards, length) == expected);
        CHECK(shards.blocks(length).dropped_tokens() ==
              shards.tokens() - length * static_cast<std::int64_t>(expected.size()));
      }
    }
  }
}

TEST_CASE("token shards: documents are found by their number, and counted") {
  const Corpus corpus;
  const TokenShards shards = TokenShards::open(
      corpus.build("made", packed(1000, true), {.threads = 1, .shard_tokens = 100}));
  REQUIRE(shards.documents() == 120);
  std::int64_t at = 0, empty = 0, bytes = 0;
  for (std::size_t i = 0; i < corpus.texts().size(); i++) {
    const TokenShards::Range range = shards.document(static_cast<std::int64_t>(i));
    CHECK(range.begin == at);
    Ids ids(static_cast<std::size_t>(range.end - range.begin));
    shards.copy(range.begin, ids);
    REQUIRE_FALSE(ids.empty());
    CHECK(ids.back() == 0);
    ids.pop_back();
    CHECK(corpus.tokenizer().decode(ids) == corpus.texts()[i]);
    at = range.end;
    empty += corpus.texts()[i].empty();
    bytes += static_cast<std::int64_t>(corpus.texts()[i].size());
  }
  CHECK(shards.tokens() == at);
  CHECK(shards.manifest().empty_documents == empty);
  CHECK(shards.manifest().text_bytes == bytes);
  CHECK(shards.manifest().inputs.size() == 3);
  CHECK(shards.manifest().inputs[1].kind == "jsonl.zst");
  const Ids all = all_tokens(shards);
  CHECK(shards.largest_id() == *std::max_element(all.begin(), all.end()));
}

TEST_CASE("token shards: a text file that is cut has the tokens of the whole") {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; text.size() < 700'000; i++) {
    text += fmt::format("{}the  {}\u00e9\u0301 {}", i % 11 == 0 ? "\n\n \n" : "   ", i * 7919,
                        i % 3 == 0 ? "in\u3000er\n" : "her an");
  }
  write_plainly(folder / "a.txt", text);
  const Tokenizer tokenizer = small_tokenizer();
  build_corpus(folder / "made", {(folder / "a.txt").string()}, tokenizer, {},
               {.threads = 3, .shard_tokens = 50'000});
  const TokenShards shards = TokenShards::open(folder / "made");
  CHECK(shards.documents() == 1);
  CHECK(shards.manifest().empty_documents == 0);
  CHECK(shards.manifest().shards.size() > 3);  // a document may reach over shards
  CHECK(all_tokens(shards) == tokenizer.encode(text));

  // A token that has white space in it: the text is not cut, and is refused where it is too long.
  const Tokenizer reaching = small_tokenizer(300, "in\u3000er");
  const Tokenizer spaced = small_tokenizer(300, "the  1");
  CHECK(error_of([&] {
          build_corpus(folder / "odd", {(folder / "a.txt").string()}, spaced,
                       {.reading = {.longest_line = 500'000}, .packing = {}}, {.threads = 1});
        }).find("without a place to cut it") != std::string::npos);
  build_corpus(folder / "odd", {(folder / "a.txt").string()}, spaced, {}, {.threads = 1});
  CHECK(all_tokens(TokenShards::open(folder / "odd")) == spaced.encode(text));
  build_corpus(folder / "over", {(folder / "a.txt").string()}, reaching, {}, {.threads = 1});
  CHECK(all_tokens(TokenShards::open(folder / "over")) == reaching.encode(text));
}

TEST_CASE("token shards: any number of threads makes the same files") {
  const Corpus corpus(some_documents(2500));
  std::optional<std::string> first;
  for (const int threads : {1, 2, 3, 8}) {
    CAPTURE(threads);
    const fs::path made = corpus.build(fmt::format("made-{}", threads), packed(100, false),
                                       {.threads = threads, .shard_tokens = 9000});
    std::string all;
    const TokenShards shards = TokenShards::open(made);
    for (const ShardManifest::Shard& shard : shards.manifest().shards) {
      all += read_file(made / shard.file);
    }
    all += read_file(made / "manifest.json");
    if (!first) first = all;
    CHECK(*first == all);
  }
}

TEST_CASE(
    "token shards: the order of files is the order of documents, and their names do not count") {
  const TemporaryFolder folder;
  write_plainly(folder / "a.txt", "the first");
  write_plainly(folder / "b.txt", "an other");
  fs::create_directory(folder / "moved");
  write_plainly(folder / "moved/x.txt", "the first");
  write_plainly(folder / "moved/y.txt", "an other");
  const auto path = [&](const char* name) { return (folder / name).string(); };
  const Tokenizer tokenizer = small_tokenizer();
  const CorpusBuild build{.cache = folder / "cache", .threads = 1};
  const auto prepared = [&](const Texts& files, const CorpusSettings& settings = {}) {
    return prepare_corpus(files, tokenizer, settings, build);
  };
  const fs::path one = prepared({path("a.txt"), path("b.txt")});
  const fs::path other = prepared({path("b.txt"), path("a.txt")});
  CHECK(one != other);
  CHECK(all_tokens(TokenShards::open(other)) == tokenizer.encode("an otherthe first"));
  const auto written = fs::last_write_time(one / "manifest.json");
  CHECK(prepared({path("moved/?.txt")}) == one);
  CHECK(fs::last_write_time(one / "manifest.json") == written);
  CHECK(prepared({path("a.txt"), path("b.txt")}, packed(1000, true)) != one);
  CHECK(prepared({path("a.txt"), path("b.txt")}, packed(999, false)) != one);
  CHECK(prepare_corpus({path("moved/?.txt")}, small_tokenizer(301), {}, build) != one);
  write_plainly(folder / "a.txt", "the firsT");
  CHECK(prepared({path("a.txt"), path("b.txt")}) != one);
  for (const fs::directory_entry& entry : fs::directory_iterator(folder / "cache")) {
    CHECK(entry.path().filename().string().starts_with("corpus-"));
    CHECK_FALSE(entry.path().string().ends_with(".building"));
    CHECK_FALSE(fs::exists(entry.path() / "lock"));
  }
}

TEST_CASE("token shards: a vocabulary of more than 65,536 ids has four bytes each") {
  const TemporaryFolder folder;
  write_plainly(folder / "a.jsonl", json_lines(some_documents(40)));
  const Tokenizer small = small_tokenizer(), large = small_tokenizer(70'000);
  CHECK(small_tokenizer(65'536).size() == 65'536);
  for (const auto& [tokenizer, bytes] :
       {std::pair{small, 2}, std::pair{small_tokenizer(65'536), 2}, std::pair{large, 4}}) {
    const std::string name = fmt::format("made-{}", tokenizer.size());
    build_corpus(folder / name, {(folder / "a.jsonl").string()}, tokenizer, packed(3, true),
                 {.threads = 1, .shard_tokens = 1000});
    const TokenShards shards = TokenShards::open(folder / name, TokenShards::Check::hashes);
    CHECK(shards.manifest().token_bytes == bytes);
    CHECK(all_blocks(shards, 16) == naive_blocks(tokenizer, some_documents(40), {3, true}, 16));
  }
}

TEST_CASE("token shards: another tokenizer or too small a vocabulary is refused") {
  const Corpus corpus;
  const TokenShards shards = TokenShards::open(corpus.build("made"));
  shards.require_tokenizer(corpus.tokenizer().fingerprint());
  shards.require_vocabulary(shards.largest_id() + 1);
  ExitCode code = ExitCode::ok;
  const std::string other = small_tokenizer(301).fingerprint();
  CHECK(mentions(error_of([&] { shards.require_tokenizer(other); }, &code),
                 "made with another tokenizer"));
  CHECK(code == ExitCode::data);
  code = ExitCode::ok;
  CHECK(mentions(error_of([&] { shards.require_vocabulary(shards.largest_id()); }, &code),
                 "the model's vocabulary is"));
  CHECK(code == ExitCode::data);
}

TEST_CASE("token shards: many threads read the same blocks") {
  const Corpus corpus;
  const TokenBlocks blocks =
      TokenShards::open(corpus.build("made", {}, {.threads = 1, .shard_tokens = 500})).blocks(64);
  std::vector<Ids> expected;
  for (std::int64_t b = 0; b < blocks.size(); b++) {
    expected.push_back(blocks[b]);
  }
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); t++) {
    threads.emplace_back([&, t] {
      for (std::int64_t b = 0; b < blocks.size(); b++) {
        wrong[t] += blocks[b] != expected[static_cast<std::size_t>(b)];
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(wrong == std::vector<int>(4, 0));
  const TokenBlocks valid = blocks.part(3, 5);
  CHECK(valid.size() == 5);
  CHECK(valid[4] == blocks[7]);
  CHECK(valid.part(1, 2)[1] == blocks[5]);
  CHECK(valid.dropped_tokens() == blocks.dropped_tokens());
  CHECK_THROWS_AS((void)valid[5], Error);
  CHECK_THROWS_AS(blocks.part(1, blocks.size()), Error);
}

TEST_CASE("token shards: every flipped byte is noticed, and every shorter file") {
  const Corpus corpus(some_documents(9));
  const fs::path made = corpus.build("made", {}, {.threads = 1, .shard_tokens = 200});
  const std::size_t count = TokenShards::open(made).manifest().shards.size();
  REQUIRE(count >= 2);
  std::vector<std::string> names = {"manifest.json"};
  for (std::size_t i = 0; i < count; i++) {
    names.push_back(shard_name(static_cast<std::int64_t>(i)));
  }
  const auto refused = [&](TokenShards::Check check) {
    ExitCode code = ExitCode::ok;
    const std::string message = error_of([&] { (void)TokenShards::open(made, check); }, &code);
    return !message.empty() && code == ExitCode::corrupt && mentions(message, made.string());
  };
  for (const std::string& name : names) {
    CAPTURE(name);
    const std::string whole = read_plainly(made / name);
    for (std::size_t i = 0; i < whole.size(); i += i < kShardHeaderBytes ? 1 : 11) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
      write_plainly(made / name, damaged);
      const bool in_header = name != "manifest.json" && i < kShardHeaderBytes;
      CHECK_MESSAGE(refused(TokenShards::Check::hashes), i);
      if (in_header) CHECK_MESSAGE(refused(TokenShards::Check::sizes), i);
    }
    for (const std::size_t size : {std::size_t{0}, std::size_t{100}, whole.size() - 2}) {
      write_plainly(made / name, whole.substr(0, size));
      CHECK(refused(TokenShards::Check::sizes));
    }
    write_plainly(made / name, whole + "x");
    CHECK(refused(TokenShards::Check::sizes));
    write_plainly(made / name, whole);
  }
  fs::rename(made / shard_name(0), made / "kept");
  CHECK(refused(TokenShards::Check::sizes));
  fs::copy_file(made / shard_name(1), made / shard_name(0));
  CHECK(refused(TokenShards::Check::sizes));
  fs::rename(made / "kept", made / shard_name(0));
  CHECK_NOTHROW((void)TokenShards::open(made, TokenShards::Check::hashes));
}

TEST_CASE("token shards: ids and ends that a damaged file has are refused when they are read") {
  const Corpus corpus(some_documents(9));
  const fs::path made = corpus.build("made");
  const fs::path file = made / shard_name(0);
  const std::string whole = read_plainly(file);
  std::string damaged = whole;
  damaged.replace(damaged.size() - 2, 2, "\xff\xff");
  write_plainly(file, damaged);
  {
    const TokenShards shards = TokenShards::open(made);
    CHECK(mentions(error_of([&] { all_tokens(shards); }), "it has the id 65535"));
  }
  damaged = whole;
  damaged.replace(kShardHeaderBytes, 8 * 9, std::string(8 * 9, '\x7f'));
  write_plainly(file, damaged);
  const TokenShards shards = TokenShards::open(made);
  CHECK(mentions(error_of([&] { (void)shards.document(3); }), "ends behind the"));
  CHECK(mentions(error_of([&] { (void)shards.blocks(2); }), "ends behind the"));
}

TEST_CASE("token shards: a folder that is none, or another corpus, is told in a sentence") {
  const Corpus corpus;
  ExitCode code = ExitCode::ok;
  CHECK(mentions(error_of([&] { (void)TokenShards::open(corpus / "none"); }, &code),
                 "is no tokenised corpus: it has no manifest.json"));
  CHECK(code == ExitCode::storage);
  const fs::path made = corpus.build("made");
  CHECK_NOTHROW(corpus.build("made"));  // the same: nothing to do
  CHECK(mentions(error_of([&] { corpus.build("made", packed(5, false)); }, &code),
                 "holds another corpus, and nothing is overwritten"));
  CHECK(code == ExitCode::usage);
  write_plainly(made / shard_name(0), "damaged since");
  CHECK(mentions(error_of([&] { corpus.build("made"); }, &code), "bytes, it has 13"));
  fs::create_directory(corpus / "mine");
  write_plainly(corpus / "mine/precious", "text");
  CHECK(mentions(error_of([&] { corpus.build("mine"); }), "has no manifest.json"));
  CHECK(fs::exists(corpus / "mine/precious"));
}

}  // namespace farsight
