// How a row of the table of settings is written: a field of Settings, its name, and its range.
// Only train/settings_table.cpp and train/training_settings_table.cpp need it.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "train/presets.h"
#include "train/settings.h"

namespace farsight::setting_rows {

inline constexpr double kMany = 1e15;  // integers below it are exact as doubles

template <class T>
constexpr Kind kind_of() {
  if constexpr (std::is_same_v<T, bool>) return Kind::boolean;
  if constexpr (std::is_same_v<T, std::int64_t> || std::is_same_v<T, int>) return Kind::integer;
  if constexpr (std::is_same_v<T, double>) return Kind::real;
  if constexpr (std::is_same_v<T, std::string>) return Kind::text;
  if constexpr (std::is_same_v<T, Integers>) return Kind::integers;
  if constexpr (std::is_enum_v<T>) return Kind::choice;
}

/// The row of one field; ranges and names are added by the functions below.
template <auto section, auto field>
Setting row(std::string_view name, std::string_view alias, std::string_view help) {
  using Field = std::remove_cvref_t<decltype(std::declval<Settings>().*section.*field)>;
  Setting setting{.name = name, .alias = alias, .kind = kind_of<Field>(), .help = help};
  if constexpr (std::is_enum_v<Field>) {
    setting.names = NamesOf<Field>::list;
    setting.get = [](const Settings& s) -> Value {
      return std::string(NamesOf<Field>::list[static_cast<std::size_t>(s.*section.*field)]);
    };
    setting.set = [](Settings& s, const Value& value) {
      const auto& list = NamesOf<Field>::list;
      const auto at = std::find(list.begin(), list.end(), std::get<std::string>(value));
      s.*section.*field = static_cast<Field>(at - list.begin());
    };
  } else if constexpr (std::is_same_v<Field, int>) {
    setting.get = [](const Settings& s) -> Value { return std::int64_t{s.*section.*field}; };
    setting.set = [](Settings& s, const Value& value) {
      s.*section.*field = static_cast<int>(std::get<std::int64_t>(value));
    };
  } else {
    setting.get = [](const Settings& s) -> Value { return s.*section.*field; };
    setting.set = [](Settings& s, const Value& value) {
      s.*section.*field = std::get<Field>(value);
    };
  }
  return setting;
}

inline Setting within(double least, double most, Setting setting) {
  setting.least = least;
  setting.most = most;
  return setting;
}

inline Setting one_of(std::span<const NamedChoice> choices, std::vector<std::string_view>& keep,
                      Setting setting) {
  keep.clear();
  for (const NamedChoice& choice : choices)
    keep.push_back(choice.name);
  setting.names = keep;
  setting.kind = Kind::choice;
  return setting;
}

inline Setting around(Setting setting) {
  setting.effect = Effect::surroundings;
  return setting;
}

template <auto field>
constexpr auto run = row<&Settings::run, field>;
template <auto field>
constexpr auto task = row<&Settings::task, field>;
template <auto field>
constexpr auto model = row<&Settings::model, field>;
template <auto field>
constexpr auto data = row<&Settings::data, field>;
template <auto field>
constexpr auto train = row<&Settings::train, field>;
template <auto field>
constexpr auto eval = row<&Settings::eval, field>;
template <auto field>
constexpr auto stop = row<&Settings::stop, field>;
template <auto field>
constexpr auto checkpoint = row<&Settings::checkpoint, field>;
template <auto field>
constexpr auto ranks = row<&Settings::ranks, field>;
template <auto field>
constexpr auto log = row<&Settings::log, field>;

using R = RunSettings;
using K = TaskDescription;
using M = ModelSettings;
using D = DataSettings;
using T = TrainSettings;
using C = CheckpointSettings;
using N = RankSettings;

/// Rows of train, eval, stop, checkpoint, ranks and log.
std::vector<Setting> rows_of_training();

}  // namespace farsight::setting_rows
