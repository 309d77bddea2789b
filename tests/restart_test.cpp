// A launcher starts all ranks again, with the words that it was given first: what was begun is not begun
// anew, and what they go back to, they have gone back to.
#include "train/operations/restart.h"

#include <doctest/doctest.h>

#include "core/files.h"
#include "core/json.h"
#include "tests/rank_processes.h"
#include "tests/tiny_run.h"
#include "train/ranks/launch.h"
#include "train/ranks/launch_job.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

struct Died {};

Flags in_folder(const fs::path& run) {
  return tiny_flags(
      {{"run.out", run.string()}, {"checkpoint.interval", "4"}, {"checkpoint.keep_last", "9"}});
}

/// A run that died after 14 steps; checkpoints of 4, 8 and 12 are there, and of 6: it was the best then.
void half_a_run(const fs::path& run) {
  const auto die = [](int step) {
    if (step == 14) throw Died();
  };
  CHECK_THROWS_AS(TinyRun(in_folder(run)).train(die), Died);
}

fs::path latest_of(const fs::path& run) {
  return pointed_checkpoint(run, "latest").filename();
}

TEST_CASE(
    "restart: a run that goes back to a step, and is started again, goes on from what came after") {
  const TemporaryFolder folder;
  const fs::path run = folder / "a";
  half_a_run(run);
  const TrainOptions asked{.resume = "step-4"};
  const ResumePoint first = resume_point(asked, run, true);
  begin_from(run, first.checkpoint, "launch 1");
  CHECK(latest_of(run) == checkpoint_name(4));
  CHECK(begun_by(run, "launch 1"));
  CHECK_FALSE(begun_by(run, "launch 2"));
  CHECK_FALSE(begun_by(run, ""));
  write_file_atomically(run / "latest", "half a na");  // a torn pointer is no reason to stop
  begin_from(run, first.checkpoint, "launch 1");
  CHECK(latest_of(run) == checkpoint_name(4));
  // Lost before there was a checkpoint, and after it.
  CHECK(restart_point(asked, run, true).checkpoint == run / checkpoint_name(4));
  write_pointer(run / "latest", checkpoint_name(8));
  CHECK(restart_point(asked, run, true).checkpoint == run / checkpoint_name(8));
}

TEST_CASE("restart: one that goes on from elsewhere does so once it has a checkpoint of its own") {
  const TemporaryFolder folder;
  const fs::path other = folder / "other", run = folder / "run";
  half_a_run(other);
  half_a_run(run);
  const TrainOptions asked{.resume = (other / checkpoint_name(8)).string()};
  const ResumePoint first = resume_point(asked, run, true);
  begin_from(run, first.checkpoint, "launch 1");
  CHECK_FALSE(fs::exists(run / "latest"));  // what it names was another future
  CHECK(latest_of(other) == checkpoint_name(12));
  CHECK(restart_point(asked, run, true).checkpoint == other / checkpoint_name(8));
  write_pointer(run / "latest", checkpoint_name(12));
  CHECK(restart_point(asked, run, true).checkpoint == run / checkpoint_name(12));
}

TEST_CASE("restart: what a launch has begun is found by its name, and not deleted or passed by") {
  const TemporaryFolder folder;
  const std::string launch = "launch 4711 5a0c";
  const fs::path run = folder / "a", next = folder / "a-2";
  Assignments file;  // and no flag: then a run that is in the way is left alone
  for (const auto& [name, text] : in_folder(run)) {
    const Setting& setting = setting_named(name);
    file.push_back({&setting, parse_value(setting, text, name), name});
  }
  half_a_run(run);
  const auto begun = [&](const TrainOptions& options, const std::string& by,
                         const fs::path& where) {
    RunRecord record(resolve(file, {}), options, by);
    CHECK(record.folder() == where);
    if (!record.restarts()) begin_from(record.folder(), {}, by);
    return record.restarts();
  };
  const TrainOptions never{.resume = "never"}, overwrite{.overwrite = true};
  CHECK_FALSE(begun(never, launch, next));
  CHECK(begun(never, launch, next));
  CHECK_FALSE(begun(never, "launch 4712 5a0c", folder / "a-3"));
  CHECK_FALSE(begun(overwrite, launch + "d", run));
  CHECK_FALSE(fs::exists(run / "latest"));
  write_pointer(run / "latest", checkpoint_name(4));
  CHECK(begun(overwrite, launch + "d", run));
  CHECK(fs::exists(run / "latest"));
}

TEST_CASE(
    "restart: the name of a launch is the same in all its attempts, of which none meets another") {
  const std::string launch = "launch 4711 5a0c";
  CHECK(job_of_attempt(launch, 0) != job_of_attempt(launch, 1));
  CHECK(job_of_attempt(launch, 1) != job_of_attempt(launch, 2));
  for (const int attempt : {0, 1, 12}) {
    setenv("FARSIGHT_JOB", job_of_attempt(launch, attempt).c_str(), 1);
    CHECK(launch_of_process() == launch);
  }
  setenv("FARSIGHT_JOB", "test", 1);
  CHECK(launch_of_process() == "");
  unsetenv("FARSIGHT_JOB");
  CHECK(launch_of_process() == "");
}

TEST_CASE(
    "restart: a rank is lost twice in a run that went back to a step, and it ends at the same "
    "bits") {
  const TemporaryFolder folder;
  const Flags flags = tiny_flags({{"run.out", "run"},
                                  {"run.device", "cpu"},
                                  {"train.steps", "40"},
                                  {"checkpoint.interval", "2"},
                                  {"checkpoint.keep_last", "20"}});
  std::vector<std::string> train = {FARSIGHT_BINARY_DIR "/bin/mamba", "train"};
  for (const std::string& word : words_of(flags))
    train.push_back(word);
  /// `before`: what rank 1 does beside it.
  const auto launched = [&](const std::string& before, const std::vector<std::string>& more) {
    std::vector<std::string> words = {
        "/bin/sh", "-c",
        "cd '" + folder.path().string() + "'; " + before + " exec \"$@\" >out.$RANK 2>>err.$RANK",
        "ranks"};
    words.insert(words.end(), train.begin(), train.end());
    words.insert(words.end(), more.begin(), more.end());
    return launch({.words = words, .nproc = 2, .max_restarts = 2, .grace_seconds = 0.5});
  };
  const auto hash = [&] {
    return read_json(folder / "run/result.json").at("parameter_hash").as_string();
  };
  CHECK(launched("", {}) == 0);
  const std::string expected = hash();
  fs::remove(folder / "run/result.json");
  fs::remove(folder / "err.0");
  // Killed when the newest is that of step 8 or a later one, and the second time before it has met
  // anybody.
  const std::string kill =
      "if [ $RANK = 1 ] && mkdir once 2>/dev/null; then "
      "(seen=; while kill -0 $$ 2>/dev/null; do case $(cat run/latest) in *04|*06) seen=1;; "
      "?*) test $seen && break;; esac; sleep 0.002; done; kill -9 $$ 2>/dev/null) & elif [ $RANK = "
      "1 ] && mkdir twice 2>/dev/null; then kill -9 $$; fi;";
  CHECK(launched(kill, {"--resume", "step-4"}) == 0);
  CHECK(hash() == expected);
  const std::string said = read_plainly(folder / "err.0");
  INFO(said);
  CHECK(mentions(said, "resuming from run/step-00000004"));
  const std::size_t first = said.find("resuming from");
  const std::size_t again = said.find("resuming from", first + 1);
  REQUIRE(again != std::string::npos);
  CHECK_FALSE(mentions(said.substr(again), "resuming from run/step-00000004"));
}

}  // namespace
}  // namespace farsight
