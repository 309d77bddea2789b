// The quick reader of one member of a JSON object against the careful one (core/json.h).
#include "data/corpus/json_field.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>

#include "core/check.h"
#include "core/json.h"
#include "core/utf8.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

/// What the reader makes of a line: the text, or nothing and why.
struct Outcome {
  bool accepted = false;
  std::string text;
};

Outcome quick(const std::string& line) {
  Outcome outcome;
  try {
    append_json_field(line, "text", false, outcome.text);
    outcome.accepted = true;
  } catch (const LineFault& fault) {
    CHECK(fault.byte <= line.size());
  }
  return outcome;
}

Outcome careful(const std::string& line, std::string* why) {
  Outcome outcome;
  *why = error_of([&] {
    const Json json = Json::parse(line, "line");
    outcome.text = json.at("text").as_string();
    outcome.accepted = true;
  });
  return outcome;
}

}  // namespace

TEST_CASE("json field: damaged lines of every kind are taken as core/json.h takes them") {
  const std::string lines[] = {
      R"({"id": 12, "title": "A \"b\" \u00e9\ud83d\ude00", "text": "some text\n\\ \/ and more"})",
      R"({"a":[1,-2.5e+3,true,null,{"b":[[],{}]}],"text":"\u0041","c":false,"d":0.25})",
      R"({"text":""})", R"( { "x" : { "text" : 1 } , "text" : "the right one" } )"};
  constexpr std::string_view kPieces[] = {"\"", "\\", "{",  "}",       "[",         "]",     ",",
                                          ":",  "0",  "-",  ".",       "e",         "\\u00", "\t",
                                          " ",  "x",  "tr", "\\ud800", "\"text\":", "null"};
  std::mt19937_64 random(7);
  int accepted = 0;
  for (int round = 0; round < 40'000; round++) {
    std::string line = lines[random() % std::size(lines)];
    for (std::uint64_t change = random() % 3 + 1; change > 0; change--) {
      const std::size_t at = random() % (line.size() + 1);
      const std::string_view piece = kPieces[random() % std::size(kPieces)];
      const std::size_t removed = random() % 3;
      line.replace(at, std::min(removed, line.size() - at), random() % 2 == 0 ? piece : "");
    }
    if (first_invalid_utf8(line)) continue;
    CAPTURE(line);
    std::string why;
    const Outcome expected = careful(line, &why), got = quick(line);
    accepted += got.accepted;
    // What the quick one does not hold: keys of objects within, how large a number is, and what is
    // in strings other than the one asked for.
    const bool beyond = mentions(why, "appears twice") || mentions(why, "number overflow") ||
                        mentions(why, "surrogate");
    if (got.accepted && beyond) continue;
    REQUIRE(got.accepted == expected.accepted);
    if (got.accepted) REQUIRE(got.text == expected.text);
  }
  CHECK(accepted > 1000);
}

TEST_CASE("json field: an object of very many keys costs no more than sorting them") {
  std::string line = "{";
  for (int i = 0; i < 200'000; i++) {
    line += "\"" + std::to_string(i) + "\":0,";
  }
  CHECK(quick(line + "\"text\":\"here\"}").text == "here");
  CHECK_FALSE(quick(line + "\"7\":1,\"text\":\"here\"}").accepted);
  CHECK_FALSE(quick(std::string(1'000'000, '[')).accepted);
  CHECK_FALSE(quick("{\"a\":" + std::string(1'000'000, '{')).accepted);
}

}  // namespace farsight
