#include "train/repro/repro.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "core/check.h"
#include "core/files.h"
#include "train/corpora.h"
#include "train/from_settings.h"
#include "train/quantities.h"
#include "train/repro/estimate.h"
#include "train/repro/machine.h"
#include "train/repro/outcomes.h"
#include "train/repro/repro_command.h"
#include "train/repro/repro_report.h"
#include "train/repro/view.h"
#include "train/task.h"
#include "train/trainer.h"
#include "train/training_task.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

Job job_of(const PlannedRun& run, const RunPaths& paths, const Machine& machine, double seconds) {
  const std::string program = program_of(run.training);
  Job job{.name = run.name, .commands = {}, .log = paths.log, .seconds = seconds};
  JobCommand train{.words = {program}, .done = [=] { return is_trained(run, paths); }};
  const std::vector<std::string> words = training_words(run, paths.folder, machine.settings());
  train.words.insert(train.words.end(), words.begin(), words.end());
  train.afresh = {"--overwrite"};
  job.commands.push_back(train);
  const std::vector<std::string> tests = further_tests(run, paths);
  if (!tests.empty()) {
    JobCommand test{.words = {program, "eval", "--run", paths.folder.string(), "--task",
                              fmt::format("{}", fmt::join(tests, ",")), "--json",
                              fmt::format("--run.threads={}", machine.threads)},
                    .output = paths.tests,
                    .done = [=] { return is_tested(run, paths); }};
    if (run.language_items > 0) {
      test.words.push_back(fmt::format("--limit={}", run.language_items));
    }
    job.commands.push_back(test);
  }
  return job;
}

std::int64_t steps_of(const PlannedRun& run) {
  return total_steps(run.settings, planned_task_of(run.settings).data);
}

std::string plan_text(const ReproCommand& command, const std::vector<PlannedRun>& runs,
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
        fmt::format("{:<34} {:>9} {:>8} {:>9}  {}\n", runs[i].name, grouped(steps_of(runs[i])),
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

/// A run whose result.json was damaged counts as not finished; it is written again from the last
/// checkpoint.
void drop_damaged_results(const ReproCommand& command, const std::vector<PlannedRun>& runs) {
  for (const PlannedRun& run : runs) {
    const RunPaths paths = paths_of(command.options.out, run);
    if (!result_is_damaged(run, paths)) continue;
    const fs::path result = paths.folder / "result.json";
    fmt::print(stderr, "{} is damaged: it is written again from the checkpoint\n", result.string());
    std::error_code problem;
    fs::remove(result, problem);
    require(!problem, ExitCode::storage, "cannot delete {}: {}", result.string(),
            problem.message());
  }
}

/// Runs of other settings under the same names are deleted or refused, before anything is trained.
void settle_conflicts(const ReproCommand& command, const std::vector<PlannedRun>& runs) {
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

/// What the whole ends with when a run does: its own exit code, if it is one of ours.
ExitCode failure_of(const JobStatus& status) {
  for (const ExitCode code :
       {ExitCode::usage, ExitCode::data, ExitCode::corrupt, ExitCode::storage, ExitCode::diverged,
        ExitCode::memory, ExitCode::peer, ExitCode::device}) {
    if (status.exit_code == static_cast<int>(code)) return code;
  }
  return ExitCode::internal;
}

/// For the report. A disk that is full says so in the line of the failure itself.
void keep_reason(const RunPaths& paths, const JobStatus& status) {
  try {
    write_file_atomically(paths.failure, status.reason + '\n');
  } catch (const Error&) {
  }
}

/// Trains and tests what is not there yet; whether a signal ended it, and how many failed.
struct Trained {
  std::optional<ExitCode> interrupted{};
  std::size_t failed = 0;
  ExitCode failure = ExitCode::internal;  ///< of the first run that failed
};
Trained train_all(const ReproCommand& command, const std::vector<PlannedRun>& runs,
                  const std::vector<RunCost>& costs, const Machine& machine) {
  const fs::path& out = command.options.out;
  for (const char* part : {"runs", "tests", "logs"})
    make_output_folder(out / part);
  const FolderLock lock(out);
  settle_conflicts(command, runs);
  drop_damaged_results(command, runs);
  std::vector<Job> jobs;
  std::vector<ViewedRun> viewed;
  for (std::size_t i = 0; i < runs.size(); i++) {
    const RunPaths paths = paths_of(out, runs[i]);
    std::error_code none;
    fs::remove(paths.failure, none);
    jobs.push_back(job_of(runs[i], paths, machine, costs[i].seconds));
    viewed.push_back({runs[i].name, paths.folder, steps_of(runs[i])});
  }
  ReproView view(stderr_display(true), viewed, jobs, machine.slots.size());
  const CatchInterrupts catching;
  const JobEvents events{
      .changed =
          [&](std::size_t job, const JobStatus& status) {
            if (status.state == JobState::failed) keep_reason(paths_of(out, runs[job]), status);
            view.changed(job, status);
          },
      .tick = [&](const std::vector<JobStatus>& statuses) { view.tick(statuses); },
      .interrupted = [] { return CatchInterrupts::requested(); }};
  const std::vector<JobStatus> statuses = run_jobs(jobs, machine.slots, events);
  view.finish();
  Trained result;
  for (const JobStatus& status : statuses) {
    const bool failed = status.state == JobState::failed;
    if (failed && result.failed == 0) result.failure = failure_of(status);
    result.failed += failed ? 1 : 0;
    if (status.state == JobState::stopped) result.interrupted = CatchInterrupts::exit_code();
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

Device chosen_device(const ReproCommand& command) {
  Settings settings;
  for (const auto& [name, text] : command.options.settings) {
    const Setting& setting = setting_named(name);
    if (name == "run.device") setting.set(settings, parse_value(setting, text, "--device"));
  }
  return device_of(settings);
}

int carry_out(ReproCommand command) {
  const Device device = chosen_device(command);
  if (!command.report_only) {
    command.options.settings.emplace_back("run.device", name_of(device));
  }
  const std::vector<PlannedRun> runs = plan_runs(command.options);
  require(!runs.empty(), ExitCode::usage,
          "farsight repro: there is nothing to do: --table and --figure name nothing");
  Trained trained;
  if (!command.report_only) {
    for (const PlannedRun& run : runs) {
      if (!is_language_model(run.settings)) continue;
      const RunPaths paths = paths_of(command.options.out, run);
      if (!is_trained(run, paths) || !is_tested(run, paths)) require_corpora_there(run.settings);
    }
    const Machine machine = machine_of(command, device, runs.size());
    const std::vector<RunCost> costs = estimate_costs(runs, command.options.out, machine);
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
    fail(*trained.interrupted,
         "farsight repro: interrupted; the runs under way have saved their checkpoints. The same "
         "command goes on from there.");
  }
  if (trained.failed == 0) return 0;
  const std::string failures = fmt::format(
      "farsight repro: {} of {} runs failed; the page says why, their logs are in {}/logs.",
      trained.failed, runs.size(), command.options.out.string());
  if (!outcomes.complete(command.options.wanted)) {
    fail(trained.failure, "{} The same command tries them again.", failures);
  }
  fmt::print(stderr, "{} Everything that was asked for is there without them.\n", failures);
  return 0;
}

}  // namespace

int run_repro(std::span<const std::string> words) {
  const ReproCommand command = parse_repro(words);
  if (command.text.empty()) return carry_out(command);
  fmt::print("{}", command.text);
  return 0;
}

}  // namespace farsight
