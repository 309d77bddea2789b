// Files of a corpus as documents: what is read.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "data/corpus/corpus_files.h"
#include "data/corpus/record_reader.h"
#include "data/corpus/text_stream.h"
#include "tests/corpus_documents.h"
#include "tests/packed_bytes.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;
using Texts = std::vector<std::string>;

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
  // Zeros fill a tape's last block.
  for (const std::size_t zeros : {1u, 512u, 600'000u}) {
    const std::string padding(zeros, '\0');
    CHECK(OneFile("a.jsonl.gz", gzip_bytes(lines) + gzip_bytes(more) + padding).read() == expected);
  }
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
