#include "train/settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "core/check.h"
#include "train/nearest.h"

namespace farsight {

namespace {

/// The whole of `text` as a number, or nothing.
template <class T>
std::optional<T> number(std::string_view text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

/// "1,2,4" or "[1, 2, 4]", also empty.
std::optional<Integers> list_of_integers(std::string_view text) {
  const auto trim = [](std::string_view s) {
    const std::size_t first = s.find_first_not_of(' ');
    if (first == std::string_view::npos) return std::string_view();
    return s.substr(first, s.find_last_not_of(' ') - first + 1);
  };
  text = trim(text);
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') {
    text = trim(text.substr(1, text.size() - 2));
  }
  Integers list;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const auto entry = number<std::int64_t>(trim(text.substr(0, comma)));
    if (!entry || comma + 1 == text.size()) return std::nullopt;
    list.push_back(*entry);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return list;
}

std::string_view a_kind(Kind kind) {
  switch (kind) {
    case Kind::boolean:
      return "true or false";
    case Kind::integer:
      return "an integer";
    case Kind::real:
      return "a number";
    case Kind::text:
    case Kind::choice:
      return "text";
    case Kind::integers:
      return "a list of integers";
  }
  return "?";
}

/// "an integer from 0 to 1024"
std::string expected(const Setting& setting) {
  if (setting.kind == Kind::boolean || setting.kind == Kind::text) {
    return std::string(a_kind(setting.kind));
  }
  if (setting.kind == Kind::choice) return fmt::format("one of {}", allowed_values(setting));
  return fmt::format("{}{} {}", a_kind(setting.kind),
                     setting.kind == Kind::integers ? ", each" : " from", allowed_values(setting));
}

/// Long or unprintable input is shown shortened: a message stays one readable line.
std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 60;
  std::string result;
  for (const char c : text.substr(0, kMost)) {
    result += static_cast<unsigned char>(c) < 32 || c == 127 ? '?' : c;
  }
  return text.size() > kMost ? result + "..." : result;
}

[[noreturn]] void refuse(const Setting& setting, std::string_view got, std::string_view where) {
  fail(ExitCode::usage, "{} must be {}, got '{}'{}", where, expected(setting), shown(got),
       did_you_mean(got, setting.names));
}

bool is_within(const Setting& setting, double value) {
  return value >= setting.least && value <= setting.most;  // false for NaN
}

/// Text as a value of this kind, whatever its range.
std::optional<Value> value_from(Kind kind, std::string_view text) {
  switch (kind) {
    case Kind::boolean:
      if (text == "true" || text == "1") return Value(true);
      if (text == "false" || text == "0") return Value(false);
      return std::nullopt;
    case Kind::integer:
      return number<std::int64_t>(text);
    case Kind::real:
      return number<double>(text);
    case Kind::text:
    case Kind::choice:
      return Value(std::string(text));
    case Kind::integers:
      return list_of_integers(text);
  }
  return std::nullopt;
}

/// The value in its final form if the setting allows it.
std::optional<Value> accepted(const Setting& setting, Value value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    if (setting.kind == Kind::real) value = static_cast<double>(*integer);
  }
  constexpr Kind kKindOf[] = {Kind::boolean, Kind::integer, Kind::real, Kind::text, Kind::integers};
  const Kind kind = setting.kind == Kind::choice ? Kind::text : setting.kind;
  if (kKindOf[value.index()] != kind) return std::nullopt;

  bool good = true;
  if (setting.kind == Kind::integer) {
    good = is_within(setting, static_cast<double>(std::get<std::int64_t>(value)));
  } else if (setting.kind == Kind::real) {
    good = is_within(setting, std::get<double>(value));
  } else if (setting.kind == Kind::integers) {
    for (const std::int64_t entry : std::get<Integers>(value)) {
      good = good && is_within(setting, static_cast<double>(entry));
    }
  } else if (setting.kind == Kind::choice) {
    auto& name = std::get<std::string>(value);
    if (setting.name == "run.task" && name == "mqar") name = "standard";  // the paper's name
    good = (setting.name == "run.task" && is_task_file(name)) ||
           std::find(setting.names.begin(), setting.names.end(), name) != setting.names.end();
  }
  return good ? std::optional(value) : std::nullopt;
}

}  // namespace

Value check_value(const Setting& setting, Value value, std::string_view where) {
  auto final_form = accepted(setting, value);
  if (!final_form) {
    const auto* text = std::get_if<std::string>(&value);
    refuse(setting, text != nullptr ? *text : toml_of(value), where);
  }
  return *std::move(final_form);
}

Value parse_value(const Setting& setting, std::string_view text, std::string_view where) {
  const std::optional<Value> value = value_from(setting.kind, text);
  auto final_form = value ? accepted(setting, *value) : std::nullopt;
  if (!final_form) refuse(setting, text, where);
  return *std::move(final_form);
}

std::string toml_of(const Value& value) {
  if (const auto* boolean = std::get_if<bool>(&value)) return *boolean ? "true" : "false";
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *integer);
  if (const auto* list = std::get_if<Integers>(&value)) {
    return fmt::format("[{}]", fmt::join(*list, ", "));
  }
  if (const auto* real = std::get_if<double>(&value)) {
    std::string text = fmt::format("{}", *real);  // shortest that reads back to the same bits
    const bool integral = text.find_first_not_of("-0123456789") == std::string::npos;
    return integral ? text + ".0" : text;
  }
  std::string text = "\"";
  for (const char c : std::get<std::string>(value)) {
    if (c == '"' || c == '\\') text += '\\';
    if (static_cast<unsigned char>(c) < 32 || c == 127) {
      text += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      text += c;
    }
  }
  return text + '"';
}

std::string allowed_values(const Setting& setting) {
  switch (setting.kind) {
    case Kind::boolean:
      return "true|false";
    case Kind::text:
      return "text";
    case Kind::choice: {
      constexpr std::size_t kMostNames = 15;  // of tasks there are more
      if (setting.names.size() <= kMostNames)
        return fmt::format("{}", fmt::join(setting.names, "|"));
      return fmt::format("{}|... (--list tasks)", fmt::join(setting.names.first(6), "|"));
    }
    case Kind::integer:
    case Kind::real:
    case Kind::integers:
      break;
  }
  constexpr double kUnlimited = 1e9;  // a bound against slips, of no interest to a reader
  if (setting.most >= kUnlimited) return fmt::format("{} upwards", setting.least);
  return fmt::format("{} to {}", setting.least, setting.most);
}

std::vector<std::string_view> different_settings(const Settings& a, const Settings& b) {
  std::vector<std::string_view> names;
  for (const Setting& setting : all_settings()) {
    const bool matters = setting.effect == Effect::numbers;
    if (matters && setting.get(a) != setting.get(b)) names.push_back(setting.name);
  }
  return names;
}

const Setting* find_setting(std::string_view name) {
  for (const Setting& setting : all_settings()) {
    if (setting.name == name) return &setting;
  }
  return nullptr;
}

const Setting& setting_named(std::string_view name) {
  const Setting* setting = find_setting(name);
  check(setting != nullptr, "settings: there is no setting '{}'", name);
  return *setting;
}

std::string_view section_help(std::string_view section) {
  if (section == "run") return "what runs, where, and where the results go";
  if (section == "task") return "what the recall task is; run.task sets all of it";
  if (section == "model") return "sizes of the model";
  if (section == "data") return "sizes of the recall task, or the text of a language model";
  if (section == "train") return "optimiser, schedule, batches";
  if (section == "eval") return "validation while training";
  if (section == "stop") return "when training ends before its last step";
  if (section == "checkpoint") return "what is saved and which one is tested";
  if (section == "ranks") return "several processes that train together";
  return "what is reported while training";
}

}  // namespace farsight
