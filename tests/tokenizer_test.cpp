#include "data/text/tokenizer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/json.h"
#include "core/parallel.h"
#include "core/sha256.h"
#include "data/text/byte_pairs.h"
#include "data/text/tokenizer_file.h"
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

/// A tokenizer of random merges over a few letters, so that merges meet and overlap.
TokenizerFile random_merges(std::uint32_t seed) {
  TokenizerFile file;
  for (int b = 0; b < 256; b++) {
    file.tokens.emplace_back(1, static_cast<char>(b));
    file.bytes[static_cast<std::size_t>(b)] = b;
  }
  std::mt19937 random(seed);
  std::map<std::string, std::int32_t> ids;
  std::vector<std::int32_t> letters;
  for (const char c : {'a', 'b', 'c'}) {
    letters.push_back(c);
  }
  std::map<std::pair<std::int32_t, std::int32_t>, bool> used;
  while (file.merges.size() < 40) {
    const std::int32_t left = letters[random() % letters.size()];
    const std::int32_t right = letters[random() % letters.size()];
    const std::string joined =
        file.tokens[static_cast<std::size_t>(left)] + file.tokens[static_cast<std::size_t>(right)];
    if (joined.size() > 6 || std::exchange(used[{left, right}], true)) continue;
    const auto [at, is_new] = ids.emplace(joined, static_cast<std::int32_t>(file.tokens.size()));
    if (is_new) {
      file.tokens.push_back(joined);
      letters.push_back(at->second);
    }
    file.merges.push_back({left, right, at->second});
  }
  // A list whose later merges make pairs of earlier ones is the harder case.
  std::shuffle(file.merges.begin(), file.merges.end(), random);
  return file;
}

/// The definition: look at all pairs, join the leftmost of those that come first, begin again.
Ids merged_naively(const TokenizerFile& file, const std::string& word, bool leftmost = true) {
  Ids ids;
  for (const char c : word) {
    ids.push_back(file.bytes[static_cast<unsigned char>(c)]);
  }
  for (std::size_t m = 0; m < file.merges.size();) {
    const TokenizerFile::Merge& merge = file.merges[m++];
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i + 1 < ids.size(); i++) {
      if (ids[i] == merge.left && ids[i + 1] == merge.right) places.push_back(i);
    }
    if (places.empty()) continue;
    const auto at = static_cast<std::ptrdiff_t>(leftmost ? places.front() : places.back());
    ids[static_cast<std::size_t>(at)] = merge.result;
    ids.erase(ids.begin() + at + 1);
    m = 0;
  }
  return ids;
}

std::string random_word(std::mt19937& random, std::size_t longest) {
  std::string word(1 + random() % longest, 'a');
  for (char& c : word) {
    c = static_cast<char>('a' + random() % 3);
  }
  return word;
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

TEST_CASE("tokenizer: merges in words of every length are those of the definition") {
  std::mt19937 random(5);
  int other = 0;
  for (std::uint32_t seed = 0; seed < 30; seed++) {
    const TokenizerFile file = random_merges(seed);
    const BytePairs pairs(file);
    for (int i = 0; i < 40; i++) {
      const std::string word = random_word(random, i % 2 == 0 ? 40 : 200);
      Ids ids = {-7};  // appended to
      pairs.encode(word, ids);
      REQUIRE(ids.front() == -7);
      ids.erase(ids.begin());
      REQUIRE_MESSAGE(ids == merged_naively(file, word), seed, " ", word);
      if (ids != merged_naively(file, word, false)) other++;
    }
  }
  CHECK(other > 100);  // the test sees the order of merges
}

TEST_CASE("tokenizer: a text has the same ids whatever was encoded before it") {
  // Short words are cached, and more of them are here than the cache holds.
  const TokenizerFile file = random_merges(3);
  const Tokenizer tokenizer{file};
  std::mt19937 random(6);
  std::vector<std::string> words;
  for (int i = 0; i < 300'000; i++) {
    words.push_back(random_word(random, 17));
  }
  for (int round = 0; round < 2; round++) {
    std::string text;
    Ids expected;
    const BytePairs pairs(file);
    for (const std::string& word : words) {
      text += word + ' ';
      pairs.encode(text.size() == word.size() + 1 ? word : ' ' + word, expected);
    }
    expected.push_back(' ');
    REQUIRE(tokenizer.encode(text) == expected);
  }
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
  CHECK(mentions(refusal("ab\xff"), "byte 2 is 0xff"));
  CHECK(mentions(refusal("twelve bytes\xe2\x82"), "byte 12 is 0xe2"));
  CHECK(mentions(refusal("<|endoftext|>\xc0\x80"), "byte 13 is 0xc0"));
  CHECK(mentions(refusal(std::string(1000, 'x') + "\xed\xa0\x80"), "byte 1000 is 0xed"));
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

TEST_CASE("tokenizer: documents on many threads have the ids that they have alone") {
  const Tokenizer tokenizer = small_tokenizer();
  std::mt19937 random(7);
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < 500; i++) {
    std::string text;
    for (std::size_t words = random() % (i % 50 == 0 ? 20'000 : 20); words > 0; words--) {
      text += random_word(random, 9) + (random() % 3 == 0 ? "  " : " ");
    }
    texts.push_back(std::move(text));
  }
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const int before = threads();
  for (const int count : {1, 4}) {
    set_threads(count);
    const std::vector<Ids> ids = tokenizer.encode_documents(views);
    REQUIRE(ids.size() == texts.size());
    for (std::size_t i = 0; i < texts.size(); i++) {
      REQUIRE(ids[i] == tokenizer.encode(texts[i]));
    }
    CHECK(tokenizer.encode_documents({}).empty());
  }
  set_threads(before);
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

TEST_CASE("tokenizer: the fingerprint tells what decides ids") {
  const TokenizerFile file = random_merges(1);
  const std::string fingerprint = Tokenizer(file).fingerprint();
  CHECK(fingerprint.size() == 16);
  CHECK(Tokenizer(file).fingerprint() == fingerprint);
  TokenizerFile other = file;
  other.nfc = true;
  CHECK(Tokenizer(other).fingerprint() != fingerprint);
  other = file;
  std::swap(other.merges[3], other.merges[4]);
  CHECK(Tokenizer(other).fingerprint() != fingerprint);
  other = file;
  other.added.push_back({.content = other.tokens[7], .id = 7});
  CHECK(Tokenizer(other).fingerprint() != fingerprint);
}

}  // namespace farsight
