#include "train/toml.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <optional>

#include "core/check.h"
#include "core/files.h"
#include "train/nearest.h"

namespace farsight {

namespace {

std::string place(std::string_view source, const toml::source_region& region) {
  return fmt::format("{}, line {}", source, region.begin.line);
}

std::optional<Value> value_of(const toml::node& node) {
  if (const auto* boolean = node.as_boolean()) return Value(boolean->get());
  if (const auto* integer = node.as_integer()) return Value(integer->get());
  if (const auto* real = node.as_floating_point()) return Value(real->get());
  if (const auto* text = node.as_string()) return Value(text->get());
  const auto* array = node.as_array();
  if (array == nullptr) return std::nullopt;
  Integers list;
  for (const toml::node& entry : *array) {
    const auto* integer = entry.as_integer();
    if (integer == nullptr) return std::nullopt;
    list.push_back(integer->get());
  }
  return Value(list);
}

std::vector<std::string_view> section_names() {
  std::vector<std::string_view> names;
  for (const Setting& setting : all_settings()) {
    if (names.empty() || names.back() != setting.section()) names.push_back(setting.section());
  }
  return names;
}

std::vector<std::string_view> keys_of(std::string_view section) {
  std::vector<std::string_view> keys;
  for (const Setting& setting : all_settings()) {
    if (setting.section() == section) keys.push_back(setting.key());
  }
  return keys;
}

void read_section(std::string_view section, const toml::table& table, std::string_view source,
                  Assignments& result) {
  const std::vector<std::string_view> keys = keys_of(section);
  for (const auto& [key, node] : table) {
    const std::string where = place(source, node.source());
    const std::string name = fmt::format("{}.{}", section, key.str());
    const Setting* setting = find_setting(name);
    require(setting != nullptr, ExitCode::usage, "{}: there is no setting {}{}\n[{}] has: {}",
            where, name, did_you_mean(key.str(), keys), section, fmt::join(keys, ", "));
    const std::string title = fmt::format("{}: {}", where, name);
    const std::optional<Value> value = value_of(node);
    require(value.has_value(), ExitCode::usage, "{} must be {}, got something else", title,
            allowed_values(*setting));
    result.push_back({setting, check_value(*setting, *value, title), title});
  }
}

toml::table parse(std::string_view text, std::string_view source) {
  try {
    return toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    fail(ExitCode::corrupt, "{} is not TOML: {}", place(source, error.source()),
         error.description());
  }
}

Assignments assignments_in(const toml::table& root, std::string_view source) {
  const std::vector<std::string_view> sections = section_names();
  Assignments result;
  for (const auto& [key, node] : root) {
    const std::string where = place(source, node.source());
    const std::string_view section = key.str();
    const bool known = std::find(sections.begin(), sections.end(), section) != sections.end();
    require(known, ExitCode::usage, "{}: there is no table [{}]{}\nThe tables are: {}", where,
            section, did_you_mean(section, sections), fmt::join(sections, ", "));
    require(node.is_table(), ExitCode::usage, "{}: '{}' must be a table: [{}], then its settings",
            where, section, section);
    read_section(section, *node.as_table(), source, result);
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const Assignment& a, const Assignment& b) { return a.setting < b.setting; });
  return result;
}

}  // namespace

Assignments read_toml(std::string_view text, std::string_view source) {
  return assignments_in(parse(text, source), source);
}

Assignments read_toml_part(std::string_view text, std::string_view source, std::string_view part) {
  const toml::table root = parse(text, source);
  const toml::node* found = root.get(part);
  if (found == nullptr) return {};
  require(found->is_table(), ExitCode::usage, "{}: '{}' must be a table",
          place(source, found->source()), part);
  return assignments_in(*found->as_table(), source);
}

Assignments read_toml_file(const std::filesystem::path& path) {
  constexpr std::uint64_t kMostBytes = 1 << 20;
  return read_toml(read_file(path, kMostBytes), path.string());
}

std::string write_toml(const Settings& settings) {
  std::string text = "# Every setting of a run of farsight. Run it again: --config THIS_FILE\n";
  std::string_view section;
  for (const Setting& setting : all_settings()) {
    if (setting.section() != section) {
      section = setting.section();
      text += fmt::format("\n[{}]  # {}\n", section, section_help(section));
    }
    text += fmt::format("# {}; {}\n", setting.help, allowed_values(setting));
    text += fmt::format("{} = {}\n", setting.key(), toml_of(setting.get(settings)));
  }
  return text;
}

}  // namespace farsight
