// farsight corpus: folders are built, described, exported and imported; progress; and the counts of
// the real wiki corpus.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/sha256.h"
#include "data/corpus/prepare_corpus.h"
#include "data/corpus/token_bin.h"
#include "data/corpus/token_shards.h"
#include "tests/language_data.h"
#include "tests/skip.h"
#include "tests/temporary_folder.h"
#include "train/corpus_progress.h"
#include "train/corpus_verb.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

std::string corpus(const Words& words) {
  return corpus_text(words);
}

std::string refusal(const Words& words, ExitCode expected) {
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { corpus(words); }, &code);
  CHECK(code == expected);
  return message;
}

/// Bytes alone: 256 tokens and <|endoftext|>.
void write_byte_tokenizer(const fs::path& path) {
  Json vocabulary = Json::object();
  // The characters that stand for bytes in byte-level BPE (openai/gpt-2, bytes_to_unicode).
  int shifted = 256;
  for (int b = 0; b < 256; b++) {
    const bool itself = (b > 32 && b < 127) || (b > 160 && b != 173);
    const int point = itself ? b : shifted++;
    std::string character;
    if (point < 0x80) {
      character = static_cast<char>(point);
    } else {
      character += static_cast<char>(0xc0 | (point >> 6));
      character += static_cast<char>(0x80 | (point & 0x3f));
    }
    vocabulary[character] = b;
  }
  const Json byte_level = Json::object({{"type", "ByteLevel"},
                                        {"add_prefix_space", false},
                                        {"trim_offsets", true},
                                        {"use_regex", true}});
  const Json file =
      Json::object({{"version", "1.0"},
                    {"truncation", Json()},
                    {"padding", Json()},
                    {"added_tokens", Json::array({Json::object({{"id", 256},
                                                                {"content", "<|endoftext|>"},
                                                                {"single_word", false},
                                                                {"lstrip", false},
                                                                {"rstrip", false},
                                                                {"normalized", false},
                                                                {"special", true}})})},
                    {"normalizer", Json()},
                    {"pre_tokenizer", byte_level},
                    {"post_processor", Json()},
                    {"decoder", byte_level},
                    {"model", Json::object({{"type", "BPE"},
                                            {"dropout", Json()},
                                            {"unk_token", Json()},
                                            {"continuing_subword_prefix", Json()},
                                            {"end_of_word_suffix", Json()},
                                            {"fuse_unk", false},
                                            {"vocab", vocabulary},
                                            {"merges", Json::array()}})}});
  write_plainly(path, file.dump());
}

}  // namespace

TEST_CASE("corpus verb: a corpus is built, described, exported and imported again") {
  const TemporaryFolder folder;
  const auto path = [&](const char* name) { return (folder / name).string(); };
  write_byte_tokenizer(folder / "tokenizer.json");
  write_plainly(folder / "a.txt", "one\n\ntwo\n\nthree\n");
  write_plainly(folder / "b.jsonl", "{\"body\":\"four\"}\n{\"body\":\"\"}\n");
  const std::string built =
      corpus({"build", "--data", path("a.txt") + "," + path("b.jsonl"), "--tokenizer",
              path("tokenizer.json"), "--to", path("made"), "--documents", "blank-line", "--field",
              "body", "--packing", "end-of-text", "--threads", "1", "--no-progress"});
  CHECK(mentions(built, "documents   5, 1 of them empty"));
  CHECK(mentions(built, "tokens      20, ids up to 256 of 257"));
  CHECK(mentions(built, "all documents one after another, end-of-text behind each document"));
  const std::string info = corpus({"info", "--corpus", path("made"), "--block", "6", "--verify"});
  CHECK(mentions(info, "blocks      3 of 6 tokens; 2 tokens left over"));
  CHECK(mentions(info, "every byte is as it was written"));
  const Json manifest = Json::parse(corpus({"info", "--corpus", path("made"), "--json"}), "info");
  CHECK(manifest.at("documents").as_int() == 5);
  CHECK(mentions(corpus({"export", "--corpus", path("made"), "--to", path("train.bin")}),
                 "train.bin: 40 bytes"));
  const std::string back = corpus({"import", "--from", path("train.bin"), "--to", path("back"),
                                   "--tokenizer", path("tokenizer.json")});
  CHECK(mentions(back, "documents   5, 0 of them empty"));
  CHECK(TokenShards::open(path("back")).blocks(20)[0] ==
        TokenShards::open(path("made")).blocks(20)[0]);
  CHECK(mentions(corpus({"import", "--from", path("train.bin"), "--to", path("bare"),
                         "--vocabulary", "300", "--end-of-text", "256"}),
                 "not known: imported without"));
  // Without --to: a folder in the cache, and the same one again.
  const Words cached = {"build",   "--data",  path("a.txt"),  "--tokenizer", path("tokenizer.json"),
                        "--cache", path("c"), "--no-progress"};
  CHECK(mentions(corpus(cached), "groups of 1,000 documents, nothing between documents"));
  CHECK(corpus(cached) == corpus(cached));
}

TEST_CASE("corpus verb: what is misspelt, missing or contradictory is refused in a sentence") {
  const TemporaryFolder folder;
  const std::string file = (folder / "a.txt").string(), to = (folder / "made").string();
  write_plainly(file, "text");
  CHECK(mentions(refusal({"bild"}, ExitCode::usage),
                 "there is no verb 'bild'; did you mean 'build'?"));
  CHECK(mentions(refusal({"build"}, ExitCode::usage), "farsight corpus build needs --data"));
  CHECK(mentions(refusal({"build", "--dta", file}, ExitCode::usage), "did you mean '--data'?"));
  CHECK(mentions(refusal({"build", "--data", file, "--packing", "x"}, ExitCode::usage),
                 "one of authors, end-of-text"));
  CHECK(mentions(refusal({"build", "--data", file, "--documents", "x"}, ExitCode::usage),
                 "one of file, endoftext, blank-line"));
  CHECK(mentions(refusal({"build", "--data", file, "--invalid-utf8", "x"}, ExitCode::usage),
                 "one of stop, replace"));
  CHECK(mentions(refusal({"build", "--data", file, "--longest-line", "0"}, ExitCode::usage),
                 "--longest-line"));
  CHECK(mentions(refusal({"build", "--data", file, "--to", to, "--cache", to}, ExitCode::usage),
                 "exclude one another"));
  CHECK(mentions(
      refusal({"build", "--data", file, "--tokenizer", "/nowhere.json"}, ExitCode::storage),
      "/nowhere.json"));
  CHECK(mentions(refusal({"info", "--corpus", folder.path().string()}, ExitCode::storage),
                 "is no tokenised corpus"));
  CHECK(mentions(refusal({"import", "--from", file}, ExitCode::usage), "needs --to"));
  CHECK(mentions(
      refusal({"import", "--from", file, "--to", to, "--vocabulary", "5", "--tokenizer", "x"},
              ExitCode::usage),
      "exclude one another"));
  CHECK(mentions(
      refusal({"import", "--from", file, "--to", to, "--vocabulary", "5", "--end-of-text", "5"},
              ExitCode::usage),
      "must be below --vocabulary"));
  CHECK(mentions(
      refusal({"import", "--from", file, "--to", to, "--end-of-text", "5"}, ExitCode::usage),
      "goes with --vocabulary"));
  for (const char* verb : {"build", "info", "import", "export"}) {
    CHECK(mentions(corpus({verb, "--help"}), std::string("usage: farsight corpus ") + verb));
  }
  CHECK(mentions(corpus({}), "usage: farsight corpus VERB"));
  CHECK(folder.entries() == 1);
}

TEST_CASE("corpus verb: progress has the rate of what is done now, and the time left") {
  std::string shown;
  double now = 100;
  Display display{.write = [&](std::string_view text) { shown += text; },
                  .clock = [&] { return now; },
                  .bar = true,
                  .columns = 100};
  CorpusProgress at{.stage = "tokenising",
                    .input_bytes = 400'000'000,
                    .total_input_bytes = 1'000'000'000,
                    .text_bytes = 1'200'000'000,
                    .tokens = 300'000'000,
                    .documents = 1000};
  {
    CorpusProgressLine line(display);
    line.show(at);  // an earlier build had done 40 %
    CHECK(shown == "\rtokenising  40 %  1200.0 MB of text  300M tokens");
    shown.clear();
    now += 0.05;
    line.show(at);
    CHECK(shown.empty());  // too early for the eye
    now += 9.95;
    at.input_bytes += 100'000'000;
    at.text_bytes += 300'000'000;
    at.tokens += 75'000'000;
    line.show(at);
    CHECK(mentions(shown, "50 %  1500.0 MB of text  375M tokens  30.0 MB/s  50 s left"));
  }
  CHECK(shown.back() == '\n');
  shown.clear();
  display.bar = false;
  CorpusProgressLine lines(display);
  at.stage = "waiting";
  lines.show(at);
  CHECK(shown == "another process tokenises this corpus: waiting for it\n");
}

TEST_CASE("corpus verb: off a terminal the last line of a stage says how it ended") {
  std::string shown;
  double now = 0;
  const Display display{.write = [&](std::string_view text) { shown += text; },
                        .clock = [&] { return now; }};
  {
    CorpusProgressLine lines(display);
    lines.show({.stage = "hashing", .input_bytes = 0, .total_input_bytes = 100});
    lines.show({.stage = "hashing", .input_bytes = 94, .total_input_bytes = 100});
    lines.show({.stage = "hashing", .input_bytes = 100, .total_input_bytes = 100});
    CHECK(shown == "hashing     0 %\n");  // too early for another
    shown.clear();
    lines.show({.stage = "tokenising", .input_bytes = 0, .total_input_bytes = 100});
    CHECK(shown == "hashing     100 %\ntokenising  0 %\n");
    lines.show({.stage = "tokenising", .input_bytes = 100, .total_input_bytes = 100});
    shown.clear();
  }
  CHECK(shown == "tokenising  100 %\n");
}

TEST_CASE("corpus verb: the wiki corpus has the documents, tokens and blocks that it has") {
  const fs::path data = data_with("corpus/enwiki_2018_train.jsonl.zst");
  if (data.empty()) return skip(kNoLanguageData);
  const TemporaryFolder folder;
  const Tokenizer& tokenizer = neox_tokenizer(data);
  build_corpus(folder / "train", {(data / "corpus/enwiki_2018_train.jsonl.zst").string()},
               tokenizer, {}, {});
  const TokenShards train = TokenShards::open(folder / "train", TokenShards::Check::hashes);
  CHECK(train.documents() == 6866);
  CHECK(train.tokens() == 5'397'086);
  CHECK(train.manifest().text_bytes == 23'896'254);
  CHECK(train.blocks(2048).size() == 2633);
  CHECK(train.blocks(2048).dropped_tokens() == 4702);
  build_corpus(folder / "valid", {(data / "corpus/enwiki_2018_valid.jsonl.zst").string()},
               tokenizer, {}, {});
  const TokenShards valid = TokenShards::open(folder / "valid");
  CHECK(valid.documents() == 141);
  CHECK(valid.tokens() == 101'437);
  CHECK(train.tokenizer_fingerprint() == tokenizer.fingerprint());
}

TEST_CASE("corpus verb: WikiText, cut for many threads, has the ids of Hugging Face's tokenizers") {
  const fs::path data = data_with("wikitext2/wiki.test.raw");
  if (data.empty()) return skip(kNoLanguageData);
  const TemporaryFolder folder;
  build_corpus(folder / "made", {(data / "wikitext2/wiki.test.raw").string()}, neox_tokenizer(data),
               {}, {.threads = 2});
  const TokenShards shards = TokenShards::open(folder / "made");
  CHECK(shards.tokens() == 287'159);
  export_token_bin(shards, folder / "ids.bin", {});
  CHECK(sha256_of_file(folder / "ids.bin") ==
        "abaec7c8eaf1f0006ef0c54e94d8d9821f2630b67d76527a5893c60ebc1c7961");
}

}  // namespace farsight
