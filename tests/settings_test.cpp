#include "train/settings.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <set>

#include "tests/temporary_folder.h"
#include "train/nearest.h"
#include "train/toml.h"

namespace farsight {
namespace {

Assignment assign(std::string_view name, std::string_view text) {
  const Setting& setting = setting_named(name);
  return {&setting, parse_value(setting, text, name), std::string(name)};
}

bool equal(const Settings& a, const Settings& b) {
  for (const Setting& setting : all_settings()) {
    if (setting.get(a) != setting.get(b)) return false;
  }
  return true;
}

/// Another allowed value than `value`.
Value another_value(const Setting& setting, const Value& value) {
  switch (setting.kind) {
    case Kind::boolean:
      return !std::get<bool>(value);
    case Kind::integer: {
      const bool at_most = static_cast<double>(std::get<std::int64_t>(value)) >= setting.most;
      return std::get<std::int64_t>(value) + (at_most ? -1 : 1);
    }
    case Kind::real:
      return std::get<double>(value) == setting.most ? setting.least : setting.most;
    case Kind::text:
      return std::string("a \"name\" with \\ and \ttab, \xc3\xa9");
    case Kind::choice:
      return std::string(setting.names.back() != std::get<std::string>(value)
                             ? setting.names.back()
                             : setting.names.front());
    case Kind::integers:
      return Integers{static_cast<std::int64_t>(setting.least) + 3};
  }
  return value;
}

TEST_CASE("settings: every row is documented, has a place and a default within its range") {
  std::set<std::string_view> names, flags;
  std::string_view section;
  std::set<std::string_view> sections;
  const Settings built_in;
  for (const Setting& setting : all_settings()) {
    INFO(setting.name);
    CHECK(names.insert(setting.name).second);
    if (!setting.alias.empty()) CHECK(flags.insert(setting.alias).second);
    CHECK(setting.alias.find('_') == std::string_view::npos);
    CHECK(setting.help.size() > 8);
    CHECK(setting.name.find('.') != std::string_view::npos);
    if (setting.section() != section) {  // sections are contiguous, or TOML would have them twice
      section = setting.section();
      CHECK(sections.insert(section).second);
      CHECK(!section_help(section).empty());
    }
    CHECK_NOTHROW(check_value(setting, setting.get(built_in), setting.name));
    CHECK(find_setting(setting.name) == &setting);
  }
  CHECK(find_setting("train.speed") == nullptr);
}

TEST_CASE("settings: every row reads and writes a field of its own") {
  for (const Setting& setting : all_settings()) {
    INFO(setting.name);
    Settings changed;
    const Value other = another_value(setting, setting.get(changed));
    setting.set(changed, check_value(setting, other, setting.name));
    int different = 0;
    for (const Setting& each : all_settings()) {
      different += each.get(changed) != each.get(Settings{}) ? 1 : 0;
    }
    CHECK(different == 1);
    CHECK(setting.get(changed) == other);
    const bool matters = setting.effect == Effect::numbers;
    CHECK(different_settings(changed, Settings{}).size() == (matters ? 1u : 0u));
  }
}

TEST_CASE("settings: TOML written, read and written again is the same, for every setting") {
  Settings changed;
  for (const Setting& setting : all_settings()) {
    setting.set(changed, another_value(setting, setting.get(changed)));
  }
  changed.train.lr = 0.1 + 0.2;  // needs 17 digits
  changed.train.eps = 1e-300;
  changed.model.gate_layers = {};
  for (const Settings& settings : {Settings{}, changed}) {
    const std::string text = write_toml(settings);
    Settings again;
    const Assignments assignments = read_toml(text, "again.toml");
    CHECK(assignments.size() == all_settings().size());
    for (const Assignment& a : assignments)
      a.setting->set(again, a.value);
    CHECK(equal(again, settings));
    CHECK(write_toml(again) == text);
    for (const Setting& setting : all_settings())
      CHECK(mentions(text, setting.help));
  }
}

TEST_CASE("settings: values out of range or of the wrong kind say what, expected and got") {
  const auto refusal = [](std::string_view name, std::string_view text) {
    ExitCode code = ExitCode::ok;
    const std::string message = error_of([&] { assign(name, text); }, &code);
    CHECK(code == ExitCode::usage);
    return message;
  };
  CHECK(refusal("train.lr", "-1") == "train.lr must be a number from 0 to 100, got '-1'");
  CHECK(refusal("train.warmup", "1.5") == "train.warmup must be a number from 0 to 1, got '1.5'");
  CHECK(refusal("train.batch_size", "0") ==
        "train.batch_size must be an integer from 1 to 1000000, got '0'");
  CHECK(refusal("run.seed", "1e4") == "run.seed must be an integer from 0 upwards, got '1e4'");
  for (const char* text :
       {"nan", "inf", "-inf", "1e999", "0x1p3", "1 ", " 1", "1,5", "", "+1", "1.0f"}) {
    INFO(text);
    CHECK(mentions(refusal("train.grad_clip", text), "must be a number"));
  }
  for (const char* text :
       {"1.0", "12a", "99999999999999999999", "", "-", "0x10", "1_000", "2,000"}) {
    INFO(text);
    CHECK(mentions(refusal("train.steps", text), "must be an integer"));
  }
  for (const char* text : {"1,", ",1", "1,,2", "1;2", "[1,2", "a", "1.5", "0", "1 2"}) {
    INFO(text);
    CHECK(mentions(refusal("data.pairs", text), "a list of integers, each 1 to"));
  }
  CHECK(refusal("log.progress", "yes") == "log.progress must be true or false, got 'yes'");
  const std::string flood(100000, 'x');
  CHECK(refusal("run.task", flood).size() < 300);
  CHECK(!mentions(refusal("run.task", "a\033[2Jb"), "\033"));
}

TEST_CASE("settings: lists may be written as in TOML or plainly") {
  const Integers expected = {1, 2, 8};
  for (const char* text : {"1,2,8", "1, 2, 8", "[1,2,8]", " [ 1 , 2 , 8 ] "}) {
    CHECK(std::get<Integers>(assign("data.pairs", text).value) == expected);
  }
  CHECK(std::get<Integers>(assign("model.gate_layers", "[]").value).empty());
}

TEST_CASE("settings: names that are misspelt get the list and the nearest one") {
  const auto refusal = [](std::string_view name, std::string_view text) {
    return error_of([&] { assign(name, text); });
  };
  CHECK(refusal("run.task", "shufle") ==
        "run.task must be one of standard|last|shuffle|k1v1|k1v2|k2v1|... (--list tasks), got "
        "'shufle'; did you mean 'shuffle'?");
  CHECK(mentions(refusal("run.model", "mamba-x2"), "did you mean 'mamba-2x'?"));
  CHECK(mentions(refusal("run.preset", "Tiny"), "did you mean 'tiny'?"));
  CHECK(refusal("run.preset", "elephant") ==
        "run.preset must be one of full|pocket|tiny, got 'elephant'");
  CHECK(std::get<std::string>(assign("run.task", "mqar").value) == "standard");
}

TEST_CASE("settings: the edit distance counts changes and swaps") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("trian", "train") == 1);
  CHECK(edit_distance("abcd", "abcd") == 0);
  const auto names = std::to_array<std::string_view>({"steps", "lr", "seed"});
  CHECK(nearest_name("setps", names) == "steps");
  CHECK(nearest_name("see", names) == "seed");
  CHECK(nearest_name("zzzzzz", names).empty());
  CHECK(nearest_name(std::string(1 << 20, 's'), names).empty());
}

}  // namespace
}  // namespace farsight
