// Nothing that is damaged, or belongs to something else, is read as a tokenised corpus.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "data/corpus/shard_file.h"
#include "data/corpus/token_shards.h"
#include "tests/corpus_of_files.h"
#include "tests/small_tokenizer.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

}  // namespace

TEST_CASE("token shards: another tokenizer or too small a vocabulary is refused") {
  const CorpusOfFiles corpus;
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

TEST_CASE("token shards: every flipped byte is noticed, and every shorter file") {
  const CorpusOfFiles corpus(some_documents(9));
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
  const CorpusOfFiles corpus(some_documents(9));
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
  const CorpusOfFiles corpus;
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
  const std::string damaged = error_of([&] { corpus.build("made"); }, &code);
  CHECK(code == ExitCode::corrupt);
  CHECK(mentions(damaged, "bytes, it has 13"));
  CHECK(mentions(damaged, "remove the folder '" + made.string() + "', and it is made again"));
  fs::create_directory(corpus / "mine");
  write_plainly(corpus / "mine/precious", "text");
  CHECK(mentions(error_of([&] { corpus.build("mine"); }), "has no manifest.json"));
  CHECK(fs::exists(corpus / "mine/precious"));
}

}  // namespace farsight
