// Files that are no corpus, or not wholly: how they are refused.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "data/corpus/corpus_files.h"
#include "data/corpus/record_reader.h"
#include "tests/corpus_documents.h"
#include "tests/packed_bytes.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;
using Texts = std::vector<std::string>;

constexpr CorpusReading kReplacing{.invalid_utf8 = InvalidUtf8::replace};

}  // namespace

TEST_CASE("corpus reader: invalid UTF-8 is named with file, line and byte, or replaced by choice") {
  const OneFile lines("a.jsonl.zst", zstd_bytes("{\"text\":\"good\"}\n\n{\"text\":\"b\xff\xfe"
                                                "d\"}\n"));
  CHECK(mentions(lines.refusal(ExitCode::corrupt),
                 "a.jsonl.zst, line 3, byte 11: 0xFF is not UTF-8"));
  CHECK(lines.read(kReplacing) == Texts{"good",
                                        "b\xef\xbf\xbd\xef\xbf\xbd"
                                        "d"});
  const OneFile text("a.txt", "one\ntwo\nth\xe2\x82ree");
  CHECK(mentions(text.refusal(ExitCode::corrupt), "line 3, byte 3: 0xE2 is not UTF-8"));
  CHECK(mentions(text.refusal(ExitCode::corrupt), "--invalid-utf8 replace"));
  CHECK(text.read(kReplacing) == Texts{"one\ntwo\nth\xef\xbf\xbdree"});
  // Far behind the first place where the text is cut.
  std::string large;
  for (int i = 0; i < 50'000; i++) {
    large += "a line \n";
  }
  CHECK(mentions(OneFile("b.txt", large + "xy\xc0z").refusal(ExitCode::corrupt),
                 "line 50001, byte 3: 0xC0"));
  const OneFile paragraphs("c.txt", "one\n\ntwo\n\xff");
  CHECK(mentions(paragraphs.refusal(ExitCode::corrupt, text_with(TextDocuments::blank_line)),
                 "line 4, byte 1: 0xFF"));
  std::int64_t replaced = 0;
  const TemporaryFolder folder;
  write_plainly(folder / "a.jsonl",
                "{\"text\":\"\xef\xbf\xbd was there \xff\\ud800\\udc00\\ud800\"}");
  CHECK(documents_in({(folder / "a.jsonl").string()}, kReplacing, &replaced) ==
        Texts{"\xef\xbf\xbd was there \xef\xbf\xbd\xf0\x90\x80\x80\xef\xbf\xbd"});
  CHECK(replaced == 2);
}

TEST_CASE("corpus reader: a line that is no object with the field is refused with its place") {
  const auto refused = [](const std::string& line) {
    return OneFile("a.jsonl", "{\"text\":\"\"}\n" + line + "\n").refusal(ExitCode::corrupt);
  };
  CHECK(mentions(refused("{\"title\":\"x\",\"body\":1}"),
                 "line 2, byte 1: the object has no field \"text\"; it has \"body\", \"title\""));
  CHECK(mentions(refused("{}"), "it has none at all"));
  CHECK(mentions(refused("{\"text\":3}"), "line 2, byte 9: the field \"text\" is no string"));
  CHECK(mentions(refused("{\"text\":null}"), "is no string"));
  CHECK(mentions(refused("[\"text\"]"), "line 2, byte 1: expected a JSON object"));
  CHECK(mentions(refused("plain text"), "expected a JSON object"));
  CHECK(mentions(refused("{\"text\":\"a\",\"text\":\"b\"}"),
                 "byte 13: the key \"text\" appears twice"));
  CHECK(mentions(refused("{\"a\":1,\"\\u0061\":2,\"text\":\"\"}"), "the key \"a\" appears twice"));
  CHECK(mentions(refused("{\"text\":\"a\"} {}"), "something follows"));
  CHECK(mentions(refused("{\"text\":\"a"), "the line ends early: a string has no closing"));
  CHECK(mentions(refused("{\"text\":\"a\""), "the line ends early: expected '}'"));
  CHECK(mentions(refused("{\"text\":\"a\tb\"}"), "a control character (0x09)"));
  CHECK(mentions(refused("{\"text\":\"\\x\"}"), "an escape that JSON has not"));
  CHECK(mentions(refused("{\"text\":\"\\u12g4\"}"), "four hexadecimal digits"));
  CHECK(mentions(refused("{\"text\":\"\\udc00\"}"), "\\udc00 is half a character"));
  CHECK(mentions(refused("{\"text\":\"\\ud800\\u0041\"}"), "\\ud800 is half a character"));
  for (const std::string number :
       {"01", "-", "1.", ".5", "1e", "+1", "0x1", "NaN", "tru", "1.e3"}) {
    CAPTURE(number);
    refused("{\"text\":\"\",\"n\":" + number + "}");
  }
  CHECK(mentions(refused("{\"text\":\"\",\"n\":" + std::string(100, '[') + "}"), "nested deeper"));
  refused(std::string("{\"text\":\"\",\"n\":1\0}", 18));
  refused("{\"text\":\"a\",}");
  refused("{text:\"a\"}");
}

TEST_CASE("corpus reader: what is empty, cut off, damaged or something else is told apart") {
  CHECK(mentions(OneFile("a.txt", "").refusal(ExitCode::corrupt), "the file is empty"));
  CHECK(mentions(OneFile("a.jsonl.zst", "").refusal(ExitCode::corrupt), "the file is empty"));
  CHECK(mentions(OneFile("a.jsonl", "\n \n").refusal(ExitCode::corrupt), "no document in it"));
  CHECK(mentions(OneFile("a.txt.zst", zstd_bytes("")).refusal(ExitCode::corrupt), "no document"));
  const std::string page = "<!DOCTYPE html><html><body>404</body></html>";
  const std::string is_page = "this is a web page (HTML)";
  for (const char* name : {"a.txt", "a.jsonl", "a.jsonl.zst", "a.jsonl.gz"}) {
    CHECK(mentions(OneFile(name, page).refusal(ExitCode::corrupt), is_page));
  }
  CHECK(mentions(OneFile("a.jsonl.gz", gzip_bytes("\n\n<HTML>")).refusal(ExitCode::corrupt),
                 is_page));
  CHECK(mentions(OneFile("a.txt", zstd_bytes("x")).refusal(ExitCode::corrupt),
                 "this is a zstd file"));
  CHECK(mentions(OneFile("a.jsonl", gzip_bytes("x")).refusal(ExitCode::corrupt),
                 "this is a gzip file"));
  CHECK(mentions(OneFile("a.jsonl.zst", gzip_bytes("x")).refusal(ExitCode::corrupt),
                 "expected a zstd file, this is a gzip file"));
  CHECK(mentions(OneFile("a.jsonl", "PAR1\x15").refusal(ExitCode::corrupt),
                 "this is a Parquet file"));
  CHECK(mentions(
      OneFile("a.jsonl", "version https://git-lfs.github.com/spec/v1\n").refusal(ExitCode::corrupt),
      "this is a Git LFS pointer"));
  CHECK(
      mentions(OneFile("a.jsonl.gz", "noise").refusal(ExitCode::corrupt), "expected a gzip file"));
  // A frame that asks for a window of 256 MiB.
  const std::string wide("\x28\xb5\x2f\xfd\x00\x90\x09\x00\x00x", 10);
  CHECK(mentions(OneFile("a.txt.zst", wide).refusal(ExitCode::corrupt), "more than 128 MiB"));
}

TEST_CASE("corpus reader: a packed file that ends anywhere too early is refused") {
  std::string text;
  for (int i = 0; i < 200; i++) {
    text += fmt::format("{{\"text\":\"line {} of some text {}\"}}\n", i, i * i * 7919 % 1013);
  }
  for (const bool zstd : {true, false}) {
    CAPTURE(zstd);
    const std::string packed = zstd ? zstd_bytes(text) : gzip_bytes(text);
    const std::string name = zstd ? "a.jsonl.zst" : "a.jsonl.gz";
    CHECK(OneFile(name, packed).read().size() == 200);
    for (std::size_t size = 4; size < packed.size(); size += 97) {
      CAPTURE(size);
      const std::string message = OneFile(name, packed.substr(0, size)).refusal(ExitCode::corrupt);
      CHECK(mentions(message, "was cut off"));
    }
    CHECK(mentions(OneFile(name, packed + "noise").refusal(ExitCode::corrupt), "is damaged"));
    const std::string noise = std::string(700, '\0') + "noise";
    CHECK(mentions(OneFile(name, packed + noise).refusal(ExitCode::corrupt), "is damaged"));
    std::string flipped = packed;
    flipped[packed.size() / 2] = static_cast<char>(flipped[packed.size() / 2] ^ 0x10);
    OneFile(name, flipped).refusal(ExitCode::corrupt);
  }
}

TEST_CASE("corpus reader: lines and documents have a longest length, which is not held in memory") {
  const CorpusReading short_lines{.longest_line = 64};
  const std::string line = "{\"text\":\"" + std::string(50, 'x') + "\"}";
  REQUIRE(line.size() == 61);
  CHECK(OneFile("a.jsonl", line + "\n" + line).read(short_lines).size() == 2);
  const std::string longer = "{\"text\":\"" + std::string(600'000, 'x') + "\"}";
  CHECK(mentions(OneFile("a.jsonl", line + "\n" + longer).refusal(ExitCode::corrupt, short_lines),
                 "line 2: the line is longer than 64 bytes; --longest-line takes longer ones"));
  CHECK(mentions(OneFile("a.txt", std::string(300'000, 'x'))
                     .refusal(ExitCode::corrupt, {.longest_line = 200'000}),
                 "without a place to cut it"));
  for (const TextDocuments documents : {TextDocuments::end_of_text, TextDocuments::blank_line}) {
    CorpusReading reading = text_with(documents);
    reading.longest_line = 10;
    CHECK(OneFile("a.txt", "0123456789\n\n<|endoftext|>").refusal(ExitCode::corrupt, reading) !=
          "");
    reading.longest_line = 13;
    CHECK_FALSE(OneFile("a.txt", "0123456789\n\n<|endoftext|>").read(reading).empty());
  }
}

TEST_CASE("corpus reader: names say how a file is read, and others are refused with advice") {
  const auto refused = [](const std::string& name) {
    ExitCode code = ExitCode::ok;
    const std::string message = error_of([&] { (void)corpus_file(name); }, &code);
    CHECK(code == ExitCode::data);
    return message;
  };
  CHECK(mentions(refused("a.parquet"), "convert it to JSON lines elsewhere"));
  CHECK(mentions(refused("a.jsonl.xz"), "pack it again with zstd or gzip"));
  CHECK(mentions(refused("a.tar"), "unpack it first"));
  CHECK(mentions(refused("train.bin"), "farsight corpus import"));
  CHECK(mentions(refused("README"), "its name does not say what it holds; known are .txt"));
  CHECK(mentions(refused("a.csv.gz"), ".csv files are not read"));
}

TEST_CASE("corpus reader: a file that changes while it is read is noticed") {
  const TemporaryFolder folder;
  const fs::path path = folder / "a.txt";
  write_plainly(path, "before");
  const CorpusInput input = input_of(path);
  write_plainly(path, "beforf");
  CorpusReader reader({corpus_file(path)}, {input}, {}, {}, Cutting::allowed);
  RecordBatch batch;
  ExitCode code = ExitCode::ok;
  CHECK(mentions(error_of([&] { reader.next(batch); }, &code), "was changed while it was read"));
  CHECK(code == ExitCode::corrupt);
}

}  // namespace farsight
