#include "train/words.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "core/check.h"
#include "train/nearest.h"

namespace farsight {

struct Words::Parser {
  CLI::App app;
  std::map<std::string, CLI::Option*> options;
  std::span<const Setting> known_settings;
  std::vector<std::pair<const Setting*, CLI::Option*>> settings;  // known_settings
  std::vector<std::string> names;                                 // every option as typed

  void add(const VerbOption& option) {
    const std::string flag = "--" + std::string(option.flag);
    const std::string both = option.flag == "help" ? "-h," + flag : flag;
    options[std::string(option.flag)] =
        option.value.empty() ? app.add_flag(both) : app.add_option(both)->take_last();
    names.push_back(flag);
  }

  /// --lr, --train.lr; --weight-decay, --train.weight_decay, --train.weight-decay.
  void add(const Setting& setting, std::string_view alias) {
    std::vector<std::string> all;
    if (!alias.empty()) all.emplace_back(alias);
    all.emplace_back(setting.name);
    for (const std::string& name : all)
      names.push_back("--" + name);
    std::string kebab(setting.name);
    std::replace(kebab.begin(), kebab.end(), '_', '-');
    if (kebab != setting.name) all.push_back(kebab);
    if (setting.kind == Kind::boolean) {
      for (const std::string& name : all)
        names.push_back("--no-" + name);
      settings.emplace_back(&setting,
                            app.add_flag(fmt::format("--{},!--no-{}", fmt::join(all, ",--"),
                                                     fmt::join(all, ",!--no-"))));
    } else {
      settings.emplace_back(
          &setting, app.add_option(fmt::format("--{}", fmt::join(all, ",--")))->take_last());
    }
  }
};

Words::Words(std::string title, std::span<const VerbOption> options, std::vector<std::string> words,
             With with)
    : title_(std::move(title)), parser_(std::make_unique<Parser>()) {
  CLI::App& app = parser_->app;
  app.set_help_flag("");
  app.allow_extras();
  for (const VerbOption& option : options)
    parser_->add(option);
  if (with == With::settings) parser_->known_settings = all_settings();
  for (const Setting& setting : parser_->known_settings) {
    parser_->add(setting, alias_beside(setting, options));
  }
  for (const std::string& word : words) {
    require(word.substr(0, 2) != "--" || word.size() < 3 || word.find('=') + 1 != word.size(),
            ExitCode::usage, "{}: '{}' has no value after the '='", title_, word);
  }
  const std::string last = words.empty() ? "" : words.back();
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));  // the order CLI11 asks for
  } catch (const CLI::ArgumentMismatch&) {
    fail(ExitCode::usage, "{}: '{}' needs a value", title_, last);
  } catch (const CLI::ParseError& error) {
    fail(ExitCode::usage, "{}: {}", title_, error.what());
  }
  for (const CLI::Option* option : app.get_options()) {
    const std::string value = option->count() > 0 ? option->results().back() : "";
    require(value.substr(0, 2) != "--", ExitCode::usage,
            "{}: '{}' needs a value, got the option '{}'", title_, option->get_name(), value);
  }
}

Words::~Words() = default;

bool Words::has(const std::string& flag) const {
  return parser_->options.at(flag)->count() > 0;
}

std::optional<std::string> Words::value(const std::string& flag) const {
  if (!has(flag)) return std::nullopt;
  return parser_->options.at(flag)->results().back();
}

Assignments Words::assignments() const {
  Assignments result;
  for (const auto& [setting, option] : parser_->settings) {
    if (option->count() == 0) continue;
    const std::string_view name = setting->alias.empty() ? setting->name : setting->alias;
    const std::string flag = fmt::format("--{}", name);
    result.push_back({setting, parse_value(*setting, option->results().back(), flag), flag});
  }
  return result;
}

void Words::refuse_unknown() const {
  if (parser_->app.remaining_size() == 0) return;
  const std::string word = parser_->app.remaining().front();
  require(word.size() > 1 && word.front() == '-', ExitCode::usage,
          "{}: '{}' belongs to no option; options are written --name value", title_, word);
  const std::string flag = word.substr(0, word.find('='));
  const std::vector<std::string_view> names(parser_->names.begin(), parser_->names.end());
  const std::string near = did_you_mean(flag, names);
  fail(ExitCode::usage, "{}: there is no option '{}'{}", title_, flag,
       near.empty() ? fmt::format("; `{} --help` says what there is", title_) : near);
}

std::vector<std::string> with_first_as(std::string_view flag, std::span<const std::string> words) {
  std::vector<std::string> all(words.begin(), words.end());
  const bool value = !all.empty() && !all.front().empty() && all.front().front() != '-';
  if (value) all.insert(all.begin(), fmt::format("--{}", flag));
  return all;
}

}  // namespace farsight
