#include "train/repro/repro_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <set>

#include "core/parallel.h"
#include "core/version.h"
#include "train/ambiguities.h"
#include "train/quantities.h"
#include "train/repro/plain_text.h"
#include "train/repro/repro_figures.h"
#include "train/repro/repro_tables.h"
#include "train/task.h"
#include "train/toml.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

/// "4 of 7 pass, 1 fail, 1 missing, 1 not judged"
std::string count_of(std::span<const Claim> claims, const Outcomes& outcomes) {
  int pass = 0, fail = 0, missing = 0, open = 0;
  for (const Claim& claim : claims) {
    const Verdict verdict = judge(claim, accuracies_of(outcomes));
    pass += verdict == Verdict::pass ? 1 : 0;
    fail += verdict == Verdict::fail ? 1 : 0;
    missing += verdict == Verdict::missing ? 1 : 0;
    open += verdict == Verdict::none ? 1 : 0;
  }
  return fmt::format(
      "{} of {} pass, {} fail, {} missing{}", pass, claims.size(), fail, missing,
      open > 0 ? fmt::format(", {} not judged (a premise does not hold)", open) : "");
}

std::vector<Claim> claims_of(std::span<const Claim> claims, const Wanted& wanted) {
  std::vector<Claim> chosen;
  for (const Claim& claim : claims) {
    const bool asked =
        std::find(wanted.tables.begin(), wanted.tables.end(), claim.table) != wanted.tables.end();
    if (asked) chosen.push_back(claim);
  }
  return chosen;
}

std::string validation_text(const PlannedRun& run, const RunOutcome& outcome) {
  if (!outcome.validation) return "-";
  return is_language_model(run.settings) ? fmt::format("loss {:.4f}", 100 - *outcome.validation)
                                         : fmt::format("{:.2f}", *outcome.validation);
}

Table table_of_runs(const Outcomes& outcomes) {
  Table table{.caption = "Every run: what it was trained for, how long, and its validation.",
              .columns = {{"run"},
                          {"learning rate", Align::number},
                          {"steps", Align::number},
                          {"ended by"},
                          {"tokens", Align::number},
                          {"time", Align::number},
                          {"tokens/s", Align::number},
                          {"validation, % or nats", Align::number}},
              .rows = {}};
  for (std::size_t i = 0; i < outcomes.runs().size(); i++) {
    const PlannedRun& run = outcomes.runs()[i];
    const RunOutcome& outcome = outcomes.of(i);
    const std::string rate = fmt::format("{}", run.settings.train.lr);
    if (!outcome.trained) {
      table.rows.push_back({{run.name, Verdict::missing, outcome.problem},
                            {rate},
                            {"-"},
                            {"-"},
                            {"-"},
                            {"-"},
                            {"-"},
                            {"-"}});
      continue;
    }
    table.rows.push_back({{run.name, Verdict::none, outcome.problem},
                          {rate},
                          {grouped(outcome.steps)},
                          {outcome.stopped_by},
                          {human_count(static_cast<double>(outcome.tokens))},
                          {human_duration(outcome.seconds)},
                          {human_count(outcome.tokens_per_second)},
                          {validation_text(run, outcome)}});
  }
  return table;
}

/// Settings in which all runs agree, and where the paper's text and code leave a choice.
NamedValues protocol(const Outcomes& outcomes) {
  NamedValues values{.caption =
                         "Choices that the paper leaves open, as they were taken here "
                         "(several values: they differ from run to run).",
                     .entries = {}};
  for (const char* name : {"run.recipe",
                           "run.preset",
                           "run.dtype",
                           "model.init",
                           "model.storage",
                           "data.lengths",
                           "data.pairs",
                           "data.vocabulary",
                           "data.filler",
                           "data.examples_per_cell",
                           "data.test_examples_per_cell",
                           "train.steps",
                           "train.epochs",
                           "train.batch_size",
                           "train.lr",
                           "train.schedule",
                           "train.warmup",
                           "train.weight_decay",
                           "train.decay_scope",
                           "train.grad_clip",
                           "train.clip_kind",
                           "checkpoint.best_by",
                           "stop.accuracy",
                           "stop.validations",
                           "stop.plateau",
                           "stop.gain"}) {
    std::set<std::string> found;
    for (const PlannedRun& run : outcomes.runs()) {
      found.insert(toml_of(setting_named(name).get(run.settings)));
    }
    values.entries.push_back({name, fmt::format("{}", fmt::join(found, " / "))});
  }
  return values;
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

std::vector<std::string> summary(const ReproOptions& options, const Outcomes& outcomes) {
  std::size_t trained = 0;
  double seconds = 0, tokens = 0;
  std::set<std::string> devices;
  for (std::size_t i = 0; i < outcomes.runs().size(); i++) {
    const RunOutcome& outcome = outcomes.of(i);
    if (!outcome.trained) continue;
    trained++;
    seconds += outcome.seconds;
    tokens += static_cast<double>(outcome.tokens);
    devices.insert(outcome.device);
  }
  std::vector<std::string> lines = {
      fmt::format("{} of {} runs are trained: {} tokens, {} of training in all, on {}.", trained,
                  outcomes.runs().size(), human_count(tokens), human_duration(seconds),
                  devices.empty() ? "nothing yet" : fmt::format("{}", fmt::join(devices, "; ")))};
  if (trained < outcomes.runs().size()) {
    lines.push_back("Unfinished: what is missing is marked so, with the reason.");
  }
  for (const auto& [heading, all] : {std::pair("Acceptance bands", acceptance_bands()),
                                     std::pair("Order relations", order_claims())}) {
    const std::vector<Claim> claims = claims_of(all, options.wanted);
    if (claims.empty()) continue;
    lines.push_back(fmt::format("{}: {}.", heading, count_of(claims, outcomes)));
  }
  const bool text_alone = options.wanted.figures.empty() &&
                          options.wanted.tables == std::vector{std::string(kTextTable)};
  if (text_alone) {
    lines.emplace_back(
        "Only the perplexity can be a target: the models differ by less than the standard errors "
        "of the accuracies.");
  }
  if (options.level != "full") {
    const bool smaller_too = options.level != "tiny";
    lines.push_back(fmt::format(
        "Level `{}` is not the paper's: smaller models, fewer tokens{}. {}", options.level,
        !smaller_too ? ""
        : text_alone ? ", shorter blocks of text"
                     : ", shorter sequences, a small vocabulary",
        text_alone ? "What can be compared is the order."
                   : "The bands were set for the paper's sizes; what can be compared is the "
                     "order."));
  }
  return lines;
}

std::string command_of(const ReproOptions& options) {
  std::string command = fmt::format("farsight repro --level {}", options.level);
  if (options.wanted.tables != all_exhibits().tables ||
      options.wanted.figures != all_exhibits().figures) {
    const auto list = [](const std::vector<std::string>& names) {
      return names.empty() ? std::string("none") : fmt::format("{}", fmt::join(names, ","));
    };
    command += fmt::format(" --table {} --figure {}", list(options.wanted.tables),
                           list(options.wanted.figures));
  }
  if (options.seeds > 1) command += fmt::format(" --seeds {}", options.seeds);
  if (!options.rates.empty()) command += fmt::format(" --lrs {}", fmt::join(options.rates, ","));
  for (const auto& [name, text] : options.settings) {
    if (name != "run.device") command += fmt::format(" --{} {}", name, text);
  }
  return command;
}

ReportSection section_of_runs(const Outcomes& outcomes, const FigureContext& context) {
  ReportSection section{.heading = "Runs", .blocks = {table_of_runs(outcomes)}};
  for (Block& block : learning_curves(outcomes, context))
    section.blocks.push_back(std::move(block));
  return section;
}

ReportSection section_of_settings(const Outcomes& outcomes) {
  NamedValues environment{.caption = "Where this report was written.",
                          .entries = {{"version", version_line()},
                                      {"compiler", build_info().compiler},
                                      {"CPU", build_info().cpu_level},
                                      {"processors", fmt::format("{}", threads())}}};
  ReportSection section = {"Settings", {}};
  if (!outcomes.runs().empty()) {
    section.blocks.emplace_back(
        Paragraph{fmt::format("What the paper leaves open, and how it was answered here; where "
                              "runs differ, as {} has it.",
                              outcomes.runs().front().name)});
    section.blocks.emplace_back(ambiguity_table(outcomes.runs().front().settings));
  }
  section.blocks.emplace_back(protocol(outcomes));
  section.blocks.emplace_back(environment);
  return section;
}

bool contains(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

}  // namespace

ReproReport make_repro_report(const ReproOptions& options, const Outcomes& outcomes,
                              Device device) {
  const FigureContext context = {options.out, device};
  const std::size_t columns = terminal_columns();
  const std::vector<Claim> bands = claims_of(acceptance_bands(), options.wanted);
  const std::vector<Claim> orders = claims_of(order_claims(), options.wanted);
  ReproReport result;
  Report& report = result.report;
  report.title = fmt::format("Reproduction of arXiv 2410.15678, level {}", options.level);
  report.summary = summary(options, outcomes);
  report.footer =
      fmt::format("farsight {}, {}. Again: {}", version_line(), today(), command_of(options));
  for (const ExhibitTable& exhibit : exhibit_tables()) {
    if (!contains(options.wanted.tables, exhibit.name)) continue;
    report.sections.push_back({fmt::format("Table {}: {}", exhibit.name, exhibit.title),
                               {comparison(exhibit, outcomes)}});
    for (Block& block : remarks(exhibit, outcomes))
      report.sections.back().blocks.push_back(std::move(block));
    result.verdicts += plain_table(exhibit, outcomes, columns);
  }
  ReportSection verdicts{.heading = "Verdicts", .blocks = {}};
  if (!bands.empty()) {
    verdicts.blocks.emplace_back(
        judged("Acceptance bands, set for the paper's models and sizes.", bands, outcomes));
    result.verdicts +=
        plain_verdicts("acceptance bands (for the paper's sizes)", bands, outcomes, columns);
  }
  if (!orders.empty()) {
    verdicts.blocks.emplace_back(
        judged("Order relations that the paper claims.", orders, outcomes));
    result.verdicts +=
        plain_verdicts("order relations that the paper claims", orders, outcomes, columns);
  }
  if (!verdicts.blocks.empty()) {
    report.sections.insert(report.sections.begin(), std::move(verdicts));
  }
  for (const ExhibitFigure& exhibit : exhibit_figures()) {
    if (!contains(options.wanted.figures, exhibit.name)) continue;
    report.sections.push_back({fmt::format("Figure {}: {}", exhibit.name, exhibit.title),
                               figure_blocks(exhibit, outcomes, context)});
  }
  report.sections.push_back(section_of_runs(outcomes, context));
  report.sections.push_back(section_of_settings(outcomes));
  write_report(options.out, "repro", report);
  return result;
}

}  // namespace farsight
