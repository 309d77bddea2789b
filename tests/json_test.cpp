#include "core/json.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

std::string refusal(std::string_view text, const JsonLimits& limits = {}) {
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { Json::parse(text, "a.json", limits); }, &code);
  if (!message.empty()) CHECK(code == ExitCode::corrupt);
  return message;
}

std::string nested(int depth) {
  const auto n = static_cast<std::size_t>(depth);
  return std::string(n, '[') + std::string(n, ']');
}

}  // namespace

TEST_CASE("json: numbers keep the type in which they were written") {
  const Json j =
      Json::parse("[0, 18446744073709551615, -9223372036854775808, 1.0, 1e2, -0.5]", "a");
  CHECK(j.at(0).as_unsigned() == 0);
  CHECK(j.at(1).as_unsigned() == std::numeric_limits<std::uint64_t>::max());
  CHECK(j.at(2).as_int() == std::numeric_limits<std::int64_t>::min());
  CHECK_FALSE(j.at(3).is_integer());
  CHECK(j.at(3).as_double() == 1.0);
  CHECK(j.at(4).as_double() == 100.0);
  CHECK(j.at(5).as_double() == -0.5);
  CHECK_THROWS_AS(j.at(1).as_int(), Error);
  CHECK_THROWS_AS(j.at(2).as_unsigned(), Error);
  CHECK_THROWS_AS(j.at(3).as_int(), Error);
  CHECK(j.at(2).as_double() == -0x1p63);
}

TEST_CASE("json: a whole number too large for 64 bits is no integer") {
  const Json j = Json::parse("[18446744073709551616, -9223372036854775809]", "a");
  CHECK_FALSE(j.at(0).is_integer());
  CHECK_FALSE(j.at(1).is_integer());
  CHECK(mentions(refusal("1e999"), "a.json"));
}

TEST_CASE("json: what is not JSON is refused with the file and the byte") {
  const std::vector<std::string> bad = {"",
                                        " ",
                                        "{",
                                        "}",
                                        "[",
                                        "[1,]",
                                        "{\"a\":1,}",
                                        "{\"a\"}",
                                        "{a:1}",
                                        "{'a':1}",
                                        "[1 2]",
                                        "01",
                                        "+1",
                                        ".5",
                                        "1.",
                                        "1e",
                                        "-",
                                        "tru",
                                        "nul",
                                        "NaN",
                                        "Infinity",
                                        "\"",
                                        "\"\\x\"",
                                        "\"\\u12\"",
                                        "\"\\ud800\"",
                                        "\"\\udc00\"",
                                        "\"a\nb\"",
                                        "1 1",
                                        "{} {}",
                                        "// c\n1",
                                        "/* c */ 1",
                                        "[1] x",
                                        "\"\xff\"",
                                        "\"\xc0\x80\"",
                                        "\"\xed\xa0\x80\"",
                                        "\"\xf5\x80\x80\x80\"",
                                        "\xff\xfe",
                                        std::string("1\0", 2),
                                        std::string("{}\0{", 4),
                                        std::string("\"\0\"", 3)};
  for (const std::string& text : bad) {
    CAPTURE(text);
    const std::string message = refusal(text);
    CHECK(message.starts_with("a.json: "));
    CHECK(mentions(message, "(byte "));
  }
  CHECK(mentions(refusal("{\"a\": 1, \"b\": tru}"), "(byte 1"));
  CHECK(mentions(refusal(std::string("12\0", 3)), "(byte 2)"));
}

TEST_CASE("json: a message about hostile text is printable and short") {
  std::string text = "[\"" + std::string(100000, 'x') + "\xff\x1b[31m";
  const std::string message = refusal(text);
  CHECK(message.size() < 300);
  for (const char c : message) {
    CHECK((c >= ' ' && c <= '~'));
  }
}

TEST_CASE("json: a key twice in one object is refused, in two objects it is not") {
  CHECK(mentions(refusal(R"({"a":1,"b":2,"a":1})"), "\"a\" appears twice (byte 17)"));
  CHECK(mentions(refusal(R"([{"x":{"k":1,"k":{}}}])"), "\"k\" appears twice"));
  CHECK(mentions(refusal(R"({"a":1,"\u0061":2})"), "appears twice"));
  CHECK(refusal(R"([{"a":1},{"a":{"a":2}}])").empty());
}

TEST_CASE("json: limits of depth, values and key length") {
  CHECK(refusal(nested(64)).empty());
  CHECK(mentions(refusal(nested(65)), "deeper than 64 levels (byte 64)"));
  CHECK(mentions(refusal(std::string(200000, '[')), "deeper"));
  std::string objects;
  for (int i = 0; i < 65; i++) {
    objects += "{\"a\":";
  }
  CHECK(mentions(refusal(objects), "deeper"));
  CHECK(refusal("[1,2,3]", {.values = 4}).empty());
  CHECK(mentions(refusal("[1,2,3]", {.values = 3}), "more than 3 values (byte 5)"));
  CHECK(mentions(refusal("{\"abcd\":1}", {.name_bytes = 3}), "a key of 4 bytes"));
}

TEST_CASE("json: a wrong kind names file, byte, what was expected and what is there") {
  const Json j = Json::parse(R"({"d_model": "64", "list": [1, -2, null], "x": 1.5})", "c.json");
  const auto message = [](const auto& f) { return error_of(f); };
  CHECK(message([&] { j.at("d_model").as_int(); }) ==
        "c.json: expected a whole number, got the string \"64\" (byte 12)");
  CHECK(message([&] { j.at("nothing"); }) == "c.json: the object has no 'nothing' (byte 0)");
  CHECK(mentions(message([&] { j.at("list").at(1).as_unsigned(); }),
                 "not negative, got the number -2 (byte 30)"));
  CHECK(mentions(message([&] { j.at("list").at(2).as_string(); }), "a string, got null (byte 34)"));
  CHECK(mentions(message([&] { j.at("list").at(3); }), "more than 3, got an array of 3 (byte 26)"));
  CHECK(mentions(message([&] { j.at("list").at("a"); }), "an object, got an array of 3"));
  CHECK(mentions(message([&] { j.at("x").as_int(0, 3); }), "a whole number, got the number 1.5"));
  CHECK(
      mentions(message([&] { j.at("list").at(0).as_int(2, 3); }), "from 2 to 3, got the number 1"));
  CHECK(mentions(message([&] {
                   j.allow_only({"d_model", "list"});
                 }),
                 "unknown key \"x\"; known are d_model, list"));
  ExitCode code = ExitCode::ok;
  error_of([] { Json(1).as_string(); }, &code);
  CHECK(code == ExitCode::internal);
}

TEST_CASE("json: text within a larger file counts bytes from the file's beginning") {
  CHECK(mentions(error_of([] { Json::parse("[tru]", "m", {}, 100); }), "(byte 104)"));
  const Json j = Json::parse("[7]", "m", {}, 100);
  CHECK(mentions(error_of([&] { j.at(0).as_string(); }), "(byte 101)"));
}

TEST_CASE("json: building keeps the order of members and dumps the same text again") {
  Json j;
  j["step"] = 10;
  j["loss"] = 3.25;
  j["a"] = Json::array({"mqar", true, Json(), -3});
  j["step"] = 11;
  j["nested"]["deep"] = 0.1f;
  CHECK(
      j.dump() ==
      R"({"step":11,"loss":3.25,"a":["mqar",true,null,-3],"nested":{"deep":0.10000000149011612}})");
  CHECK(Json::array().dump(2) == "[]");
  CHECK(Json::object({{"a", Json::array_of(std::vector<int>{1, 2})}}).dump(2) ==
        "{\n  \"a\": [\n    1,\n    2\n  ]\n}");
  CHECK(Json::parse(j.dump(), "a") == j);
  CHECK(Json::parse(j.dump(4), "a").dump() == j.dump());
  CHECK(Json::object({{"a", 1}, {"b", 2}}) != Json::object({{"b", 2}, {"a", 1}}));
  CHECK_THROWS_AS(Json(1)["a"], Error);
  CHECK_THROWS_AS(Json("x").push_back(1), Error);
}

TEST_CASE("json: floats read back bit for bit and never turn into integers") {
  for (const double value :
       {0.1, 1.0, -0.0, 1e300, 5e-324, 1.7976931348623157e308, 1e15, 1e16, 1.0 / 3}) {
    const Json back = Json::parse(Json(value).dump(), "a");
    CHECK_FALSE(back.is_integer());
    CHECK(back.as_double() == value);
    CHECK(std::signbit(back.as_double()) == std::signbit(value));
  }
  CHECK(Json(std::nan("")).dump() == "null");
  CHECK(Json(HUGE_VAL).dump() == "null");
}

TEST_CASE("json: strings are escaped, and bytes that are not UTF-8 do not get out") {
  CHECK(Json("a\"\\\n\x01").dump() == R"("a\"\\\n\u0001")");
  CHECK(Json("gr\xc3\xbc\xc3\x9f").dump() == "\"gr\xc3\xbc\xc3\x9f\"");
  CHECK(is_utf8(Json::parse(Json("\xff"
                                 "a")
                                .dump(),
                            "a")
                    .as_string()));
  CHECK(Json::parse(R"("\u00e9\ud83d\ude00")", "a").as_string() == "\xc3\xa9\xf0\x9f\x98\x80");
  CHECK(is_utf8("gr\xc3\xbc"));
  CHECK_FALSE(is_utf8("\xc3"));
}

TEST_CASE("json: a file that is missing or broken names its path") {
  const TemporaryFolder folder;
  CHECK(mentions(error_of([&] { read_json(folder / "none.json"); }), "none.json: No such file"));
  write_plainly(folder / "bad.json", "{\"a\":}");
  CHECK(mentions(error_of([&] { read_json(folder / "bad.json"); }), "bad.json: not valid JSON"));
  write_plainly(folder / "good.json", "{\"a\":[1]}\n");
  CHECK(read_json(folder / "good.json").at("a").at(0).as_int() == 1);
}

}  // namespace farsight
