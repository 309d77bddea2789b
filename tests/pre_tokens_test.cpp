#include "data/text/pre_tokens.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/utf8.h"
#include "data/text/nfc.h"
#include "data/text/unicode.h"

namespace farsight {
namespace {

using Words = std::vector<std::string>;

Words words_of(std::string_view text) {
  const PreTokens pre_tokens;
  Words words;
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at != end;) {
    const char* const next = pre_tokens.end_of_match(at, end);
    REQUIRE(next > at);
    words.emplace_back(at, next);
    at = next;
  }
  return words;
}

std::string normalized(std::string_view text) {
  std::string room;
  return std::string(nfc(text, room));
}

}  // namespace

TEST_CASE("pre-tokens: words, numbers and signs are cut as GPT-2's expression cuts them") {
  CHECK(words_of("Hello world") == Words{"Hello", " world"});
  CHECK(words_of("a1b2  c") == Words{"a", "1", "b", "2", " ", " c"});
  CHECK(words_of("x!?'s") == Words{"x", "!?'", "s"});
  CHECK(words_of("it's we'll I'VE o'd") ==
        Words{"it", "'s", " we", "'ll", " I", "'", "VE", " o", "'d"});
  CHECK(words_of("'re'ven'ta") == Words{"'re", "'ve", "n", "'t", "a"});
  CHECK(words_of("they 're") == Words{"they", " '", "re"});
  CHECK(words_of("''s") == Words{"''", "s"});
  CHECK(words_of("'l") == Words{"'", "l"});
  CHECK(words_of("$3.14, ok") == Words{"$", "3", ".", "14", ",", " ok"});
  CHECK(words_of("a_b") == Words{"a", "_", "b"});
}

TEST_CASE("pre-tokens: white space leaves its last character to what follows") {
  CHECK(words_of(" ") == Words{" "});
  CHECK(words_of("   ") == Words{"   "});
  CHECK(words_of("   a") == Words{"  ", " a"});
  CHECK(words_of("\n\na") == Words{"\n", "\n", "a"});
  CHECK(words_of("\n a") == Words{"\n", " a"});
  CHECK(words_of("\ta") == Words{"\t", "a"});
  CHECK(words_of(" \t a\n") == Words{" \t", " a", "\n"});
  CHECK(words_of("a\u00a0b") == Words{"a", "\u00a0", "b"});
  CHECK(words_of("a\u3000\u3000b ") == Words{"a", "\u3000", "\u3000", "b", " "});
  CHECK(words_of("a\u0085 b") == Words{"a", "\u0085", " b"});
  CHECK(words_of("a\u200b b") == Words{"a", "\u200b", " b"});  // no white space since Unicode 4.0.1
}

TEST_CASE("pre-tokens: classes are Unicode's, in words that begin as ASCII too") {
  CHECK(words_of("na\u00efve caf\u00e9s") == Words{"na\u00efve", " caf\u00e9s"});
  CHECK(words_of("abcdefgh\u00e9ijklmnop\u00e9") == Words{"abcdefgh\u00e9ijklmnop\u00e9"});
  CHECK(words_of("e\u0301a") == Words{"e", "\u0301", "a"});  // a mark is no letter
  CHECK(words_of("x\u00b2\u0665") == Words{"x", "\u00b2\u0665"});
  CHECK(words_of(" \u65e5\u672c\u3002") == Words{" \u65e5\u672c", "\u3002"});
  CHECK(words_of("\U0001f642a") == Words{"\U0001f642", "a"});
  CHECK(words_of("\u1c89") == Words{"\u1c89"});
  const CharacterTable& table = CharacterTable::instance();
  CHECK(table.class_of(0x1C89) == CharacterClass::letter);  // of Unicode 16
  CHECK(table.class_of(0x088F) == CharacterClass::other);   // a letter since Unicode 17
  CHECK(table.class_of(0x2167) == CharacterClass::number);
  CHECK(table.class_of(0x10FFFF) == CharacterClass::other);
}

TEST_CASE("pre-tokens: any text is cut without loss, at any length of its words") {
  std::mt19937 random(2);
  constexpr std::string_view kParts[] = {"a",      "Z", " ",          "\n",
                                         "1",      "'", "'s",         "\u00e9",
                                         "\u3000", ".", "\U0001f642", "abcdefghijklmnopqrstuvwxyz",
                                         "\u0301"};
  for (int i = 0; i < 3000; i++) {
    std::string text;
    for (std::size_t parts = random() % 20; parts > 0; parts--) {
      text += kParts[random() % std::size(kParts)];
    }
    std::string joined;
    for (const std::string& word : words_of(text)) {
      joined += word;
      CHECK_FALSE(first_invalid_utf8(word));
    }
    CHECK(joined == text);
  }
}

TEST_CASE("nfc: composes, orders marks and keeps what was excluded") {
  CHECK(normalized("") == "");
  CHECK(normalized("plain \u00e9 \u4e00") == "plain \u00e9 \u4e00");
  CHECK(normalized("e\u0301") == "\u00e9");
  CHECK(normalized("a\u0328\u0301") == normalized("a\u0301\u0328"));
  CHECK(normalized("s\u0323\u0307") == "\u1e69");
  CHECK(normalized("s\u0307\u0323") == "\u1e69");
  CHECK(normalized("a\u0315\u0300\u05ae\u0300b") == "\u00e0\u05ae\u0300\u0315b");
  CHECK(normalized("\u212b\u2126\u212a") == "\u00c5\u03a9K");
  CHECK(normalized("\u0958") == "\u0915\u093c");  // excluded from composition
  CHECK(normalized("\u0344") == "\u0308\u0301");
  CHECK(normalized("\ufb01 \uff21") == "\ufb01 \uff21");  // compatibility is another form's affair
  CHECK(normalized("\U0002f800") == "\u4e3d");
  CHECK(normalized("\u0b47\u0300\u0b3e") == "\u0b47\u0300\u0b3e");  // blocked by the mark between
  CHECK(normalized("\u0301\u0301e\u0301") == "\u0301\u0301\u00e9");
  CHECK(normalized("\u304b\u3099") == "\u304c");
}

TEST_CASE("nfc: Hangul is composed by its formula") {
  CHECK(normalized("\u1100\u1161") == "\uac00");
  CHECK(normalized("\u1100\u1161\u11a8") == "\uac01");
  CHECK(normalized("\uac00\u11a8") == "\uac01");
  CHECK(normalized("\uac01\u11a8") == "\uac01\u11a8");
  CHECK(normalized("\u1112\u1175\u11c2") == "\ud7a3");
  CHECK(normalized("\u1100\u11a8") == "\u1100\u11a8");
  CHECK(normalized("\u1100\u1161\u11a7") == "\uac00\u11a7");
  CHECK(normalized("\u1100\u0301\u1161") == "\u1100\u0301\u1161");
}

TEST_CASE("nfc: every character's normal form is normal, wherever the text is cut") {
  const CharacterTable& table = CharacterTable::instance();
  int changed = 0;
  for (char32_t c = 1; c < 0x30000; c++) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(text, c);
    const std::string form = normalized(text);
    REQUIRE(normalized(form) == form);
    REQUIRE_FALSE(first_invalid_utf8(form));
    if (form != text) {
      changed++;
      REQUIRE(table.nfc_may_change(c));
    }
    REQUIRE(normalized("\u4e00" + text) == "\u4e00" + form);
  }
  CHECK(changed == 1120);  // singletons and exclusions of Unicode 9.0
  CHECK(combining_class(0x301) == 230);
  CHECK(combining_class(0x8D3) == 0);  // assigned in Unicode 11
}

TEST_CASE("utf8: the first invalid byte is found") {
  CHECK(first_invalid_utf8("") == std::nullopt);
  CHECK(first_invalid_utf8("a\u00e9\u4e00\U0010ffff") == std::nullopt);
  CHECK(first_invalid_utf8("\xc3") == 0);
  for (std::size_t at = 0; at < 200; at++) {  // wherever blocks end
    const std::string text = std::string(at, 'x') + '\x80' + std::string(at % 7, 'y');
    CHECK(first_invalid_utf8(text) == at);
    CHECK(first_invalid_utf8("\u00e9" + text) == at + 2);
    CHECK_FALSE(first_invalid_utf8(std::string(at, 'x') + "\u4e00" + std::string(at, 'y')));
  }
  CHECK(first_invalid_utf8("\xc1\xbf") == 0);          // overlong
  CHECK(first_invalid_utf8("\xe0\x9f\xbf") == 0);      // overlong
  CHECK(first_invalid_utf8("a\xed\xa0\x80") == 1);     // a surrogate
  CHECK(first_invalid_utf8("\xf4\x90\x80\x80") == 0);  // above U+10FFFF
  CHECK(first_invalid_utf8("\xf0\x8f\xbf\xbf") == 0);  // overlong
  CHECK(first_invalid_utf8("\xf5\x80\x80\x80") == 0);
  CHECK(first_invalid_utf8("\xe4\xb8x") == 0);
}

TEST_CASE("utf8: what is invalid is replaced as Python and Rust replace it") {
  CHECK(replace_invalid_utf8("fine") == "fine");
  CHECK(replace_invalid_utf8("a\xff\xfe"
                             "b") == "a\ufffd\ufffdb");
  CHECK(replace_invalid_utf8("\xe4\xb8x") == "\ufffdx");
  CHECK(replace_invalid_utf8("\xf0\x9f\x91") == "\ufffd");
  CHECK(replace_invalid_utf8("\xed\xa0\x80") == "\ufffd\ufffd\ufffd");
  CHECK(replace_invalid_utf8("\xf4\x90\x80\x80") == "\ufffd\ufffd\ufffd\ufffd");
}

}  // namespace farsight
