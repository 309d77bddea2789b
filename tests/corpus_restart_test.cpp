// Builds of corpora that are stopped: by a full disk, a kill, an error in the text, a person.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "core/files.h"
#include "data/corpus/prepare_corpus.h"
#include "data/corpus/shard_file.h"
#include "data/corpus/token_shards.h"
#include "tests/failing_calls.h"
#include "tests/packed_bytes.h"
#include "tests/small_tokenizer.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kShardTokens = 700;

/// Two files, of which three shards are made.
class SmallCorpus {
 public:
  SmallCorpus() {
    std::string lines, text;
    for (int i = 0; i < 60; i++) {
      lines += fmt::format("{{\"text\":\"document {} in the first file\"}}\n", i);
      text += fmt::format("paragraph {}\n\n", i);
    }
    write_plainly(folder_ / "a.jsonl.zst", zstd_bytes(lines));
    write_plainly(folder_ / "b.txt", text.substr(0, 300));
    build(folder_ / "expected");
  }

  fs::path operator/(std::string_view name) const { return folder_ / name; }
  void build(const fs::path& to, CorpusBuild how = {}) const {
    how.reads_ahead = how.threads > 0;  // else the order of calls is the same every time
    how.shard_tokens = kShardTokens;
    build_corpus(to, {(folder_ / "a.jsonl.zst").string(), (folder_ / "b.txt").string()}, tokenizer_,
                 {.reading = {.documents = TextDocuments::blank_line},
                  .packing = {.group_documents = 10, .end_of_text = true}},
                 how);
  }
  /// All that a finished corpus has.
  static std::string contents(const fs::path& folder) {
    std::vector<std::string> names;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name != "lock") names.push_back(name);  // which may stay when removing it fails
    }
    std::sort(names.begin(), names.end());
    std::string all;
    for (const std::string& name : names) {
      all += name + read_plainly(folder / name);
    }
    return all;
  }
  bool is_as_expected(const fs::path& folder) const {
    return contents(folder) == contents(folder_ / "expected");
  }

 private:
  TemporaryFolder folder_;
  Tokenizer tokenizer_ = small_tokenizer();
};

}  // namespace

TEST_CASE("corpus restart: any system call of a build may fail, and the next one finishes it") {
  const SmallCorpus corpus;
  REQUIRE(TokenShards::open(corpus / "expected").manifest().shards.size() == 3);
  const fs::path to = corpus / "made";
  fail_everywhere(
      [&] {
        fs::remove_all(to);
        fs::remove_all(corpus / "made.building");
      },
      [&] { corpus.build(to); },
      [&](bool failed) {
        // An error of the last step leaves the folder whole.
        if (fs::exists(to)) CHECK(read_manifest(to).shards.size() == 3);
        if (!failed) CHECK(corpus.is_as_expected(to));
        corpus.build(to);
        CHECK(corpus.is_as_expected(to));
        CHECK_FALSE(fs::exists(corpus / "made.building"));
      });
}

TEST_CASE("corpus restart: a process that dies at any call loses no shard that was finished") {
  const SmallCorpus corpus;
  const fs::path to = corpus / "made";
  std::size_t most = 0;
  die_everywhere(
      [&] {
        fs::remove_all(to);
        fs::remove_all(corpus / "made.building");
      },
      [&] { corpus.build(to); },
      [&] {
        const fs::path first = corpus / "made.building" / shard_name(0);
        const bool had = fs::exists(first);
        const auto written = had ? fs::last_write_time(first) : fs::file_time_type();
        std::size_t kept = 0;
        while (fs::exists(corpus / "made.building" / shard_name(static_cast<std::int64_t>(kept)))) {
          kept++;
        }
        most = std::max(most, kept);
        std::int64_t resumed = -1;
        corpus.build(to, {.progress = [&](const CorpusProgress& progress) {
                       if (progress.stage == "tokenising") resumed = progress.resumed_text_bytes;
                     }});
        CHECK(corpus.is_as_expected(to));
        if (had) CHECK(fs::last_write_time(to / shard_name(0)) == written);
        if (had) CHECK((resumed > 0 || resumed == -1));
      });
  CHECK(most == 3);
}

TEST_CASE(
    "corpus restart: a shard that was damaged in between, and those behind it, are made again") {
  const SmallCorpus corpus;
  const fs::path to = corpus / "made", building = corpus / "made.building";
  for (const int damaged : {0, 1, 2}) {
    for (const bool cut : {false, true}) {
      fs::remove_all(to);
      fs::create_directory(building);
      for (int i = 0; i < 3; i++) {
        fs::copy_file(corpus / "expected" / shard_name(i), building / shard_name(i));
      }
      write_plainly(building / "shard-00002.tokens.tmp-1-1", "left by a kill");
      std::string bytes = read_plainly(building / shard_name(damaged));
      if (cut) {
        bytes.resize(bytes.size() / 2);
      } else {
        bytes[bytes.size() - 3] ^= 1;
      }
      write_plainly(building / shard_name(damaged), bytes);
      corpus.build(to);
      CHECK(corpus.is_as_expected(to));
    }
  }
}

TEST_CASE("corpus restart: empty documents behind a kept shard are counted as without the stop") {
  const TemporaryFolder folder;
  write_plainly(folder / "a.jsonl", "{\"text\":\"abcd\"}\n{\"text\":\"\"}\n{\"text\":\"ef\"}\n");
  write_plainly(folder / "b.txt", "a text that is cut nowhere");
  write_plainly(folder / "c.jsonl", "{\"text\":\"\"}\n{\"text\":\"gh\"}\n");
  const auto build = [&](const fs::path& to) {
    std::vector<std::string> files;
    for (const char* name : {"a.jsonl", "b.txt", "c.jsonl"}) {
      files.push_back((folder / name).string());
    }
    build_corpus(to, files, small_tokenizer(), {}, {.threads = 1, .shard_tokens = 1});
  };
  const fs::path expected = folder / "expected", to = folder / "made";
  build(expected);
  const ShardManifest manifest = read_manifest(expected);
  CHECK(manifest.empty_documents == 2);
  for (std::size_t kept = 1; kept < manifest.shards.size(); kept++) {
    fs::remove_all(to);
    fs::create_directory(folder / "made.building");
    for (std::size_t i = 0; i < kept; i++) {
      const std::string name = shard_name(static_cast<std::int64_t>(i));
      fs::copy_file(expected / name, folder / "made.building" / name);
    }
    build(to);
    CHECK((SmallCorpus::contents(to) == SmallCorpus::contents(expected)));
  }
}

TEST_CASE("corpus restart: shards of another build in the same place are not kept") {
  const SmallCorpus corpus;
  const TemporaryFolder other;
  write_plainly(other / "x.txt", std::string(2000, 'x'));
  build_corpus(other / "made", {(other / "x.txt").string()}, small_tokenizer(), {}, {.threads = 1});
  fs::create_directory(corpus / "made.building");
  for (const int number : {0, 7}) {  // more than will be made
    fs::copy_file(other / "made" / shard_name(0), corpus / "made.building" / shard_name(number));
  }
  corpus.build(corpus / "made");
  CHECK(corpus.is_as_expected(corpus / "made"));
}

TEST_CASE("corpus restart: who watches may stop a build, and it goes on later") {
  const SmallCorpus corpus;
  const fs::path to = corpus / "made";
  ExitCode code = ExitCode::ok;
  const CorpusBuild stopped{.threads = 2, .progress = [](const CorpusProgress& progress) {
                              if (progress.stage == "tokenising") {
                                fail(ExitCode::interrupted, "stopped");
                              }
                            }};
  CHECK(error_of([&] { corpus.build(to, stopped); }, &code) == "stopped");
  CHECK(code == ExitCode::interrupted);
  CHECK_FALSE(fs::exists(to));
  CHECK(fs::exists(corpus / "made.building"));
  corpus.build(to);
  CHECK(corpus.is_as_expected(to));
}

TEST_CASE("corpus restart: text that is refused leaves nothing, and says the first place of all") {
  const TemporaryFolder folder;
  std::string lines;
  for (int i = 0; i < 30'000; i++) {
    lines +=
        i % 10'000 == 9'999 ? "{\"title\":\"no text\"}\n" : "{\"text\":\"the text in an order\"}\n";
  }
  write_plainly(folder / "a.jsonl", lines);
  for (const int threads : {1, 4}) {
    ExitCode code = ExitCode::ok;
    const std::string message = error_of(
        [&] {
          build_corpus(folder / "made", {(folder / "a.jsonl").string()}, small_tokenizer(), {},
                       {.threads = threads, .shard_tokens = 1000});
        },
        &code);
    CHECK(mentions(message, "a.jsonl, line 10000, byte 1: the object has no field"));
    CHECK(code == ExitCode::corrupt);
    CHECK(folder.entries() == 1);
  }
  write_plainly(folder / "a.jsonl", "{\"text\":\"\"}\n{\"text\":\"\"}\n");
  ExitCode code = ExitCode::ok;
  CHECK(mentions(error_of(
                     [&] {
                       build_corpus(folder / "made", {(folder / "a.jsonl").string()},
                                    small_tokenizer(), {}, {.threads = 1});
                     },
                     &code),
                 "there is no token in the corpus: its 2 documents are empty"));
  CHECK(code == ExitCode::data);
  CHECK(folder.entries() == 1);
}

TEST_CASE("corpus restart: of two builds of the same folder one works and one waits") {
  const SmallCorpus corpus;
  const fs::path to = corpus / "made";
  std::atomic<bool> waited{false}, working{false};
  std::thread second;
  corpus.build(to, {.progress = [&](const CorpusProgress& progress) {
                 if (progress.stage != "tokenising" || working.exchange(true)) return;
                 second = std::thread([&] {
                   corpus.build(to, {.progress = [&](const CorpusProgress& at) {
                                  if (at.stage == "waiting") waited = true;
                                }});
                 });
                 while (!waited) {
                   std::this_thread::yield();
                 }
               }});
  second.join();
  CHECK(corpus.is_as_expected(to));
  CHECK_FALSE(fs::exists(corpus / "made.building"));
}

}  // namespace farsight
