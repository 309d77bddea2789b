#include "train/repro/repro.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <set>

#include "core/check.h"
#include "core/device_calls.h"
#include "core/files.h"
#include "core/parallel.h"
#include "train/from_settings.h"
#include "train/quantities.h"
#include "train/repro/estimate.h"
#include "train/repro/outcome.h"
#include "train/repro/repro_report.h"
#include "train/repro/view.h"
#include "train/trainer.h"
#include "train/words.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr VerbOption kOptions[] = {
    {"level", "pocket|tiny|full|micro",
     "how large: presets of these names, and micro, a trial run "
     "of seconds [pocket]"},
    {"table", "LIST", "tables to make: 1, 2, 3, all or none [all, or none beside --figure]"},
    {"figure", "LIST",
     "figures to make: 1, 4, 6a, 6b, 8, 9, 10, 11, all or none [all, or none beside --table]"},
    {"seeds", "N", "runs of every training, with seeds 42, 43, ... [1]"},
    {"lrs", "LIST",
     "learning rates to try, for example 5e-4,1e-3,3e-3; the one that is best on the validation "
     "examples is reported [the preset's]"},
    {"init", "standard|released", "first parameters; the setting model.init"},
    {"jobs", "N",
     "runs at a time [a processor each; on GPUs as many as the level gives each of them]"},
    {"out", "DIR", "folder of all runs and of the report [repro/LEVEL]"},
    {"dry-run", "", "print the plan and stop"},
    {"report-only", "", "train nothing: report on what is there, and say what is missing"},
    {"overwrite", "", "delete runs of other settings that are in the way"},
    {"help", "", "print this text and stop"},
};

struct Command {
  ReproOptions options;
  std::int64_t jobs = 0;  ///< 0: as many as fit
  bool dry_run = false, report_only = false, overwrite = false;
};

std::int64_t integer(const Words& words, const std::string& flag, double most,
                     std::int64_t otherwise) {
  const auto text = words.value(flag);
  if (!text) return otherwise;
  const Setting range{.kind = Kind::integer, .least = 1, .most = most};
  return std::get<std::int64_t>(parse_value(range, *text, "--" + flag));
}

std::vector<double> rates_of(const std::optional<std::string>& list) {
  std::vector<double> rates;
  if (!list) return rates;
  for (std::size_t from = 0; from <= list->size();) {
    const std::size_t end = std::min(list->find(',', from), list->size());
    const Value rate =
        parse_value(setting_named("train.lr"), list->substr(from, end - from), "--lrs");
    require(std::get<double>(rate) > 0, ExitCode::usage, "--lrs: a learning rate must not be 0");
    if (std::find(rates.begin(), rates.end(), std::get<double>(rate)) == rates.end()) {
      rates.push_back(std::get<double>(rate));
    }
    from = end + 1;
  }
  return rates;
}

/// What every run of the reproduction decides for itself.
void refuse_settings_of_runs(const Assignments& given) {
  constexpr std::pair<std::string_view, std::string_view> kOwn[] = {
      {"run.task", "--table and --figure"},
      {"run.model", "--table and --figure"},
      {"run.preset", "--level"},
      {"run.seed", "--seeds"},
      {"train.lr", "--lrs"},
      {"run.threads", "--jobs"},
      {"run.out", "--out"}};
  for (const Assignment& assignment : given) {
    for (const auto& [setting, instead] : kOwn) {
      require(assignment.setting->name != setting, ExitCode::usage,
              "farsight repro: {} is chosen by {}, not by itself", assignment.where, instead);
    }
  }
}

std::string text_of(const Value& value) {
  return std::holds_alternative<std::string>(value) ? std::get<std::string>(value) : toml_of(value);
}

Command command_of(const Words& words) {
  Command command;
  ReproOptions& options = command.options;
  options.level = repro_level(words.value("level").value_or("pocket")).name;
  const auto tables = words.value("table"), figures = words.value("figure");
  options.wanted.tables = table_names(tables.value_or(figures ? "none" : "all"));
  options.wanted.figures = figure_names(figures.value_or(tables ? "none" : "all"));
  options.seeds = integer(words, "seeds", 1000, 1);
  options.rates = rates_of(words.value("lrs"));
  options.out = words.value("out").value_or(fmt::format("repro/{}", options.level));
  const Assignments given = words.assignments();
  refuse_settings_of_runs(given);
  for (const Assignment& assignment : given) {
    options.settings.emplace_back(assignment.setting->name, text_of(assignment.value));
  }
  if (const auto init = words.value("init")) {
    const Setting& setting = setting_named("model.init");
    options.settings.emplace_back("model.init", text_of(parse_value(setting, *init, "--init")));
  }
  command.jobs = integer(words, "jobs", 1024, 0);
  command.dry_run = words.has("dry-run");
  command.report_only = words.has("report-only");
  command.overwrite = words.has("overwrite");
  return command;
}

/// Where this program lies; the models' programs lie beside it.
fs::path program_folder() {
  return fs::read_symlink("/proc/self/exe").parent_path();
}

/// What runs at the same time, and on what.
struct Machine {
  Device device = Device::cpu;
  Slots slots;
  int threads = 1;  ///< of a run
};

std::vector<std::string> visible_gpus() {
  std::vector<std::string> names;
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible == nullptr) {
    for (int gpu = 0; gpu < gpu_count(); gpu++)
      names.push_back(fmt::format("{}", gpu));
    return names;
  }
  const std::string list = visible;
  for (std::size_t from = 0; from < list.size();) {
    const std::size_t end = std::min(list.find(',', from), list.size());
    names.push_back(list.substr(from, end - from));
    from = end + 1;
  }
  return names;
}

Machine machine_of(const Command& command, Device device, std::size_t runs) {
  Machine machine{.device = device, .slots = {}};
  const std::vector<std::string> gpus =
      device == Device::cuda ? visible_gpus() : std::vector<std::string>();
  const auto processors = static_cast<std::size_t>(threads());
  const auto per_gpu = static_cast<std::size_t>(repro_level(command.options.level).runs_per_gpu);
  const std::size_t fitting = gpus.empty() ? processors : per_gpu * gpus.size();
  const std::size_t wanted = command.jobs > 0 ? static_cast<std::size_t>(command.jobs) : fitting;
  const std::size_t slots = std::max<std::size_t>(1, std::min(wanted, runs));
  for (std::size_t slot = 0; slot < slots; slot++) {
    Environment& environment = machine.slots.emplace_back();
    if (!gpus.empty()) {
      environment.emplace_back("CUDA_VISIBLE_DEVICES", gpus[slot % gpus.size()]);
    }
  }
  machine.threads = static_cast<int>(std::max<std::size_t>(1, processors / slots));
  return machine;
}

Job job_of(const PlannedRun& run, const RunPaths& paths, const Machine& machine, double seconds) {
  const std::string program =
      (program_folder() / std::string(family_of(run.training.model))).string();
  const NamedSettings around = {{"run.threads", fmt::format("{}", machine.threads)},
                                {"log.progress", "false"}};
  Job job{.name = run.name, .commands = {}, .log = paths.log, .seconds = seconds};
  JobCommand train{.words = {program}, .done = [=] { return is_trained(run, paths); }};
  const std::vector<std::string> words = training_words(run, paths.folder, around);
  train.words.insert(train.words.end(), words.begin(), words.end());
  train.afresh = {"--overwrite"};
  job.commands.push_back(train);
  const std::vector<std::string> tests = further_tests(run);
  if (!tests.empty()) {
    job.commands.push_back({.words = {program, "eval", "--run", paths.folder.string(), "--task",
                                      fmt::format("{}", fmt::join(tests, ",")), "--json",
                                      fmt::format("--run.threads={}", machine.threads)},
                            .output = paths.tests,
                            .done = [=] { return is_tested(run, paths); }});
  }
  return job;
}

std::string plan_text(const Command& command, const std::vector<PlannedRun>& runs,
                      const std::vector<RunCost>& costs, const Machine& machine) {
  std::string text =
      fmt::format("{:<34} {:>9} {:>8} {:>9}  {}\n", "run", "steps", "tokens", "time", "tested on");
  double tokens = 0, seconds = 0, longest = 0;
  std::size_t there = 0;
  for (std::size_t i = 0; i < runs.size(); i++) {
    const RunPaths paths = paths_of(command.options.out, runs[i]);
    const bool done = is_trained(runs[i], paths) && is_tested(runs[i], paths);
    there += done ? 1 : 0;
    text +=
        fmt::format("{:<34} {:>9} {:>8} {:>9}  {}\n", runs[i].name,
                    grouped(total_steps(runs[i].settings, loader_of(runs[i].settings))),
                    human_count(costs[i].tokens), done ? "there" : human_duration(costs[i].seconds),
                    fmt::join(runs[i].tests, " "));
    if (done) continue;
    tokens += costs[i].tokens;
    seconds += costs[i].seconds;
    longest = std::max(longest, costs[i].seconds);
  }
  const auto slots = static_cast<double>(machine.slots.size());
  text += fmt::format(
      "{} runs{}, {} tokens; on {}, {} at a time{}: about {}{}\n", runs.size(),
      there > 0 ? fmt::format(" ({} there already)", there) : "", human_count(tokens),
      name_of(machine.device), machine.slots.size(),
      machine.device == Device::cpu ? fmt::format(" with {} {} each", machine.threads,
                                                  machine.threads == 1 ? "thread" : "threads")
                                    : "",
      human_duration(std::max(seconds / slots, longest)),
      std::any_of(runs.begin(), runs.end(),
                  [](const PlannedRun& run) {
                    return run.settings.stop.accuracy > 0 || run.settings.stop.plateau > 0;
                  })
          ? " at most: runs end early where they succeed or stand still"
          : "");
  return text;
}

/// One reproduction at a time in a folder. The system lets go of it however the process ends.
class FolderLock {
 public:
  explicit FolderLock(const fs::path& folder)
      : fd_(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    const bool busy = fd_ >= 0 && flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (busy) close(fd_);
    require(!busy, ExitCode::usage, "--out: another process is making a reproduction in {}",
            folder.string());
  }
  ~FolderLock() {
    if (fd_ >= 0) close(fd_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_;
};

/// Runs of other settings under the same names are deleted or refused, before anything is trained.
void settle_conflicts(const Command& command, const std::vector<PlannedRun>& runs) {
  for (const PlannedRun& run : runs) {
    const RunPaths paths = paths_of(command.options.out, run);
    const std::string other = other_settings(run, paths);
    if (other.empty()) continue;
    require(command.overwrite, ExitCode::usage,
            "{} holds a run of other settings ({}); choose another --out, or add --overwrite to "
            "delete it",
            paths.folder.string(), other);
    for (const fs::path& path : {paths.folder, paths.tests, paths.log, paths.failure}) {
      std::error_code problem;
      fs::remove_all(path, problem);
      require(!problem, ExitCode::storage, "--overwrite: cannot delete {}: {}", path.string(),
              problem.message());
    }
  }
}

/// Trains and tests what is not there yet; whether a signal ended it, and how many failed.
struct Trained {
  bool interrupted = false;
  std::size_t failed = 0;
};
Trained train_all(const Command& command, const std::vector<PlannedRun>& runs,
                  const std::vector<RunCost>& costs, const Machine& machine) {
  const fs::path& out = command.options.out;
  for (const char* part : {"runs", "tests", "logs"})
    make_output_folder(out / part);
  const FolderLock lock(out);
  settle_conflicts(command, runs);
  std::vector<Job> jobs;
  std::vector<ViewedRun> viewed;
  for (std::size_t i = 0; i < runs.size(); i++) {
    const RunPaths paths = paths_of(out, runs[i]);
    std::error_code none;
    fs::remove(paths.failure, none);
    jobs.push_back(job_of(runs[i], paths, machine, costs[i].seconds));
    viewed.push_back(
        {runs[i].name, paths.folder, total_steps(runs[i].settings, loader_of(runs[i].settings))});
  }
  ReproView view(stderr_display(true), viewed, jobs, machine.slots.size());
  const CatchInterrupts catching;
  const JobEvents events{
      .changed =
          [&](std::size_t job, const JobStatus& status) {
            if (status.state == JobState::failed) {
              write_file_atomically(paths_of(out, runs[job]).failure, status.reason + '\n');
            }
            view.changed(job, status);
          },
      .tick = [&](const std::vector<JobStatus>& statuses) { view.tick(statuses); },
      .interrupted = [] { return CatchInterrupts::requested(); }};
  const std::vector<JobStatus> statuses = run_jobs(jobs, machine.slots, events);
  view.finish();
  Trained result;
  for (const JobStatus& status : statuses) {
    result.failed += status.state == JobState::failed ? 1 : 0;
    result.interrupted = result.interrupted || status.state == JobState::stopped;
  }
  return result;
}

Outcomes read_all(const std::vector<PlannedRun>& runs, const fs::path& out) {
  std::vector<RunOutcome> outcomes;
  for (const PlannedRun& run : runs) {
    outcomes.push_back(read_outcome(run, paths_of(out, run)));
  }
  return {runs, outcomes};
}

Device chosen_device(const Command& command) {
  Settings settings;
  for (const auto& [name, text] : command.options.settings) {
    const Setting& setting = setting_named(name);
    if (name == "run.device") setting.set(settings, parse_value(setting, text, "--device"));
  }
  return device_of(settings);
}

int carry_out(Command command) {
  const Device device = chosen_device(command);
  if (!command.report_only) {
    command.options.settings.emplace_back("run.device", name_of(device));
  }
  const std::vector<PlannedRun> runs = plan_runs(command.options);
  require(!runs.empty(), ExitCode::usage,
          "farsight repro: there is nothing to do: --table and --figure name nothing");
  Trained trained;
  if (!command.report_only) {
    const Machine machine = machine_of(command, device, runs.size());
    const std::vector<RunCost> costs =
        estimate_costs(runs, command.options.out, device, machine.threads);
    fmt::print("{}", plan_text(command, runs, costs, machine));
    std::fflush(stdout);
    if (command.dry_run) return 0;
    trained = train_all(command, runs, costs, machine);
  } else {
    require(fs::is_directory(command.options.out), ExitCode::storage,
            "--report-only: there is no folder {}", command.options.out.string());
  }
  const Outcomes outcomes = read_all(runs, command.options.out);
  const ReproReport report = make_repro_report(command.options, outcomes, device);
  fmt::print("\n{}\nreport: {}/repro.html (and .md, .json)\n", report.verdicts,
             command.options.out.string());
  std::fflush(stdout);
  if (trained.interrupted) {
    fail(ExitCode::interrupted,
         "farsight repro: interrupted; the runs under way have saved their checkpoints. The same "
         "command goes on from there.");
  }
  require(trained.failed == 0, ExitCode::internal,
          "farsight repro: {} of {} runs failed twice; their cells say why, their logs are in "
          "{}/logs. The same command tries them again.",
          trained.failed, runs.size(), command.options.out.string());
  return 0;
}

}  // namespace

int run_repro(std::span<const std::string> arguments) {
  const Words words("farsight repro", kOptions, {arguments.begin(), arguments.end()});
  if (words.has("help")) {
    fmt::print("{}", verb_help("farsight", "repro", kReproHelp, kOptions, Settings()));
    return 0;
  }
  words.refuse_unknown();
  return carry_out(command_of(words));
}

}  // namespace farsight
