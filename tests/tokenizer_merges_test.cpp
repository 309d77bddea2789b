// Merges against their definition, and that neither caches nor threads change an id.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/parallel.h"
#include "data/text/byte_pairs.h"
#include "data/text/tokenizer.h"
#include "data/text/tokenizer_file.h"
#include "tests/small_tokenizer.h"

namespace farsight {
namespace {

using Ids = std::vector<std::int32_t>;

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
