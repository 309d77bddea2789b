// Token files of nanoGPT and llm.c: what goes out comes back, bytes are those of the formats, and
// what is not one is refused.
#include "data/corpus/token_bin.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/small_tokenizer.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

template <class Number>
std::string bytes_of_all(const std::vector<Number>& numbers) {
  std::string bytes(numbers.size() * sizeof(Number), '\0');
  if (!numbers.empty()) std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

std::string llmc_header(std::int32_t magic, std::int32_t version, std::int32_t count) {
  std::vector<std::int32_t> header(256);
  header[0] = magic;
  header[1] = version;
  header[2] = count;
  return bytes_of_all(header);
}

/// Three documents, one of them empty, as a corpus.
class ThreeDocuments {
 public:
  explicit ThreeDocuments(bool end_of_text, std::size_t vocabulary = 300)
      : tokenizer_(small_tokenizer(vocabulary)) {
    write_plainly(folder_ / "a.jsonl", "{\"text\":\"abc\"}\n{\"text\":\"\"}\n{\"text\":\"de\"}\n");
    build_corpus(folder_ / "made", {(folder_ / "a.jsonl").string()}, tokenizer_,
                 {.reading = {}, .packing = {.group_documents = 0, .end_of_text = end_of_text}},
                 {.threads = 1, .shard_tokens = 2});
  }
  TokenShards open() const { return TokenShards::open(folder_ / "made"); }
  fs::path operator/(std::string_view name) const { return folder_ / name; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  std::string exported(TokenBinExport how) const {
    how.overwrite = true;
    const auto files = export_token_bin(open(), folder_ / "out.bin", how);
    std::string all;
    for (const fs::path& file : files) {
      all += read_plainly(file);
    }
    return all;
  }

 private:
  TemporaryFolder folder_;
  Tokenizer tokenizer_;
};

// Of the small tokenizer: the byte b is the id 1 + b.
template <class Number>
const std::vector<Number> kPlain = {'a' + 1, 'b' + 1, 'c' + 1, 'd' + 1, 'e' + 1};
template <class Number>
const std::vector<Number> kSeparated = {'a' + 1, 'b' + 1, 'c' + 1, 0, 0, 'd' + 1, 'e' + 1, 0};

ShardManifest::Tokenizer nobodys(std::int64_t vocabulary, std::int64_t end_of_text) {
  return {.fingerprint = {}, .vocabulary = vocabulary, .end_of_text = end_of_text};
}

}  // namespace

TEST_CASE("token bin: exports have the bytes that nanoGPT and llm.c read") {
  const auto nanogpt = [](bool end_of_text) {
    return TokenBinExport{.format = TokenBinFormat::nanogpt, .end_of_text = end_of_text};
  };
  const auto llmc = [](bool end_of_text) {
    return TokenBinExport{.format = TokenBinFormat::llmc, .end_of_text = end_of_text};
  };
  const ThreeDocuments plain(false), separated(true), wide(false, 70'000);
  const std::string narrow_plain = bytes_of_all(kPlain<std::uint16_t>);
  const std::string narrow = bytes_of_all(kSeparated<std::uint16_t>);
  CHECK(plain.exported(nanogpt(false)) == narrow_plain);
  CHECK(plain.exported(nanogpt(true)) == narrow);
  CHECK(separated.exported(nanogpt(false)) == narrow);
  CHECK(separated.exported(nanogpt(true)) == narrow);  // they are there already
  CHECK(plain.exported(llmc(false)) == llmc_header(20240520, 1, 5) + narrow_plain);
  CHECK(separated.exported(llmc(false)) == llmc_header(20240520, 1, 8) + narrow);
  CHECK(wide.exported(llmc(true)) ==
        llmc_header(20240801, 7, 8) + bytes_of_all(kSeparated<std::uint32_t>));
  ExitCode code = ExitCode::ok;
  CHECK(
      mentions(error_of([&] { wide.exported(nanogpt(false)); }, &code), "the vocabulary is 70000"));
  CHECK(code == ExitCode::data);
}

TEST_CASE("token bin: an export in several files has each of them whole") {
  const ThreeDocuments corpus(true);
  const auto files = export_token_bin(corpus.open(), corpus / "train.bin",
                                      {.format = TokenBinFormat::llmc, .tokens_per_file = 3});
  REQUIRE(files.size() == 3);
  CHECK(files[0] == corpus / "train_000001.bin");
  const auto part = [](std::size_t from, std::size_t count) {
    return bytes_of_all(kSeparated<std::uint16_t>).substr(2 * from, 2 * count);
  };
  CHECK(read_plainly(files[0]) == llmc_header(20240520, 1, 3) + part(0, 3));
  CHECK(read_plainly(files[1]) == llmc_header(20240520, 1, 3) + part(3, 3));
  CHECK(read_plainly(files[2]) == llmc_header(20240520, 1, 2) + part(6, 2));
}

TEST_CASE("token bin: an export replaces no file unasked") {
  const ThreeDocuments corpus(true);
  write_plainly(corpus / "train_000002.bin", "precious");
  TokenBinExport how{.tokens_per_file = 3};
  ExitCode code = ExitCode::ok;
  CHECK(
      mentions(error_of([&] { export_token_bin(corpus.open(), corpus / "train.bin", how); }, &code),
               "train_000002.bin' is there already"));
  CHECK(code == ExitCode::usage);
  CHECK(read_plainly(corpus / "train_000002.bin") == "precious");
  CHECK_FALSE(fs::exists(corpus / "train_000001.bin"));  // nothing was written
  how.overwrite = true;
  CHECK(export_token_bin(corpus.open(), corpus / "train.bin", how).size() == 3);
  CHECK(read_plainly(corpus / "train_000002.bin").size() == 6);
}

TEST_CASE("token bin: what was exported is imported, with its documents") {
  for (const std::size_t vocabulary : {300u, 70'000u}) {
    const ThreeDocuments corpus(true, vocabulary);
    const TokenShards before = corpus.open();
    export_token_bin(before, corpus / "all.bin", {.format = TokenBinFormat::llmc});
    import_token_bins(corpus / "back", {(corpus / "all.bin").string()},
                      {.tokenizer = before.manifest().tokenizer}, {.shard_tokens = 3});
    const TokenShards back = TokenShards::open(corpus / "back", TokenShards::Check::hashes);
    CHECK(back.documents() == 3);
    CHECK(back.tokens() == before.tokens());
    CHECK(back.manifest().inputs[0].kind == "llmc");
    CHECK(back.blocks(3)[1] == before.blocks(3)[1]);
    CHECK(back.document(1).end - back.document(1).begin == 1);
    back.require_tokenizer(corpus.tokenizer().fingerprint());
    import_token_bins(corpus / "back", {(corpus / "all.bin").string()},
                      {.tokenizer = before.manifest().tokenizer},
                      {});  // it is there: nothing to do
  }
}

TEST_CASE("token bin: ids that nobody's tokenizer made are imported by a vocabulary alone") {
  const TemporaryFolder folder;
  write_plainly(folder / "1.bin", bytes_of_all(std::vector<std::uint16_t>{1, 2, 9, 3, 9, 9, 4}));
  write_plainly(folder / "2.bin",
                llmc_header(20240520, 1, 2) + bytes_of_all(std::vector<std::uint16_t>{5, 6}));
  write_plainly(folder / "3.bin",
                llmc_header(20240801, 7, 1) + bytes_of_all(std::vector<std::uint32_t>{7}));
  import_token_bins(folder / "made", {(folder / "?.bin").string()}, {.tokenizer = nobodys(10, 9)},
                    {});
  const TokenShards shards = TokenShards::open(folder / "made");
  CHECK(shards.blocks(10)[0] == Ids{1, 2, 9, 3, 9, 9, 4, 5, 6, 7});
  REQUIRE(shards.documents() == 6);  // the end of a file ends a document
  const Ids ends = {3, 5, 6, 7, 9, 10};
  for (std::size_t i = 0; i < ends.size(); i++) {
    CHECK(shards.document(static_cast<std::int64_t>(i)).end == ends[i]);
  }
  ExitCode code = ExitCode::ok;
  CHECK(mentions(error_of([&] { shards.require_tokenizer("0123"); }, &code),
                 "imported without a tokenizer"));
  CHECK(code == ExitCode::data);
  import_token_bins(folder / "one", {(folder / "1.bin").string()}, {.tokenizer = nobodys(10, -1)},
                    {});
  CHECK(TokenShards::open(folder / "one").documents() == 1);
}

TEST_CASE("token bin: what is no token file is refused with its place") {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& bytes, std::optional<TokenBinFormat> format = {}) {
    write_plainly(folder / "a.bin", bytes);
    ExitCode code = ExitCode::ok;
    const std::string message = error_of(
        [&] {
          import_token_bins(folder / "made", {(folder / "a.bin").string()},
                            {.tokenizer = nobodys(10, 9), .format = format}, {});
        },
        &code);
    CHECK(code == ExitCode::corrupt);
    CHECK(mentions(message, "a.bin"));
    CHECK(folder.entries() == 1);
    return message;
  };
  const std::string two = bytes_of_all(std::vector<std::uint16_t>{1, 2});
  CHECK(mentions(refused(""), "the file is empty"));
  CHECK(mentions(refused("abc"), "two bytes each, and the file has 3"));
  CHECK(mentions(refused("<html>"), "this is a web page"));
  CHECK(mentions(refused("\x93NUMPY\x01\x00v\x00"), "this is a NumPy array"));
  const std::string prose = "Not ids, but a line of text.\n";
  CHECK(mentions(refused(prose + "x"), "this looks like text"));
  CHECK(mentions(refused(prose + "\u00e9", TokenBinFormat::nanogpt), "two bytes each"));
  CHECK(mentions(refused(prose + "\u00e9."), "this looks like text"));
  CHECK(mentions(refused(prose + "x", TokenBinFormat::nanogpt), "is not below"));
  CHECK(mentions(refused(two + bytes_of_all(std::vector<std::uint16_t>{10})),
                 "the id 10 is not below the vocabulary's 10 (byte 4)"));
  CHECK(mentions(refused(llmc_header(20240520, 2, 2) + two), "have version 1, this has 2"));
  CHECK(mentions(refused(llmc_header(20240520, 1, 3) + two),
                 "promises 3 ids, 1030 bytes altogether; the file has 1028"));
  CHECK(mentions(refused(llmc_header(20240520, 1, -1) + two), "promises 4294967295 ids"));
  CHECK(mentions(refused(llmc_header(7, 1, 2) + two, TokenBinFormat::llmc),
                 "no token file of llm.c"));
  CHECK(mentions(refused("ab", TokenBinFormat::llmc), "2 are left"));
  write_plainly(folder / "a.bin", llmc_header(20240520, 1, 0));
  CHECK(mentions(error_of([&] {
                   import_token_bins(folder / "made", {(folder / "a.bin").string()},
                                     {.tokenizer = nobodys(10, 9)}, {});
                 }),
                 "no token in what is imported"));
  CHECK(mentions(error_of([] { (void)token_bin_format_named("npy"); }), "one of nanogpt, llmc"));
}

}  // namespace farsight
