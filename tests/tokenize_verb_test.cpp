#include "train/tokenize_verb.h"

#include <doctest/doctest.h>

#include <sstream>
#include <string>

#include "core/check.h"
#include "tests/small_tokenizer.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

std::string ids_of(const std::string& text, DocumentForm form, bool replace = false) {
  std::istringstream in(text);
  std::ostringstream out;
  tokenize(small_tokenizer(), in, out, form, replace);
  return out.str();
}

std::string text_of(const std::string& ids, DocumentForm form) {
  std::istringstream in(ids);
  std::ostringstream out;
  detokenize(small_tokenizer(), in, out, form);
  return out.str();
}

template <class F>
std::string refusal(const F& f, ExitCode expected) {
  ExitCode code = ExitCode::ok;
  const std::string message = error_of(f, &code);
  CHECK_MESSAGE(code == expected, message);
  return message;
}

}  // namespace

TEST_CASE("tokenize: one array for every document, in each form") {
  CHECK(ids_of("ab\n\nc", DocumentForm::line) == "[98,99]\n[]\n[100]\n");
  CHECK(ids_of("ab\n", DocumentForm::line) == "[98,99]\n");
  CHECK(ids_of("", DocumentForm::line) == "");
  CHECK(ids_of("a\r\n", DocumentForm::line) == "[98,14]\n");
  CHECK(ids_of("a\nb\n", DocumentForm::whole) == "[98,11,99,11]\n");
  CHECK(ids_of("", DocumentForm::whole) == "[]\n");
  CHECK(ids_of("\"a\\nb\"\n\"\"\n", DocumentForm::json_line) == "[98,11,99]\n[]\n");
}

TEST_CASE("tokenize: what comes back is what went in") {
  std::string text;
  for (int i = 0; i < 200'000; i++) {  // more than is held at a time
    text += "line " + std::to_string(i) + " of the text  in here\n";
  }
  CHECK((text_of(ids_of(text, DocumentForm::line), DocumentForm::line) == text));
  CHECK((text_of(ids_of(text, DocumentForm::whole), DocumentForm::whole) == text));
  std::string longer;  // than what is read at a time
  while (longer.size() < (std::size_t{9} << 20)) {
    longer += "a line ";
  }
  longer = "before\n" + longer + "\nbehind\n\n";
  CHECK((text_of(ids_of(longer, DocumentForm::line), DocumentForm::line) == longer));
  const std::string json = "\"two\\nlines \\u00e9\"\n";
  CHECK(text_of(ids_of(json, DocumentForm::json_line), DocumentForm::json_line) ==
        "\"two\\nlines \u00e9\"\n");
  CHECK(text_of("[ 98 ,\t99 ]\r\n[]\n", DocumentForm::line) == "ab\n\n");
  CHECK(text_of("[196]", DocumentForm::json_line) == "\"\ufffd\"\n");  // half a character
}

TEST_CASE("tokenize: bad input is refused by its line") {
  const std::string bad = "fine\nab\xff\n";
  CHECK(mentions(refusal([&] { ids_of(bad, DocumentForm::line); }, ExitCode::data),
                 "line 2, byte 3: 0xFF is not UTF-8"));
  CHECK(ids_of(bad, DocumentForm::line, true) == ids_of("fine\nab\ufffd\n", DocumentForm::line));
  CHECK(mentions(refusal([] { ids_of("\"a\"\nb\n", DocumentForm::json_line); }, ExitCode::corrupt),
                 "line 2: not valid JSON"));
  CHECK(mentions(refusal([] { ids_of("7\n", DocumentForm::json_line); }, ExitCode::corrupt),
                 "line 1: expected a string"));
  for (const char* ids :
       {"1,2", "[1,2", "[1 2]", "[1,]", "[a]", "[1.5]", "[1] 2", "[99999999999]", "\n[1]", "[-]"}) {
    const std::string message = refusal([&] { text_of(ids, DocumentForm::line); }, ExitCode::data);
    CHECK(mentions(message, "line 1, byte "));
    CHECK(mentions(message, "expected an array of token ids"));
  }
  for (const char* ids : {"[1]\n[300]\n", "[1]\n[-1]\n"}) {
    CHECK(mentions(refusal([&] { text_of(ids, DocumentForm::line); }, ExitCode::data),
                   "line 2: expected token ids from 0 to 299"));
  }
}

TEST_CASE("tokenize: the command line names what is wrong with it") {
  CHECK(mentions(refusal(
                     [] {
                       run_tokenize(std::vector<std::string>{"--whole", "--json"});
                     },
                     ExitCode::usage),
                 "exclude one another"));
  CHECK(mentions(refusal(
                     [] {
                       run_tokenize(std::vector<std::string>{"--tokeniser", "a"});
                     },
                     ExitCode::usage),
                 "--tokenizer"));
  CHECK(mentions(refusal(
                     [] {
                       run_tokenize(std::vector<std::string>{"--invalid-utf8", "skip"});
                     },
                     ExitCode::usage),
                 "replace"));
  refusal(
      [] {
        run_detokenize(std::vector<std::string>{"--tokenizer", "no/such.json"});
      },
      ExitCode::storage);
}

}  // namespace farsight
