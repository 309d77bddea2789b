#include "train/data_verb.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "core/json.h"
#include "data/audit.h"
#include "data/example_text.h"
#include "data/frozen_set.h"
#include "train/data_exchange.h"
#include "train/data_fetch.h"
#include "train/data_source.h"
#include "train/help.h"
#include "train/nearest.h"
#include "train/resolve.h"
#include "train/words.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr VerbOption kHelp = {"help", "", "print this text and stop"};
constexpr VerbOption kConfig = {"config", "FILE", "settings file (TOML), as of a run"};
constexpr VerbOption kSplit = {"split", "train|valid|test", "which examples [test]"};
constexpr VerbOption kExamples = {"examples", "N",
                                  "of each cell; 0: as many as the settings say for the split [0]"};
constexpr VerbOption kSet = {"data", "DIR",
                             "a frozen set, in place of --task; or as the first word"};

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
    {"data", "DIR", "the frozen set; or as the first word"},
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

DataOutcome run_make(const Words& words) {
  const fs::path folder = needed_word(words, "data make", "to");
  ExampleSource source = generated_source(words);
  const std::int64_t asked = whole_number(words, "examples", 0);
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
  const ExampleSource source = source_of(words, "show");
  const MqarTask& task = source.task();
  const std::optional<std::string> named = words.value("cell");
  const std::size_t cell = named ? cell_named(task, *named) : std::size_t{0};
  const std::int64_t index = whole_number(words, "example", 0);
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
  ExampleSource source = source_of(words, "audit");
  const std::int64_t asked = whole_number(words, "examples", 0);
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

constexpr DataVerb kVerbs[] = {
    {"make", "Writes the examples of a task into a folder, with a manifest and hashes.", kMake,
     Words::With::settings, run_make},
    {"show", "Prints one example: what its tokens are and what its queries ask for.", kShow,
     Words::With::settings, run_show},
    {"audit", "Checks every rule of a task on its examples, and says what is attainable on them.",
     kAudit, Words::With::settings, run_audit},
    {"export", "Writes a set as the paper's release stores them.", kExport,
     Words::With::options_alone,
     [](const Words& words) { return DataOutcome{export_text(words)}; }},
    {"import", "Makes a set of examples that the paper's release has written.", kImport,
     Words::With::settings, [](const Words& words) { return DataOutcome{import_text(words)}; }},
    {"fetch", "Copies or downloads the files of language modelling, by name, and checks them.",
     kFetchOptions, Words::With::options_alone,
     [](const Words& words) { return DataOutcome{fetched_text(words)}; }},
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

/// Names may stand by themselves: of files to fetch, of the set to read.
std::vector<std::string> words_of(const DataVerb& verb, std::span<const std::string> words) {
  if (verb.name == "fetch") return fetch_words(words);
  const bool reads_set =
      std::ranges::find(verb.options, kSet.flag, &VerbOption::flag) != verb.options.end();
  return reads_set ? with_first_as(kSet.flag, words) : std::vector(words.begin(), words.end());
}

/// The settings that examples follow from.
bool describes_examples(const Setting& setting) {
  constexpr auto kRun =
      std::to_array<std::string_view>({"run.task", "run.preset", "run.recipe", "run.seed"});
  return setting.section() == "task" || setting.section() == "data" ||
         std::ranges::find(kRun, setting.name) != kRun.end();
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
                    words_of(*verb, words.subspan(1)), verb->with);
  if (!given.has("help")) {
    given.refuse_unknown();
    return verb->run(given);
  }
  if (verb->with == Words::With::options_alone) {
    return {verb_help("farsight data", verb->name, verb->summary, verb->options)};
  }
  return {verb_help("farsight data", verb->name, verb->summary, verb->options,
                    resolve({}, {}).settings, describes_examples)};
}

int run_data_verb(std::span<const std::string> words) {
  const DataOutcome outcome = data_outcome(words);
  fmt::print("{}", outcome.text);
  return static_cast<int>(outcome.code);
}

}  // namespace farsight
