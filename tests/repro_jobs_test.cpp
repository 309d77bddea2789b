// Jobs side by side, with a shell as the fake trainer: what is skipped, retried, given up, stopped.
#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "core/clock.h"
#include "tests/temporary_folder.h"
#include "train/repro/jobs.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

/// A job whose one command is a line of shell; done when the file `result` is there.
Job shell(const TemporaryFolder& folder, const std::string& name, const std::string& line,
          double seconds = 1) {
  const fs::path result = folder / (name + ".result");
  return {.name = name,
          .commands = {{.words = {"/bin/sh", "-c", "cd " + folder.path().string() + "; " + line},
                        .done = [result] { return fs::exists(result); }}},
          .log = folder / (name + ".log"),
          .seconds = seconds};
}

std::size_t lines_of(const fs::path& path) {
  const std::string text = fs::exists(path) ? read_plainly(path) : "";
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST_CASE("jobs: what is done is skipped, the rest is run, long ones first") {
  const TemporaryFolder folder;
  const std::vector<Job> jobs = {shell(folder, "short", "echo short >> order; touch short.result"),
                                 shell(folder, "there", "echo there >> order"),
                                 shell(folder, "long", "echo long >> order; touch long.result", 9)};
  write_plainly(folder / "there.result", "");
  const std::vector<JobStatus> statuses = run_jobs(jobs, Slots(1), {});
  for (const JobStatus& status : statuses)
    CHECK(status.state == JobState::done);
  CHECK(statuses[1].skipped);
  CHECK(statuses[1].attempts == 0);
  CHECK(read_plainly(folder / "order") == "long\nshort\n");
  for (const JobStatus& status : run_jobs(jobs, Slots(1), {}))
    CHECK(status.skipped);
  CHECK(lines_of(folder / "order") == 2);
}

TEST_CASE("jobs: a failure is tried once more and keeps nobody from running") {
  const TemporaryFolder folder;
  const std::vector<Job> jobs = {
      shell(folder, "never", "echo x >> never.tries; echo 'no luck' >&2; exit 1"),
      shell(folder, "second",
            "echo x >> second.tries; [ $(wc -l < second.tries) = 2 ] && "
            "touch second.result"),
      shell(folder, "liar", "echo x >> liar.tries"),  // ends well and leaves nothing
      shell(folder, "usage", "echo x >> usage.tries; exit 2"),
      shell(folder, "killed", "echo x >> killed.tries; kill -9 $$"),
      shell(folder, "good", "touch good.result"),
      {.name = "absent",
       .commands = {{.words = {(folder / "no-such-program").string()}}},
       .log = folder / "absent.log"},
      shell(folder, "diverged", "echo x >> diverged.tries; exit 6")};
  const std::vector<JobStatus> statuses = run_jobs(jobs, Slots(2), {});
  CHECK(statuses[0].state == JobState::failed);
  CHECK(statuses[0].reason == "exit code 1: no luck");
  CHECK(lines_of(folder / "never.tries") == 2);
  CHECK(statuses[1].state == JobState::done);
  CHECK(statuses[1].attempts == 2);
  CHECK(statuses[2].state == JobState::failed);
  CHECK(mentions(statuses[2].reason, "results are not there"));
  CHECK(statuses[3].state == JobState::failed);
  CHECK(lines_of(folder / "usage.tries") == 1);  // repeating mends no option
  CHECK(statuses[7].state == JobState::failed);
  CHECK(lines_of(folder / "diverged.tries") == 1);  // the same bits would diverge again
  CHECK(statuses[4].state == JobState::failed);
  CHECK(mentions(statuses[4].reason, "signal 9"));
  CHECK(statuses[5].state == JobState::done);
  CHECK(statuses[6].state == JobState::failed);
  CHECK(statuses[6].attempts == 2);
  CHECK(mentions(statuses[6].reason, "cannot start"));
  CHECK(mentions(statuses[6].reason, "No such file"));
}

TEST_CASE(
    "jobs: one whose log cannot be written, or whose results cannot be looked at, fails alone") {
  const TemporaryFolder folder;
  std::vector<Job> jobs = {shell(folder, "homeless", "touch homeless.result"),
                           shell(folder, "unclear", "true"),
                           shell(folder, "good", "touch good.result")};
  jobs[0].log = folder / "absent" / "log";
  jobs[1].commands[0].done = []() -> bool { throw std::runtime_error("what is this"); };
  const std::vector<JobStatus> statuses = run_jobs(jobs, Slots(2), {});
  CHECK(statuses[0].state == JobState::failed);
  CHECK(mentions(statuses[0].reason, "cannot open"));
  CHECK(statuses[1].state == JobState::failed);
  CHECK(statuses[2].state == JobState::done);
}

TEST_CASE("jobs: when the listener breaks, what runs may save itself first") {
  const TemporaryFolder folder;
  const std::vector<Job> jobs = {
      shell(folder, "a",
            "trap 'sleep 0.2; echo saved > a.saved; exit 130' INT; touch a.ready; "
            "while :; do sleep 0.02; done")};
  const JobEvents events{.tick = [&](const std::vector<JobStatus>&) {
    if (fs::exists(folder / "a.ready")) throw std::runtime_error("the terminal is gone");
  }};
  CHECK_THROWS_WITH(run_jobs(jobs, Slots(1), events), "the terminal is gone");
  CHECK(lines_of(folder / "a.saved") == 1);
}

TEST_CASE("jobs: after a damaged file the second attempt begins anew") {
  const TemporaryFolder folder;
  Job job = shell(folder, "a", "");
  job.commands[0].words = {
      "/bin/sh", "-c",
      "cd " + folder.path().string() + "; [ \"$0\" = --overwrite ] && touch a.result || exit 4",
      "plain"};
  // $0 is the word behind the script: what `afresh` adds comes after it.
  job.commands[0].words[2] =
      "cd " + folder.path().string() + "; [ \"$1\" = --overwrite ] && touch a.result || exit 4";
  job.commands[0].afresh = {"--overwrite"};
  CHECK(run_jobs({job}, Slots(1), {})[0].state == JobState::done);
}

TEST_CASE("jobs: every command of a job may fail once") {
  const TemporaryFolder folder;
  const auto at_second_try = [](const std::string& name) {
    return "echo x >> " + name + ".tries; [ $(wc -l < " + name + ".tries) = 2 ] && touch " + name +
           ".result";
  };
  Job job = shell(folder, "a", at_second_try("a"));
  const Job next = shell(folder, "b", at_second_try("b"));
  job.commands.push_back(next.commands.front());
  const std::vector<JobStatus> statuses = run_jobs({job}, Slots(1), {});
  CHECK(statuses[0].state == JobState::done);
  CHECK(fs::exists(folder / "b.result"));
}

TEST_CASE("jobs: commands of a job follow one another, and output is kept whole or not at all") {
  const TemporaryFolder folder;
  Job job = shell(folder, "a", "touch a.result");
  job.commands.push_back(
      {.words = {"/bin/sh", "-c", "test -e " + (folder / "a.result").string() + " && echo 42"},
       .output = folder / "a.json"});
  Job bad = shell(folder, "b", "touch b.result");
  bad.commands.push_back(
      {.words = {"/bin/sh", "-c", "echo half; exit 1"}, .output = folder / "b.json"});
  const std::vector<JobStatus> statuses = run_jobs({job, bad}, Slots(2), {});
  CHECK(statuses[0].state == JobState::done);
  CHECK(statuses[0].attempts == 1);
  CHECK(read_plainly(folder / "a.json") == "42\n");
  CHECK(statuses[1].state == JobState::failed);
  CHECK(!fs::exists(folder / "b.json"));
}

TEST_CASE("jobs: each slot has its own environment, and no more run than there are slots") {
  const TemporaryFolder folder;
  std::vector<Job> jobs;
  for (const char* name : {"a", "b", "c", "d"}) {
    jobs.push_back(shell(folder, name,
                         std::string("echo $GPU >> slots; mkdir running.$GPU || exit 1; "
                                     "sleep 0.1; rmdir running.$GPU; touch ") +
                             name + ".result"));
  }
  std::size_t most = 0;
  const JobEvents events{.tick = [&](const std::vector<JobStatus>& statuses) {
    most = std::max<std::size_t>(most, static_cast<std::size_t>(std::count_if(
                                           statuses.begin(), statuses.end(), [](const auto& s) {
                                             return s.state == JobState::running;
                                           })));
  }};
  for (const JobStatus& status : run_jobs(jobs, {{{"GPU", "0"}}, {{"GPU", "1"}}}, events)) {
    CHECK(status.state == JobState::done);
    CHECK(status.attempts == 1);
  }
  CHECK(most == 2);
  const std::string slots = read_plainly(folder / "slots");
  CHECK(mentions(slots, "0\n"));
  CHECK(mentions(slots, "1\n"));
}

TEST_CASE("jobs: an interruption reaches every process once, waits for it and starts no other") {
  const TemporaryFolder folder;
  // A trainer that saves at SIGINT; a second signal would be counted, too.
  const std::string trainer =
      "trap 'echo saved >> NAME.saved; sleep 0.2; exit 130' INT; touch NAME.ready; "
      "while :; do sleep 0.02; done";
  std::vector<Job> jobs;
  for (const std::string name : {"a", "b", "c"}) {
    std::string line = trainer;
    for (std::size_t at; (at = line.find("NAME")) != std::string::npos;)
      line.replace(at, 4, name);
    jobs.push_back(shell(folder, name, line));
  }
  const double began = seconds_now();
  const JobEvents events{.interrupted = [&] {
    return (fs::exists(folder / "a.ready") && fs::exists(folder / "b.ready")) ||
           seconds_now() - began > 20;
  }};
  const std::vector<JobStatus> statuses = run_jobs(jobs, Slots(2), events);
  for (const JobStatus& status : statuses)
    CHECK(status.state == JobState::stopped);
  CHECK(lines_of(folder / "a.saved") == 1);
  CHECK(lines_of(folder / "b.saved") == 1);
  CHECK(statuses[2].attempts == 0);
  CHECK(!fs::exists(folder / "c.ready"));
}

}  // namespace
}  // namespace farsight
