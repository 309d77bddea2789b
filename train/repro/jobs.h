// Many programs that run side by side: so many at a time, each failure tried once more, all of them
// stopped cleanly by Ctrl-C. Knows nothing of what they compute.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/child_process.h"

namespace farsight {

struct JobCommand {
  std::vector<std::string> words;     ///< the program first
  std::filesystem::path output{};     ///< gets its stdout, whole, when it has ended well
  std::function<bool()> done{};       ///< its results are there already: it is left out
  std::vector<std::string> afresh{};  ///< further words after a damaged file: "--overwrite"
};

/// Commands one after the other.
struct Job {
  std::string name;
  std::vector<JobCommand> commands;
  std::filesystem::path log;  ///< stderr of all attempts; beside it NAME.out while it runs
  double seconds = 1;         ///< estimated; long ones begin first
};

enum class JobState : std::uint8_t { waiting, running, done, failed, stopped };

struct JobStatus {
  JobState state = JobState::waiting;
  bool skipped = false;        ///< done before anything was started
  int attempts = 0;            ///< started so far
  std::size_t slot = 0;        ///< while it runs
  double began = 0, took = 0;  ///< seconds
  std::string reason{};        ///< of the last failure: "exit code 6: training diverged at ..."
  int exit_code = -1;          ///< of the last failure; -1: a signal, or it did not start
};

/// What is told while they run. Indices are those of the jobs.
struct JobEvents {
  std::function<void(std::size_t job, const JobStatus&)> changed{};  ///< a new state, or a retry
  std::function<void(const std::vector<JobStatus>&)> tick{};         ///< several times a second
  std::function<bool()> interrupted{};  ///< Ctrl-C came: all are sent SIGINT and waited for
};

/// A place for one job at a time: what its processes find in their environment.
using Slots = std::vector<Environment>;

/// Runs them all and returns how each ended; a failure keeps nobody else from running, not even one
/// to start or to keep what it printed. A second attempt repeats the command; after a damaged file
/// (exit code 4) with the words of `afresh`. What no repetition can mend (usage, settings, a training
/// that diverged: exit codes 2, 3, 6) gets none. Throws what `events` throw, after what runs had a
/// minute to save itself.
std::vector<JobStatus> run_jobs(const std::vector<Job>& jobs, const Slots& slots,
                                const JobEvents& events);

}  // namespace farsight
