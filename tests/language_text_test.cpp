// The texts of evaluation: what Python's string functions do, WikiText's pages, HellaSwag's contexts.
#include <doctest/doctest.h>

#include "core/sha256.h"
#include "eval/language/encoding.h"
#include "eval/language/hellaswag_text.h"
#include "eval/language/language_task.h"
#include "eval/language/python_text.h"
#include "eval/language/wikitext.h"
#include "tests/language_data.h"
#include "tests/skip.h"

namespace farsight {
namespace {

TEST_CASE("language: whitespace is Python's") {
  CHECK(stripped(" \t\n\v\f\r\x1c\x1f a b\u00a0\u2003\u3000\u2028\u0085") == "a b");
  CHECK(stripped_right("a\u200b") == "a\u200b");  // zero width: no whitespace
  CHECK(stripped("\u2002") == "");
  CHECK(stripped("") == "");
  CHECK(stripped_right("\xc3\xa9 ") == "\xc3\xa9");
  CHECK(words("") == 1);
  CHECK(words("a") == 1);
  CHECK(words(" a  b\u00a0c ") == 5);  // ['', 'a', 'b', 'c', '']
  CHECK(words(" \n ") == 2);
  CHECK(characters("a\u00e9\u4e2d\U0001F600") == 4);
}

TEST_CASE("language: replace() looks at nothing twice") {
  CHECK(replaced("aaa", "aa", "a") == "aa");
  CHECK(replaced("= = = =", "= =", "==") == "== ==");
  CHECK(replaced("x", "y", "z") == "x");
}

TEST_CASE("language: capitalize() raises the first letter and lowers the others") {
  CHECK(capitalized("the NBA, iPod") == "The nba, ipod");
  CHECK(capitalized("") == "");
  CHECK(capitalized("\u00e9T\u00c9 \u0160 \u0178") == "\u00c9t\u00e9 \u0161 \u00ff");
  CHECK(capitalized("\u0436\u0416\u0401") == "\u0416\u0436\u0451");
  CHECK(capitalized("\u03c3\u03a9\u4e2d") == "\u03a3\u03c9\u4e2d");
  CHECK(capitalized("1A") == "1a");
  CHECK(capitalized("\u00d7\u00f7\u00df") == "\u00d7\u00f7\u00df");
}

TEST_CASE("language: HellaSwag's texts lose their markers") {
  CHECK(hellaswag_preprocessed(" [header] How to [title] Fold [substeps] it ") ==
        " How to. Fold it");
  CHECK(hellaswag_preprocessed("[substeps] Foo") == " Foo");    // the space that is left
  CHECK(hellaswag_preprocessed("a [b\nc] d") == "a [b\nc] d");  // the point matches no line break
  CHECK(hellaswag_preprocessed("a [b\n[c] d") == "a [b\n d");
  CHECK(hellaswag_preprocessed("a    b") == "a  b");  // in one pass
  CHECK(hellaswag_preprocessed("a ] [b") == "a ] [b");
  CHECK(hellaswag_preprocessed("a [b [c] d") == "a d");
  CHECK(hellaswag_preprocessed("[a [b\n[c\n] [d] e").ends_with("\n] e"));
  const std::string open(1 << 22, '[');  // hostile: looked at once, not once for every bracket
  CHECK((hellaswag_preprocessed(open + "\n" + open) == open + "\n" + open));
  CHECK(hellaswag_query("Roof", "A man sits. ", "he Starts") == "Roof: A man sits. He starts");
}

TEST_CASE("language: WikiText's marks go as the harness's rules take them") {
  CHECK(wikitext_detokenized("twenty @-@ one , 1 @,@ 000 @.@ 5 . \n") == "twenty-one, 1,000.5.\n");
  CHECK(wikitext_detokenized("( a ( b ) c )") == "(a ( b) c )");
  CHECK(wikitext_detokenized("[ \n x ] { y } ( )") == "[x] {y} ()");
  CHECK(wikitext_detokenized("\" one \" and \" two") == "\"one\" and \" two");
  CHECK(wikitext_detokenized("the boys ' toys , a dog 's N x") == "the boys'toys, a dog's 1 x");
  CHECK(wikitext_detokenized("' a ' b") == "'a' b");
  CHECK(wikitext_detokenized("x /' 7/ y") == "x /'[0-9]/ y");
  CHECK(wikitext_detokenized("= = Head = = \n 5 \u00b0 N") == "== Head ==\n5\u00b0N");
  CHECK(wikitext_detokenized("( \u2003 a\u00a0)") == "(a)");
}

TEST_CASE("language: a heading of the first level begins a page") {
  const std::vector<std::string> pages =
      wikitext_pages(" \n = One = \n text \n = = Part = = \n more\n = Two = \nend\n");
  REQUIRE(pages.size() == 2);
  CHECK(pages[0] == " = One = \n text \n = = Part = = \n more");
  CHECK(pages[1] == " = Two = \nend\n");
  CHECK(wikitext_pages("") == std::vector<std::string>{""});
  CHECK(wikitext_pages("= A =") == std::vector<std::string>{"= A ="});
  CHECK(wikitext_pages("= A =\n= B =").size() == 2);
}

TEST_CASE("language: WikiText-2 has the pages, counts and texts of the reference") {
  const std::filesystem::path data = data_with("wikitext2/wiki.test.raw");
  if (data.empty()) return skip(kNoLanguageData);
  const LanguageTask task = load_language_task("wikitext", data, 0);
  REQUIRE(task.docs.size() == 62);
  std::int64_t words = 0, bytes = 0, detokenised = 0;
  std::string all;
  for (const LanguageDoc& doc : task.docs) {
    words += doc.words;
    bytes += doc.bytes;
    const std::string& text = doc.pairs[0].continuation;
    detokenised += static_cast<std::int64_t>(text.size());
    all += (all.empty() ? "" : std::string(1, '\0')) + text;
  }
  CHECK(words == 241'335);
  CHECK(bytes == 1'290'527);
  CHECK(detokenised == 1'240'466);
  CHECK(task.docs[0].words == 1'093);
  CHECK(task.docs[0].bytes == 5'667);
  CHECK(task.docs[0].pairs[0].continuation.size() == 5'423);
  CHECK(sha256(all) == "b0ae50e166add20959a5406d9b3c99fe1f23819ec0a10149047149434fb85d81");
}

TEST_CASE("language: WikiText-2's pages have the tokens of the reference") {
  const std::filesystem::path data = data_with("tokenizer/20B_tokenizer.json");
  if (data.empty() || data_with("wikitext2/wiki.test.raw").empty()) return skip(kNoLanguageData);
  const LanguageTask task = load_language_task("wikitext", data, 0);
  std::size_t tokens = 0, longest = 0;
  std::string stream;
  for (const LanguageDoc& doc : task.docs) {
    const TokenIds ids = neox_tokenizer(data).encode(doc.pairs[0].continuation);
    tokens += ids.size();
    longest = std::max(longest, ids.size());
    for (const std::int32_t id : ids) {
      stream += static_cast<char>(id & 0xff);
      stream += static_cast<char>(id >> 8);
    }
  }
  CHECK(tokens == 277'199);
  CHECK(longest == 15'655);
  CHECK(sha256(stream) == "c3a9b56ae1730748051e96425033b1bc5df0b1fc295a5300ef02e4d0b86086ee");
}

}  // namespace
}  // namespace farsight
