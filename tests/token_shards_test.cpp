// Tokenised corpora: what their shards and blocks hold, whoever made them and however often he was
// stopped.
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
#include "tests/corpus_of_files.h"
#include "tests/small_tokenizer.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;
using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("token shards: blocks are those of the definition for every packing and length") {
  const CorpusOfFiles corpus;
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
  const CorpusOfFiles corpus;
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
  const CorpusOfFiles corpus(some_documents(2500));
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
  CHECK(
      prepared({path("a.txt"), path("b.txt")}, {.reading = {.longest_line = 99}, .packing = {}}) ==
      one);  // it refuses texts, and changes none
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

TEST_CASE("token shards: many threads read the same blocks") {
  const CorpusOfFiles corpus;
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

}  // namespace farsight
