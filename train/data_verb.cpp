#include "train/data_verb.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/json.h"
#include "data/audit.h"
#include "data/example_rules.h"
#include "data/example_text.h"
#include "data/frozen_set.h"
#include "data/released_jsonl.h"
#include "data/task_json.h"
#include "train/data_fetch.h"
#include "train/help.h"
#include "train/nearest.h"
#include "train/quantities.h"
#include "train/resolve.h"
#include "train/task.h"
#include "train/toml.h"
#include "train/words.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr VerbOption kHelp = {"help", "", "print this text and stop"};
constexpr VerbOption kConfig = {"config", "FILE", "settings file (TOML), as of a run"};
constexpr VerbOption kSplit = {"split", "train|valid|test", "which examples [test]"};
constexpr VerbOption kExamples = {"examples", "N",
                                  "of each cell; 0: as many as the settings say for the split [0]"};
constexpr VerbOption kSet = {"data", "DIR", "a frozen set, in place of --task"};

constexpr VerbOption kMake[] = {{"to", "DIR", "the folder to write; it must not be there yet"},
                                kSplit,
                                kExamples,
                                kConfig,
                                kHelp};
constexpr VerbOption kShow[] = {kSet,
                                kSplit,
                                {"cell", "LxP", "length x pairs, as 64x4 [the first cell]"},
                                {"example", "N", "which one of the cell, from 0 [0]"},
                                kConfig,
                                kHelp};
constexpr VerbOption kAudit[] = {kSet,    kSplit, kExamples, {"json", "", "print JSON"},
                                 kConfig, kHelp};
constexpr VerbOption kExport[] = {
    {"data", "DIR", "the frozen set"},
    {"to", "FILE", "the JSONL file to write, in the form of the paper's release"},
    kHelp};
constexpr VerbOption kImport[] = {
    {"from", "FILE",
     "JSONL in the form of the paper's release: {ctx_length, num_kv_pair, key_len, value_len, "
     "V_id, "
     "input_ids}"},
    {"to", "DIR", "the folder to write; it must not be there yet"},
    kSplit,
    {"unchecked", "", "take examples that break the rules of --task, too"},
    kConfig,
    kHelp};

/// A verb of data, its words read.
struct DataVerb {
  std::string_view name;
  std::string_view summary;
  std::span<const VerbOption> options;
  Words::With with;
  DataOutcome (*run)(const Words& words);
};

std::int64_t number(const Words& words, const std::string& flag, std::int64_t otherwise) {
  const auto text = words.value(flag);
  if (!text) return otherwise;
  const Setting range{.kind = Kind::integer, .least = 0, .most = 1e9};
  return std::get<std::int64_t>(parse_value(range, *text, "--" + flag));
}

std::string needed(const Words& words, std::string_view verb, const std::string& flag) {
  const auto value = words.value(flag);
  require(value.has_value() && !value->empty(), ExitCode::usage,
          "farsight data {} needs --{} (see --help)", verb, flag);
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

/// Examples by cell: of a frozen set, or generated as they are asked for.
struct Source {
  FrozenHeader header;
  std::optional<FrozenSet> set;
  std::int64_t generated = 0;  ///< examples of a cell
  std::int64_t most = 0;       ///< of a set's cell; 0: all

  const MqarTask& task() const { return header.task; }

  std::int64_t count(std::size_t cell) const { return set ? set->examples(cell) : generated; }

  std::vector<Example> examples(std::size_t cell) const {
    if (set) {
      std::vector<Example> all = set->read(cell);
      if (most > 0 && static_cast<std::int64_t>(all.size()) > most) {
        all.resize(static_cast<std::size_t>(most));
      }
      return all;
    }
    std::vector<Example> all;
    for (std::int64_t i = 0; i < generated; i++) {
      all.push_back(one(cell, i));
    }
    return all;
  }

  Example one(std::size_t cell, std::int64_t index) const {
    if (set) return set->read(cell)[static_cast<std::size_t>(index)];
    return generate(task(), header.split, header.seed, cell, static_cast<std::uint64_t>(index));
  }
};

Source generated_source(const Words& words) {
  const Settings settings = settings_of(words);
  const Split split = split_of(words);
  const std::int64_t usual = split == Split::train   ? settings.data.examples_per_cell
                             : split == Split::valid ? settings.data.valid_examples_per_cell
                                                     : settings.data.test_examples_per_cell;
  Source source{.header = {.task = own_task(settings),
                           .split = split,
                           .seed = static_cast<std::uint64_t>(settings.run.seed),
                           .origin = "generated"},
                .set = {}};
  source.generated = usual;
  return source;
}

Source source_of(const Words& words, std::string_view verb) {
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

std::string written_text(const fs::path& folder, const Source& source) {
  std::int64_t examples = 0;
  for (std::size_t cell = 0; cell < source.task().cells.size(); cell++) {
    examples += source.count(cell);
  }
  return fmt::format("{}: task {}, {} split, {}, {}\n", folder.string(), source.task().name,
                     split_name(source.header.split),
                     counted(static_cast<std::int64_t>(source.task().cells.size()), "cell"),
                     counted(examples, "example"));
}

DataOutcome run_make(const Words& words) {
  const fs::path folder = needed(words, "make", "to");
  Source source = generated_source(words);
  const std::int64_t asked = number(words, "examples", 0);
  if (asked > 0) source.generated = asked;
  write_frozen_set(folder, source.header, [&](std::size_t cell) { return source.examples(cell); });
  return {written_text(folder, source)};
}

bool wants_colour() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::string_view(term) == "dumb";
  return isatty(STDOUT_FILENO) == 1 && !dumb && (no_color == nullptr || *no_color == '\0');
}

std::size_t cell_named(const MqarTask& task, const std::string& name) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < task.cells.size(); i++) {
    names.push_back(cell_name(task.cells[i]));
    if (names.back() == name) return i;
  }
  fail(ExitCode::usage, "task {} has no cell '{}'; it has {}", task.name, name,
       fmt::join(names, " "));
}

DataOutcome run_show(const Words& words) {
  const Source source = source_of(words, "show");
  const MqarTask& task = source.task();
  const std::size_t cell =
      words.has("cell") ? cell_named(task, *words.value("cell")) : std::size_t{0};
  const std::int64_t index = number(words, "example", 0);
  require(!source.set || index < source.count(cell), ExitCode::usage,
          "--example must be below {}, got {}", source.count(cell), index);
  const Example example = source.one(cell, index);
  const TextStyle style{.colour = wants_colour(), .columns = 100};
  return {example_text(task, task.cells[cell], source.header.split, example, style)};
}

Json audit_json(const MqarTask& task, const std::vector<CellAudit>& audits) {
  Json cells = Json::array();
  for (const CellAudit& audit : audits) {
    cells.push_back(Json::object({{"cell", cell_name(audit.cell)},
                                  {"examples", audit.examples},
                                  {"queries", audit.queries},
                                  {"key_twice", audit.repeated},
                                  {"contradictory", audit.contradictory},
                                  {"contradictory_examples", audit.contradictory_examples},
                                  {"key_in_filler", audit.met_in_filler},
                                  {"lookalike", audit.lookalikes},
                                  {"ceiling", audit.ceiling.pair},
                                  {"ceiling_case", audit.ceiling.case_},
                                  {"broken", audit.broken},
                                  {"violations", Json::array_of(audit.violations)}}));
  }
  return Json::object({{"task", task.name}, {"cells", std::move(cells)}});
}

DataOutcome run_audit(const Words& words) {
  Source source = source_of(words, "audit");
  const std::int64_t asked = number(words, "examples", 0);
  source.most = asked;
  if (asked > 0) source.generated = asked;
  std::vector<CellAudit> audits;
  bool broken = false;
  for (std::size_t cell = 0; cell < source.task().cells.size(); cell++) {
    audits.push_back(audit_cell(source.task(), source.task().cells[cell], source.header.split,
                                source.examples(cell)));
    broken = broken || audits.back().broken > 0;
  }
  return {words.has("json") ? audit_json(source.task(), audits).dump(2) + "\n"
                            : audit_text(source.task(), audits),
          broken ? ExitCode::corrupt : ExitCode::ok};
}

DataOutcome run_export(const Words& words) {
  const FrozenSet set{fs::path(needed(words, "export", "data"))};
  const fs::path to = needed(words, "export", "to");
  write_released_jsonl(to, set.task(), [&](std::size_t cell) { return set.read(cell); });
  return {fmt::format("{}: {}\n", to.string(),
                      counted(static_cast<std::int64_t>(set.task().cells.size()), "cell"))};
}

/// Cells by length and pairs, each with its examples in the order of the file.
using ByCell = std::map<std::pair<int, int>, std::vector<Example>>;

void require_rules(const MqarTask& task, Split split, const fs::path& file,
                   const std::vector<ReleasedExample>& examples) {
  for (const ReleasedExample& example : examples) {
    const std::vector<std::string> broken =
        broken_rules(task, example.cell, split, example.example);
    require(
        broken.empty(), ExitCode::corrupt,
        "{}, line {}: this is no example of the task {}: {} (--unchecked takes it all the same)",
        file.string(), example.line, task.name, broken.empty() ? "" : broken.front());
  }
}

DataOutcome run_import(const Words& words) {
  const fs::path from = needed(words, "import", "from");
  const fs::path to = needed(words, "import", "to");
  const Settings settings = settings_of(words);
  const Split split = split_of(words);
  const MqarTask rules = own_task(settings);
  const std::vector<ReleasedExample> examples = read_released_jsonl(from, rules.description, split);
  ByCell by_cell;
  for (const ReleasedExample& example : examples) {
    by_cell[{example.cell.length, example.cell.pairs}].push_back(example.example);
  }
  std::vector<Cell> cells;
  std::vector<std::size_t> places;
  for (const auto& [cell, of_it] : by_cell) {
    places.push_back(cells.size());
    cells.push_back({cell.first, cell.second});
  }
  MqarTask task = with_cells(rules, cells, places);
  const std::vector<Label>& labels = examples.front().example.labels;
  task.separator_target = std::any_of(labels.begin(), labels.end(),
                                      [](const Label& label) { return label.pair == kNoPair; });
  if (!words.has("unchecked")) require_rules(task, split, from, examples);
  const FrozenHeader header{.task = task,
                            .split = split,
                            .origin = fmt::format("imported from {}", from.filename().string())};
  write_frozen_set(to, header, [&](std::size_t i) {
    return by_cell[{cells[i].length, cells[i].pairs}];
  });
  const FrozenSet set(to);
  return {written_text(to, {.header = header, .set = set})};
}

DataOutcome run_fetch(const Words& words) {
  return {fetched_text(words)};
}

constexpr DataVerb kVerbs[] = {
    {"make", "Writes the examples of a task into a folder, with a manifest and hashes.", kMake,
     Words::With::settings, run_make},
    {"show", "Prints one example: what its tokens are and what its queries ask for.", kShow,
     Words::With::settings, run_show},
    {"audit", "Checks every rule of a task on its examples, and says what is attainable on them.",
     kAudit, Words::With::settings, run_audit},
    {"export", "Writes a set as the paper's release stores them.", kExport,
     Words::With::options_alone, run_export},
    {"import", "Makes a set of examples that the paper's release has written.", kImport,
     Words::With::settings, run_import},
    {"fetch", "Copies or downloads the files of language modelling, by name, and checks them.",
     kFetchOptions, Words::With::options_alone, run_fetch},
};

std::string usage() {
  std::string text = "usage: farsight data VERB [--option value ...]\n\n";
  for (const DataVerb& verb : kVerbs) {
    text += fmt::format("  {:<12}{}\n", verb.name, verb.summary);
  }
  return text +
         "\n  VERB --help every option of a verb\n\n"
         "example: farsight data audit --task shuffle --preset full\n";
}

}  // namespace

DataOutcome data_outcome(std::span<const std::string> words) {
  const std::string first = words.empty() ? "--help" : words.front();
  if (first == "--help" || first == "-h") return {usage()};
  const auto verb = std::find_if(std::begin(kVerbs), std::end(kVerbs),
                                 [&](const DataVerb& entry) { return entry.name == first; });
  std::vector<std::string_view> names;
  for (const DataVerb& entry : kVerbs)
    names.push_back(entry.name);
  require(verb != std::end(kVerbs), ExitCode::usage, "farsight data: there is no verb '{}'{}\n{}",
          first, did_you_mean(first, names), usage());
  const Words given(fmt::format("farsight data {}", verb->name), verb->options,
                    verb->name == "fetch" ? fetch_words(words.subspan(1))
                                          : std::vector(words.begin() + 1, words.end()),
                    verb->with);
  if (!given.has("help")) {
    given.refuse_unknown();
    return verb->run(given);
  }
  if (verb->with == Words::With::options_alone) {
    return {verb_help("farsight data", verb->name, verb->summary, verb->options)};
  }
  return {verb_help("farsight data", verb->name, verb->summary, verb->options,
                    resolve({}, {}).settings)};
}

int run_data_verb(std::span<const std::string> words) {
  const DataOutcome outcome = data_outcome(words);
  fmt::print("{}", outcome.text);
  return static_cast<int>(outcome.code);
}

}  // namespace farsight
