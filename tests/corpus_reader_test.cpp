// Files of a corpus as documents: what is read, and how everything else is refused.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "core/files.h"
#include "core/hash.h"
#include "data/corpus/corpus_files.h"
#include "data/corpus/record_reader.h"
#include "data/corpus/record_text.h"
#include "data/corpus/text_stream.h"
#include "tests/packed_bytes.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;
using Texts = std::vector<std::string>;

CorpusInput input_of(const fs::path& path) {
  return {.name = path.string(),
          .kind = {},
          .bytes = fs::file_size(path),
          .xxh3 = hex(xxh3_of_file(path))};
}

/// The documents of some files; of one that was cut the pieces are put together.
Texts documents(const std::vector<std::string>& patterns, const CorpusReading& reading = {},
                std::int64_t* replaced = nullptr) {
  const std::vector<CorpusFile> files = corpus_files(patterns);
  std::vector<CorpusInput> inputs;
  for (const CorpusFile& file : files) {
    inputs.push_back(input_of(file.path));
  }
  CorpusReader reader(files, inputs, reading, {}, Cutting::allowed);
  RecordBatch batch;
  Texts texts;
  bool goes_on = false;
  while (reader.next(batch)) {
    for (const Record& record : batch.records) {
      std::string space;
      const RecordText text = text_of(batch, record, files[batch.file], reading, space);
      if (!goes_on) texts.emplace_back();
      texts.back() += text.text;
      goes_on = !record.ends_document;
      if (replaced != nullptr) *replaced += text.replaced;
    }
  }
  CHECK_FALSE(goes_on);
  return texts;
}

/// A file of this name and contents, read.
class OneFile {
 public:
  OneFile(const std::string& name, std::string_view contents) : path_((folder_ / name).string()) {
    write_plainly(path_, contents);
  }
  Texts read(const CorpusReading& reading = {}) const { return documents({path_}, reading); }
  std::string refusal(ExitCode expected, const CorpusReading& reading = {}) const {
    ExitCode code = ExitCode::ok;
    const std::string message = error_of([&] { read(reading); }, &code);
    CHECK(code == expected);
    CHECK(mentions(message, path_));
    return message;
  }

 private:
  TemporaryFolder folder_;
  std::string path_;
};

CorpusReading text_with(TextDocuments documents) {
  return {.documents = documents};
}

constexpr CorpusReading kReplacing{.invalid_utf8 = InvalidUtf8::replace};

}  // namespace

TEST_CASE("corpus reader: JSON lines give their field, whatever else they have") {
  const OneFile file(
      "a.jsonl",
      "\xef\xbb\xbf{\"id\": 1, \"text\": \"first\", \"meta\": {\"text\": [1, null]}}\n"
      "\n  \t\r\n"
      " { \"text\" : \"\\u00e9\\ud83d\\ude00 \\\"\\\\\\/\\n\\t\" } \r\n"
      "{\"text\":\"\"}\n"
      "{\"n\":-1.5e+3,\"b\":true,\"text\":\"no line feed behind it\"}");
  CHECK(file.read() ==
        Texts{"first", "\xc3\xa9\xf0\x9f\x98\x80 \"\\/\n\t", "", "no line feed behind it"});
  const OneFile other("a.ndjson", R"({"body":"yes","text":"no"})");
  CHECK(other.read({.field = "body"}) == Texts{"yes"});
}

TEST_CASE("corpus reader: packed files are read as plain ones, in one frame or several") {
  const std::string lines = "{\"text\":\"one\"}\n{\"text\":\"two\"}\n";
  const std::string more = "{\"text\":\"three\"}\n";
  const Texts expected = {"one", "two", "three"};
  CHECK(OneFile("a.jsonl", lines + more).read() == expected);
  CHECK(OneFile("a.jsonl.zst", zstd_bytes(lines + more)).read() == expected);
  CHECK(OneFile("a.jsonl.gz", gzip_bytes(lines + more)).read() == expected);
  CHECK(OneFile("A.JSONL.ZST", zstd_bytes(lines) + zstd_bytes(more)).read() == expected);
  CHECK(OneFile("a.json.gz", gzip_bytes(lines) + gzip_bytes(more)).read() == expected);
  const std::string skippable("\x50\x2a\x4d\x18\x03\x00\x00\x00xyz", 11);
  CHECK(OneFile("a.jsonl.zst", skippable + zstd_bytes(lines + more)).read() == expected);
}

TEST_CASE("corpus reader: a text file is one document, or what stands between separators") {
  const std::string text = "one\ntwo \n\n\n three\r\n \t\nfour\n";
  CHECK(OneFile("a.txt", text).read() == Texts{text});
  CHECK(OneFile("a.txt", "\xef\xbb\xbfmarked").read() == Texts{"marked"});
  CHECK(OneFile("a.txt", text).read(text_with(TextDocuments::blank_line)) ==
        Texts{"one\ntwo ", " three", "four"});
  const CorpusReading separated = text_with(TextDocuments::end_of_text);
  CHECK(OneFile("a.raw", "a\n<|endoftext|>\nb\n\n<|endoftext|><|endoftext|>\r\nc\r\n<|endoftext|>")
            .read(separated) == Texts{"a", "b\n", "c"});
  CHECK(OneFile("a.text", "<|endoftext|>all of it").read(separated) == Texts{"all of it"});
  CHECK(OneFile("a.text", text).read(separated) == Texts{text});
}

TEST_CASE("corpus reader: documents of any size come through whole, wherever buffers end") {
  for (const std::size_t size :
       {1u, 511u, 512u, 131'071u, 131'072u, 131'073u, 262'143u, 262'144u, 262'145u, 1'000'000u}) {
    CAPTURE(size);
    std::string text;
    while (text.size() < size) {
      text += fmt::format("word{} \n  ", text.size() * 7919 % 1000);
    }
    text.resize(size);
    CHECK(OneFile("a.txt", text).read() == Texts{text});
    CHECK(OneFile("a.txt.zst", zstd_bytes(text)).read() == Texts{text});
    CHECK(OneFile("a.txt.gz", gzip_bytes(text)).read() == Texts{text});
    const std::string between = text + "<|endoftext|>" + text + "<|endoftext|>";
    if (text.back() != '\n' && text.front() != '\n') {
      CHECK(OneFile("a.txt", between).read(text_with(TextDocuments::end_of_text)) ==
            Texts{text, text});
    }
    const std::string line(size, 'x');
    CHECK(OneFile("a.jsonl", "{\"text\":\"" + line + "\"}\n{\"text\":\"" + line + "\"}").read() ==
          Texts{line, line});
  }
}

TEST_CASE("corpus reader: a text is cut in front of white space and behind something else alone") {
  CHECK(place_to_cut("ab cd", 0) == 2);
  CHECK(place_to_cut("ab cd", 2) == 2);
  CHECK(place_to_cut("ab cd", 3) == std::string_view::npos);
  CHECK(place_to_cut("  \n  x", 0) == std::string_view::npos);
  CHECK(place_to_cut("a  b\n", 2) == 4);
  for (const std::string space : {"\xc2\x85", "\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80\x80",
                                  "\xe2\x80\x8a", "\xe2\x80\xa8", "\xe3\x80\x80", "\x1f", "\x0b"}) {
    CAPTURE(space);
    CHECK(place_to_cut("a" + space + "\nb", 1) == std::string_view::npos);
  }
  for (const std::string ink : {"\xc3\xa9", "\xe2\x80\x94", "\xe2\x80\x9d", "\xe3\x80\x82"}) {
    CHECK(place_to_cut("a" + ink + "\nb", 1) == 1 + ink.size());
  }
}

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
  CHECK(documents({(folder / "a.jsonl").string()}, kReplacing, &replaced) ==
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

TEST_CASE("corpus reader: patterns name files in order, each once") {
  const TemporaryFolder folder;
  for (const char* name : {"b.txt", "a10.txt", "a9.txt", "odd[1].txt", "c.jsonl"}) {
    write_plainly(folder / name, "{\"text\":\"" + std::string(name) + "\"}");
  }
  const std::string base = folder.path().string() + "/";
  const auto names = [&](const std::vector<std::string>& patterns) {
    std::string all;
    for (const fs::path& path : paths_of(patterns)) {
      all += path.filename().string() + " ";
    }
    return all;
  };
  CHECK(names({base + "a*.txt", base + "b.txt"}) == "a10.txt a9.txt b.txt ");
  CHECK(names({base + "b.txt", base + "a?.txt"}) == "b.txt a9.txt ");
  CHECK(names({base + "odd[1].txt"}) == "odd[1].txt ");
  CHECK(names({base + "[bc].*"}) == "b.txt c.jsonl ");
  ExitCode code = ExitCode::ok;
  CHECK(mentions(error_of([&] { names({base + "*.zst"}); }, &code), "no file matches"));
  CHECK(code == ExitCode::data);
  CHECK(
      mentions(error_of([&] { names({base + "none.txt"}); }, &code), "No such file or directory"));
  CHECK(code == ExitCode::storage);
  CHECK(mentions(error_of([&] { names({base + "b.txt", base + "*.txt"}); }, &code), "named twice"));
  CHECK(mentions(error_of([&] { names({folder.path().string()}); }, &code),
                 "is a folder; name its files"));
  CHECK(mentions(error_of([&] { names({}); }, &code), "no file is named"));
  CHECK(patterns_in("a.txt, b*.txt ,,c d.txt") == Texts{"a.txt", "b*.txt", "c d.txt"});
  CHECK(patterns_in(" , ").empty());
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

TEST_CASE("corpus reader: it goes on at any record as if it had read the ones before") {
  const TemporaryFolder folder;
  std::string text, lines;
  for (int i = 0; i < 9000; i++) {
    text += fmt::format("some words and the number {} \n", i);
    lines += fmt::format("{{\"text\":\"{}\"}}\n", i);
  }
  write_plainly(folder / "a.txt", text);
  write_plainly(folder / "b.jsonl", lines);
  const auto files = corpus_files({(folder / "a.txt").string(), (folder / "b.jsonl").string()});
  const std::vector<CorpusInput> inputs = {input_of(files[0].path), input_of(files[1].path)};
  struct Piece {
    std::uint64_t file;
    std::int64_t record, line;
    std::string bytes;
    bool operator==(const Piece&) const = default;
  };
  const auto pieces = [&](CorpusPlace from) {
    CorpusReader reader(files, inputs, {}, from, Cutting::allowed);
    RecordBatch batch;
    std::vector<Piece> all;
    while (reader.next(batch)) {
      for (std::size_t i = 0; i < batch.records.size(); i++) {
        const Record& record = batch.records[i];
        all.push_back({batch.file, batch.first_record + static_cast<std::int64_t>(i), record.line,
                       batch.bytes.substr(record.begin, record.bytes)});
      }
    }
    return all;
  };
  const std::vector<Piece> all = pieces({});
  REQUIRE(all.size() == 9003);  // the text is cut into three
  for (const std::size_t from : {0u, 1u, 2u, 3u, 4u, 4099u, 9002u}) {
    CAPTURE(from);
    const std::vector<Piece> rest = pieces({all[from].file, all[from].record});
    CHECK(rest == std::vector<Piece>(all.begin() + static_cast<std::ptrdiff_t>(from), all.end()));
  }
  CHECK(pieces({1, 9000}).empty());
  CHECK(pieces({2, 0}).empty());
}

}  // namespace farsight
