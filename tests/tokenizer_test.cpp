#include "data/text/tokenizer.h"

#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/json.h"
#include "core/sha256.h"
#include "tests/language_data.h"
#include "tests/skip.h"
#include "tests/small_tokenizer.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

using Ids = std::vector<std::int32_t>;

std::string as_u16(const Ids& ids) {
  std::string bytes;
  for (const std::int32_t id : ids) {
    bytes += static_cast<char>(id & 0xFF);
    bytes += static_cast<char>(id >> 8);
  }
  return bytes;
}

}  // namespace

TEST_CASE("tokenizer: the ids of the golden file are those of Hugging Face tokenizers") {
  const auto data = data_with("tokenizer/golden.jsonl");
  if (data.empty()) return skip(kNoLanguageData);
  const Tokenizer& tokenizer = neox_tokenizer(data);
  std::istringstream lines(read_plainly(data / "tokenizer/golden.jsonl"));
  int count = 0;
  for (std::string line; std::getline(lines, line); count++) {
    const Json entry = Json::parse(line, "golden.jsonl");
    Ids ids;
    for (const Json& id : entry.at("ids").elements()) {
      ids.push_back(static_cast<std::int32_t>(id.as_int()));
    }
    CHECK_MESSAGE(tokenizer.encode(entry.at("text").as_string()) == ids, line);
  }
  CHECK(count == 22);
}

TEST_CASE("tokenizer: WikiText as one string has the ids of Hugging Face tokenizers") {
  const auto data = data_with("wikitext2/wiki.test.raw");
  if (data.empty()) return skip(kNoLanguageData);
  const Tokenizer& tokenizer = neox_tokenizer(data);
  const std::string text = read_plainly(data / "wikitext2/wiki.test.raw");
  const Ids ids = tokenizer.encode(text);
  CHECK(ids.size() == 287'159);
  CHECK(sha256(as_u16(ids)) == "abaec7c8eaf1f0006ef0c54e94d8d9821f2630b67d76527a5893c60ebc1c7961");
  CHECK(tokenizer.encode(text) == ids);  // now every word is in the cache
  CHECK(tokenizer.decode(ids) == text);
  CHECK(tokenizer.size() == 50'277);
  CHECK(tokenizer.id_of("<|endoftext|>") == 0);
  CHECK(tokenizer.id_of("  ") == 50'276);
  CHECK(tokenizer.id_of("no such token") == std::nullopt);
  CHECK(tokenizer.is_special(0));
  CHECK_FALSE(tokenizer.is_special(50'276));
}

TEST_CASE("tokenizer: special tokens are cut out of the raw text, runs of spaces of the rest") {
  const Tokenizer tokenizer = small_tokenizer();
  const auto two = tokenizer.id_of("  "), three = tokenizer.id_of("   ");
  const auto byte = [](char c) { return 1 + std::int32_t{static_cast<unsigned char>(c)}; };
  REQUIRE((two && three));
  CHECK(tokenizer.encode("").empty());
  CHECK(tokenizer.encode("<|endoftext|>") == Ids{0});
  CHECK(tokenizer.encode("<|endoftext|><|endoftext|>x") == Ids{0, 0, byte('x')});
  CHECK(tokenizer.encode("a   b") == Ids{byte('a'), *three, byte('b')});
  CHECK(tokenizer.encode("a     b") == Ids{byte('a'), *three, *two, byte('b')});
  CHECK(tokenizer.encode("a       b") == Ids{byte('a'), *three, *three, byte(' '), byte('b')});
  CHECK(tokenizer.encode(" <|endoftext|>  ") == Ids{byte(' '), 0, *two});
  CHECK(tokenizer.encode("<|endoftext|").size() == 12);  // a byte each: not the token
  // Each piece is normalised by itself: a mark behind the token does not reach the letter before.
  CHECK(tokenizer.decode(tokenizer.encode("e\u0301")) == "\u00e9");
  CHECK(tokenizer.decode(tokenizer.encode("e<|endoftext|>\u0301")) == "e<|endoftext|>\u0301");
}

TEST_CASE("tokenizer: a mebibyte of one kind is encoded in time, and comes back") {
  const auto data = data_with("tokenizer/20B_tokenizer.json");
  const Tokenizer tokenizer = data.empty() ? small_tokenizer() : neox_tokenizer(data);
  constexpr std::size_t kBytes = std::size_t{1} << 20;
  for (const std::string_view unit :
       {" ", "a", "\n", "'", "\u0301", "\u0327\u0301", "\u4e00", " a", "  \t", "\u1100\u1161", "0",
        "<|endoftext|", "\U0001f44d\U0001f3fd", "the", "\u3000"}) {
    std::string text;
    while (text.size() < kBytes) {
      text += unit;
    }
    const std::string back = tokenizer.decode(tokenizer.encode(text));
    // In NFC but for the marks in a wrong order and the jamo, which become syllables.
    if (unit == "\u1100\u1161") {
      CHECK(back.size() == text.size() / 2);
      CHECK(back.starts_with("\uac00\uac00"));
    } else if (unit == "\u0327\u0301") {
      CHECK(back.size() == text.size());
      CHECK(back.starts_with("\u0327\u0327"));
      CHECK(back.ends_with("\u0301\u0301"));
    } else {
      CHECK((back == text));
    }
  }
}

TEST_CASE("tokenizer: text that is not UTF-8 is refused by its byte") {
  const Tokenizer tokenizer = small_tokenizer();
  const auto refusal = [&](std::string_view text) {
    ExitCode code = ExitCode::ok;
    const std::string message = error_of([&] { (void)tokenizer.encode(text); }, &code);
    if (!message.empty()) CHECK(code == ExitCode::data);
    return message;
  };
  CHECK(refusal("fine \U0010ffff") == "");
  CHECK(mentions(refusal("ab\xff"), "byte 3 is 0xff"));
  CHECK(mentions(refusal("twelve bytes\xe2\x82"), "byte 13 is 0xe2"));
  CHECK(mentions(refusal("<|endoftext|>\xc0\x80"), "byte 14 is 0xc0"));
  CHECK(mentions(refusal(std::string(1000, 'x') + "\xed\xa0\x80"), "byte 1001 is 0xed"));
}

TEST_CASE("tokenizer: ids that do not exist have no text") {
  const Tokenizer tokenizer = small_tokenizer();
  for (const std::int32_t id : {-1, 300, 1 << 20}) {
    ExitCode code = ExitCode::ok;
    const Ids ids = {1, id};
    CHECK(mentions(error_of([&] { (void)tokenizer.decode(ids); }, &code), "from 0 to 299"));
    CHECK(code == ExitCode::data);
  }
}

TEST_CASE("tokenizer: the stream shows whole characters, and all of them in the end") {
  const Tokenizer tokenizer = small_tokenizer();
  const auto shown = [&](std::string_view bytes) {
    TokenStream stream(tokenizer);
    std::vector<std::string> pieces;
    for (const char c : bytes) {
      pieces.push_back(stream.push(1 + std::int32_t{static_cast<unsigned char>(c)}));
    }
    pieces.push_back(stream.finish());
    return pieces;
  };
  using Pieces = std::vector<std::string>;
  CHECK(shown("ab") == Pieces{"a", "b", ""});
  CHECK(shown("\u00e9") == Pieces{"", "\u00e9", ""});
  CHECK(shown("x\U0001f44d") == Pieces{"x", "", "", "", "\U0001f44d", ""});
  CHECK(shown("\xe2\x82") == Pieces{"", "", "\ufffd"});
  CHECK(shown("\xe2\x82x") == Pieces{"", "", "\ufffdx", ""});
  CHECK(shown("\xffx") == Pieces{"\ufffd", "x", ""});
  CHECK(shown("\xe0\x80") == Pieces{"", "\ufffd\ufffd", ""});
  CHECK(shown("\xf4\x90") == Pieces{"", "\ufffd\ufffd", ""});
  CHECK(shown("\xed\xa0\x80") == Pieces{"", "\ufffd\ufffd", "\ufffd", ""});
  TokenStream stream(tokenizer);
  CHECK(stream.push(0) == "<|endoftext|>");
}

}  // namespace farsight
