#include "train/run_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/files.h"
#include "core/version.h"
#include "train/ambiguities.h"
#include "train/answer_places.h"
#include "train/learning_curves.h"
#include "train/quantities.h"
#include "train/reference.h"
#include "train/resolve.h"
#include "train/run_folder.h"
#include "train/task.h"
#include "train/text_result.h"
#include "train/toml.h"

namespace farsight {

namespace {

namespace fs = std::filesystem;

std::string percent(const std::optional<double>& value) {
  return value ? fmt::format("{:.2f}", *value) : "–";
}

/// A member that may be missing: runs of other versions have other members.
std::string text(const Json& object, std::string_view key) {
  const Json* member = object.find(key);
  if (member == nullptr) return "unknown";
  return member->is_string() ? member->as_string() : member->dump();
}

std::string steps_done(const RunFiles& run) {
  if (run.metrics.empty()) return "No step is logged.";
  const auto step = static_cast<std::int64_t>(number_in(run.metrics.back(), "step").value_or(0));
  const std::int64_t steps = run.settings.train.steps;
  return fmt::format("{}{} steps are logged.", grouped(step),
                     steps > 0 ? fmt::format(" of {}", grouped(steps)) : "");
}

std::vector<std::string> summary_of(const RunFiles& run) {
  const RunSettings& settings = run.settings.run;
  std::vector<std::string> lines;
  if (run.result) {
    const Json& result = *run.result;
    const auto whole = [&](std::string_view key) {
      return grouped(static_cast<std::int64_t>(number_in(result, key).value_or(0)));
    };
    lines.push_back(fmt::format(
        "{} parameters, {} steps, {} tokens in {} ({} tokens/s) on {}.", whole("parameters"),
        whole("steps"), whole("tokens"), human_duration(number_in(result, "seconds").value_or(-1)),
        human_count(number_in(result, "tokens_per_second").value_or(-1)), text(result, "device")));
    const std::optional<double> loss = number_in(result, "loss");
    lines.push_back(fmt::format("Loss of the last step {}; the checkpoint of step {} was tested.",
                                loss ? fmt::format("{:.4g}", *loss) : "–", whole("tested_step")));
  } else {
    lines.push_back("This run is not finished: there is no result.json. " + steps_done(run));
    if (!run.failure.empty()) lines.push_back("It ended with: " + run.failure);
  }
  lines.push_back(fmt::format("Recipe {}, seed {}, {}.", settings.recipe, settings.seed,
                              name_of(settings.dtype)));
  return lines;
}

/// One row a task that the run was tested on.
Table accuracy_of(const RunFiles& run, const Json& accuracy) {
  struct Kind {
    std::string_view heading, key;
  };
  std::vector<Kind> kinds;
  const bool has_ceiling =
      std::any_of(accuracy.members().begin(), accuracy.members().end(),
                  [](const Json::Member& task) { return task.value.contains("ceiling"); });
  if (has_ceiling) kinds.push_back({"ceiling, pair", "ceiling"});
  kinds.insert(kinds.end(), {{"token", "token"}, {"case", "case"}, {"micro pair", "micro_pair"}});
  Table table{.caption = "Accuracy in percent, mean over the cells; micro: over all pairs.",
              .columns = {{"tested on"}, {"pair", Align::number}, {"paper, pair", Align::number}}};
  for (const Kind& kind : kinds) {
    table.columns.push_back({std::string(kind.heading), Align::number});
  }
  for (const Json::Member& task : accuracy.members()) {
    const PaperAccuracy* paper =
        paper_entry(run.settings.run.model, own_task_name(run.settings), task.key);
    const std::string published = paper == nullptr ? "–"
                                  : paper->percent ? percent(paper->percent)
                                                   : "failed";
    std::vector<TableCell> row = {
        {task.key}, {percent(number_in(task.value, "pair"))}, {published}};
    for (const Kind& kind : kinds) {
      row.push_back({percent(number_in(task.value, kind.key))});
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// One row a cell, one column a task: cells that only some tasks have are among them.
Table cells_of(const Json& accuracy) {
  Table table{.caption =
                  "Pair accuracy in percent by cell, length x pairs; below it the ceiling, "
                  "where it is less than 100.",
              .columns = {{"cell"}}};
  std::vector<std::string> names;
  for (const Json::Member& task : accuracy.members()) {
    table.columns.push_back({task.key, Align::number});
    const Json* cells = task.value.find("cells");
    if (cells == nullptr) continue;
    for (const Json::Member& cell : cells->members()) {
      if (std::find(names.begin(), names.end(), cell.key) == names.end()) names.push_back(cell.key);
    }
  }
  for (const std::string& name : names) {
    std::vector<TableCell> row = {{name}};
    for (const Json::Member& task : accuracy.members()) {
      const Json* cells = task.value.find("cells");
      TableCell cell{percent(cells != nullptr ? number_in(*cells, name) : std::nullopt)};
      const Json* ceilings = task.value.find("cell_ceilings");
      const auto ceiling = ceilings != nullptr ? number_in(*ceilings, name) : std::nullopt;
      constexpr double kShown = 99.995;  // what is not 100.00
      if (ceiling && *ceiling < kShown) cell.note = fmt::format("ceiling {:.2f}", *ceiling);
      row.push_back(std::move(cell));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string comparison(const RunFiles& run) {
  const RunSettings& settings = run.settings.run;
  if (settings.preset == "full") {
    return "The paper's numbers: arXiv 2410.15678, Tables 1 to 3.";
  }
  return fmt::format(
      "The paper's numbers (arXiv 2410.15678, Tables 1 to 3) are of models of about 130M "
      "parameters "
      "on lengths to 512; this run has preset {}: compare the order, not the numbers.",
      settings.preset);
}

ReportSection accuracy_section(const RunFiles& run) {
  ReportSection section{"Accuracy"};
  const Json* accuracy = run.result ? run.result->find("accuracy") : nullptr;
  if (accuracy == nullptr || !accuracy->is_object() || accuracy->size() == 0) {
    section.blocks.push_back(
        Paragraph{"Not tested yet: accuracies on the test sets are measured when training is done.",
                  Verdict::missing});
    return section;
  }
  section.blocks.push_back(accuracy_of(run, *accuracy));
  section.blocks.push_back(Paragraph{comparison(run)});
  section.blocks.push_back(cells_of(*accuracy));
  return section;
}

/// Where the value of each setting comes from, found again by resolving the run's names.
NamedValues settings_values(const Settings& settings, bool chosen_only) {
  Assignments names;
  for (const char* name : {"run.preset", "run.recipe", "run.task", "run.model"}) {
    names.push_back({&setting_named(name), setting_named(name).get(settings), "the run"});
  }
  std::optional<Resolved> base;
  try {
    base = resolve({}, names);
  } catch (const Error&) {
    // A task's file that is gone, say: the values are known all the same.
  }
  NamedValues values;
  for (const Setting& setting : all_settings()) {
    const Value value = setting.get(settings);
    const bool given = !base || value != setting.get(base->settings);
    const Origin origin = base ? base->origin_of(setting.name) : Origin::flag;
    const bool is_name = origin == Origin::flag || origin == Origin::file;
    const std::string from = !base || given || is_name ? "this run" : std::string(name_of(origin));
    if (chosen_only && from != "this run") continue;
    values.entries.push_back({std::string(setting.name), shown_value(value), from});
  }
  return values;
}

ReportSection settings_section(const RunFiles& run) {
  NamedValues chosen = settings_values(run.settings, true);
  chosen.caption =
      "What was chosen for this run; the rest comes from its preset, recipe, task and "
      "model.";
  NamedValues all = settings_values(run.settings, false);
  all.caption = fmt::format("All {} settings", all.entries.size());
  all.folded = true;
  return {"Settings", {std::move(chosen), std::move(all)}};
}

ReportSection environment_section(const RunFiles& run) {
  ReportSection section{"Environment"};
  const Json* environment = run.result ? run.result->find("environment") : nullptr;
  if (environment == nullptr || !environment->is_object()) {
    section.blocks.push_back(
        Paragraph{"Not recorded: it is written when a run is finished.", Verdict::missing});
    return section;
  }
  NamedValues values;
  values.entries.push_back({"device", text(*run.result, "device")});
  for (const Json::Member& member : environment->members()) {
    std::string name = member.key;
    std::string value = text(*environment, member.key);
    if (name == "memory_bytes") {
      name = "memory";
      value =
          fmt::format("{:.1f} GiB", number_in(*environment, member.key).value_or(0) / (1 << 30));
    }
    values.entries.push_back({name, value});
  }
  const std::optional<double> peak = number_in(*run.result, "peak_memory_bytes");
  if (peak) {
    values.entries.push_back(
        {"memory used", fmt::format("{:.1f} MiB at most, tensors", *peak / (1 << 20))});
  }
  section.blocks.push_back(std::move(values));
  return section;
}

}  // namespace

RunFiles read_run(const fs::path& folder) {
  std::error_code none;
  require(fs::is_directory(folder, none), ExitCode::data, "'{}' is not a folder", folder.string());
  require(fs::exists(folder / "config.toml", none), ExitCode::data,
          "'{}' holds no run: there is no config.toml", folder.string());
  RunFiles run{.folder = folder};
  for (const Assignment& assignment : read_toml_file(folder / "config.toml")) {
    assignment.setting->set(run.settings, assignment.value);
  }
  MetricLines metrics = metric_lines(folder);
  run.metrics = std::move(metrics.lines);
  run.unreadable_lines = metrics.unreadable;
  if (fs::exists(folder / "result.json", none)) run.result = read_json(folder / "result.json");
  if (fs::exists(folder / "failure.txt", none)) {
    const std::string reason = read_file(folder / "failure.txt");
    run.failure = reason.substr(0, reason.find('\n'));
  }
  return run;
}

Report run_report(const RunFiles& run, const Gnuplot& gnuplot) {
  const RunSettings& settings = run.settings.run;
  Report report{.title = fmt::format("{} trained on {}, preset {}", settings.model,
                                     own_task_name(run.settings), settings.preset),
                .summary = summary_of(run)};
  report.sections.push_back(is_language_model(run.settings) ? text_section(run)
                                                            : accuracy_section(run));
  ReportSection places = answer_places(run, gnuplot);
  if (!places.blocks.empty()) report.sections.push_back(std::move(places));
  report.sections.push_back(learning_curves(run, gnuplot));
  report.sections.push_back({"Ambiguities in force", {ambiguity_table(run.settings)}});
  report.sections.push_back(settings_section(run));
  report.sections.push_back(environment_section(run));
  const std::string family(family_of(settings.model));
  report.sections.push_back(
      {"Again",
       {Preformatted{fmt::format("{} train --config {}/config.toml\nfarsight report --run {}\n",
                                 family, run.folder.string(), run.folder.string())}}});
  report.footer = "farsight " + (run.result ? text(*run.result, "version") : version_line());
  return report;
}

void write_run_report(const RunFiles& run, const Gnuplot& gnuplot) {
  write_report(run.folder, "report", run_report(run, gnuplot));
}

}  // namespace farsight
