#include "train/repro/jobs.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <thread>

#include "core/check.h"
#include "core/clock.h"
#include "core/files.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr int kAttempts = 2;
constexpr auto kPause = std::chrono::milliseconds(50);
constexpr double kGraceSeconds = 60;  // for what runs to save itself when something breaks here

/// The last line of a log that says something; empty where it cannot be read.
std::string last_line(const fs::path& log) {
  std::string text;
  try {
    text = read_file(log);
  } catch (const Error&) {
    return "";
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
    text.pop_back();
  const std::size_t begin = text.find_last_of('\n');
  return begin == std::string::npos ? text : text.substr(begin + 1);
}

std::string reason_of(const ChildEnd& end, const fs::path& log) {
  const std::string line = last_line(log);
  return line.empty() ? end.text() : fmt::format("{}: {}", end.text(), line);
}

bool is(const ChildEnd& end, ExitCode code) {
  return end.exit_code == static_cast<int>(code);
}

/// What cannot even be looked at is not there.
bool is_done(const JobCommand& command) {
  try {
    return command.done && command.done();
  } catch (const std::exception&) {
    return false;
  }
}

class Scheduler {
 public:
  Scheduler(const std::vector<Job>& jobs, const Slots& slots, const JobEvents& events)
      : jobs_(jobs),
        slots_(slots),
        events_(events),
        status_(jobs.size()),
        next_command_(jobs.size()),
        afresh_(jobs.size()),
        running_(slots.size()) {
    check(!slots.empty(), "run_jobs: there must be at least one slot");
    queue_.resize(jobs.size());
    std::iota(queue_.begin(), queue_.end(), std::size_t{0});
    std::stable_sort(queue_.begin(), queue_.end(), [&](std::size_t a, std::size_t b) {
      return jobs[a].seconds > jobs[b].seconds;
    });
  }

  std::vector<JobStatus> run() {
    try {
      run_all();
    } catch (...) {
      interrupt_all();
      wait_for_all(kGraceSeconds);
      throw;
    }
    for (const std::size_t job : queue_)
      change(job, JobState::stopped);
    return status_;
  }

 private:
  void run_all() {
    skip_done();
    while (true) {
      if (!stopping_ && events_.interrupted && events_.interrupted()) interrupt_all();
      poll();
      if (!stopping_) fill();
      if (events_.tick) events_.tick(status_);
      if (idle() && (stopping_ || queue_.empty())) break;
      std::this_thread::sleep_for(kPause);
    }
  }

  struct Running {
    std::size_t job = 0;
    ChildProcess process;
  };

  bool idle() const {
    return std::all_of(running_.begin(), running_.end(), [](const auto& r) { return !r; });
  }

  void change(std::size_t job, JobState state) {
    status_[job].state = state;
    if (events_.changed) events_.changed(job, status_[job]);
  }

  fs::path standard_output(std::size_t job) const {
    fs::path path = jobs_[job].log;
    path.replace_extension(".out");
    return path;
  }

  /// The first command from `from` on whose results are not there.
  std::size_t next_to_do(std::size_t job, std::size_t from) const {
    const std::vector<JobCommand>& commands = jobs_[job].commands;
    while (from < commands.size() && is_done(commands[from]))
      from++;
    return from;
  }

  void skip_done() {
    std::erase_if(queue_, [&](std::size_t job) {
      next_command_[job] = next_to_do(job, 0);
      if (next_command_[job] < jobs_[job].commands.size()) return false;
      status_[job].skipped = true;
      change(job, JobState::done);
      return true;
    });
  }

  /// Trainers save themselves at it.
  void interrupt_all() {
    stopping_ = true;
    for (const auto& running : running_) {
      if (running) running->process.send(SIGINT);
    }
  }

  void wait_for_all(double seconds) {
    const double deadline = seconds_now() + seconds;
    for (const auto& running : running_) {
      if (running) running->process.wait(std::max(0.0, deadline - seconds_now()));
    }
  }

  void fill() {
    for (std::size_t slot = 0; slot < slots_.size() && !queue_.empty(); slot++) {
      if (running_[slot]) continue;
      const std::size_t job = queue_.front();
      queue_.erase(queue_.begin());
      start(job, slot);
    }
  }

  void start(std::size_t job, std::size_t slot) {
    const JobCommand& command = jobs_[job].commands[next_command_[job]];
    std::vector<std::string> words = command.words;
    if (afresh_[job]) words.insert(words.end(), command.afresh.begin(), command.afresh.end());
    JobStatus& status = status_[job];
    status.attempts++;
    status.slot = slot;
    status.began = seconds_now();
    try {
      running_[slot] = std::make_unique<Running>(
          Running{job, ChildProcess({.words = words,
                                     .environment = slots_[slot],
                                     .output = ChildStream::file(standard_output(job)),
                                     .errors = ChildStream::appended(jobs_[job].log)})});
    } catch (const Error& error) {  // of this job alone: the others go on
      status.reason = error.what();
      return try_again(job);
    }
    change(job, JobState::running);
  }

  void try_again(std::size_t job) {
    if (status_[job].attempts >= kAttempts) return change(job, JobState::failed);
    queue_.push_back(job);
    change(job, JobState::waiting);
  }

  void poll() {
    for (std::size_t slot = 0; slot < running_.size(); slot++) {
      if (!running_[slot]) continue;
      const std::optional<ChildEnd> end = running_[slot]->process.poll();
      if (!end) continue;
      const std::size_t job = running_[slot]->job;
      running_[slot].reset();
      ended(job, slot, *end);
    }
  }

  void ended(std::size_t job, std::size_t slot, const ChildEnd& end) {
    JobStatus& status = status_[job];
    status.took += seconds_now() - status.began;
    const JobCommand& command = jobs_[job].commands[next_command_[job]];
    if (end.exit_code == 0 && keep_output(job, command)) {
      next_command_[job] = next_to_do(job, next_command_[job] + 1);
      afresh_[job] = false;
      if (next_command_[job] == jobs_[job].commands.size()) {
        change(job, JobState::done);
      } else if (stopping_) {
        change(job, JobState::stopped);
      } else {
        status.attempts = 0;  // each command has its own
        start(job, slot);
      }
      return;
    }
    if (stopping_) return change(job, JobState::stopped);
    status.exit_code = end.exit_code;
    if (end.exit_code != 0) status.reason = reason_of(end, jobs_[job].log);
    // The same command gives the same bits: these ends would come again.
    const bool hopeless =
        is(end, ExitCode::usage) || is(end, ExitCode::data) || is(end, ExitCode::diverged);
    if (hopeless) return change(job, JobState::failed);
    afresh_[job] = is(end, ExitCode::corrupt);
    try_again(job);
  }

  /// False if what it printed is not there, although it ended well.
  bool keep_output(std::size_t job, const JobCommand& command) {
    if (!command.output.empty()) {
      try {
        write_file_atomically(command.output, read_file(standard_output(job)));
      } catch (const Error& error) {
        status_[job].reason = error.what();
        return false;
      }
    }
    if (!command.done || is_done(command)) return true;
    status_[job].reason = "it ended well, but its results are not there";
    return false;
  }

  const std::vector<Job>& jobs_;
  const Slots& slots_;
  const JobEvents& events_;
  std::vector<JobStatus> status_;
  std::vector<std::size_t> next_command_;
  std::vector<bool> afresh_;  // the next attempt deletes what the last one left
  std::vector<std::size_t> queue_;
  std::vector<std::unique_ptr<Running>> running_;  // by slot
  bool stopping_ = false;
};

}  // namespace

std::vector<JobStatus> run_jobs(const std::vector<Job>& jobs, const Slots& slots,
                                const JobEvents& events) {
  return Scheduler(jobs, slots, events).run();
}

}  // namespace farsight
