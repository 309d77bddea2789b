#include "train/data_source.h"

#include <fmt/format.h>

#include <utility>

#include "core/check.h"
#include "train/quantities.h"
#include "train/resolve.h"
#include "train/task.h"
#include "train/toml.h"

namespace farsight {

namespace fs = std::filesystem;

std::int64_t whole_number(const Words& words, const std::string& flag, std::int64_t otherwise) {
  const auto text = words.value(flag);
  if (!text) return otherwise;
  const Setting range{.kind = Kind::integer, .least = 0, .most = 1e9};
  return std::get<std::int64_t>(parse_value(range, *text, "--" + flag));
}

std::string needed_word(const Words& words, std::string_view verb, const std::string& flag) {
  const auto value = words.value(flag);
  require(value.has_value() && !value->empty(), ExitCode::usage,
          "farsight {} needs --{} (see --help)", verb, flag);
  return *value;
}

Settings settings_of(const Words& words) {
  Assignments file;
  if (const auto path = words.value("config")) file = read_toml_file(*path);
  return resolve(file, words.assignments()).settings;
}

Split split_of(const Words& words) {
  return split_named(words.value("split").value_or("test"));
}

ExampleSource generated_source(const Words& words) {
  const Settings settings = settings_of(words);
  const Split split = split_of(words);
  const std::int64_t usual = split == Split::train   ? settings.data.examples_per_cell
                             : split == Split::valid ? settings.data.valid_examples_per_cell
                                                     : settings.data.test_examples_per_cell;
  ExampleSource source{.header = {.task = own_task(settings),
                                  .split = split,
                                  .seed = static_cast<std::uint64_t>(settings.run.seed),
                                  .origin = "generated"},
                       .set = {}};
  source.generated = usual;
  return source;
}

ExampleSource source_of(const Words& words, std::string_view verb) {
  const auto folder = words.value("data");
  if (!folder) return generated_source(words);
  require(!words.has("split"), ExitCode::usage,
          "farsight data {}: --data names a set, which has a split of its own; leave out --split",
          verb);
  for (const Assignment& given : words.assignments()) {
    require(given.setting->name != "run.task", ExitCode::usage,
            "farsight data {}: --data names a set, which has a task of its own; leave out --task",
            verb);
  }
  FrozenSet set{fs::path(*folder)};
  FrozenHeader header = set.header();
  return {.header = std::move(header), .set = std::move(set)};
}

std::string counted(std::int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", grouped(count), what, count == 1 ? "" : "s");
}

std::string written_text(const fs::path& folder, const ExampleSource& source) {
  std::int64_t examples = 0;
  for (std::size_t cell = 0; cell < source.task().cells.size(); cell++) {
    examples += source.count(cell);
  }
  return fmt::format("{}: task {}, {} split, {}, {}\n", folder.string(), source.task().name,
                     split_name(source.header.split),
                     counted(static_cast<std::int64_t>(source.task().cells.size()), "cell"),
                     counted(examples, "example"));
}

}  // namespace farsight
