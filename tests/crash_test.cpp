// Runs that are killed, and disks that fail while a checkpoint is saved (crash_counts.h).
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <random>
#include <thread>

#include "tests/child_process.h"
#include "tests/crash_counts.h"
#include "tests/failing_calls.h"
#include "tests/tiny_run.h"
#include "tests/trained_model.h"
#include "tests/unsynced_disk.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

// ---- killed ----------------------------------------------------------------------------------------

std::vector<std::string> long_run(const std::string& out) {
  std::vector<std::string> words = {"train"};
  const std::vector<std::string> flags =
      words_of(tiny_flags({{"train.steps", "240"}, {"checkpoint.interval", "3"}}));
  words.insert(words.end(), flags.begin(), flags.end());
  words.insert(words.end(), {"--device", "cpu", "--out", out, "--threads", "1"});
  return words;
}

std::string hash_of_result(const fs::path& run) {
  return read_json(run / "result.json").at("parameter_hash").as_string();
}

TEST_CASE("crash: killed at random moments, a run goes on by itself and ends at the same bits") {
  using std::chrono::microseconds;
  const int wanted = crash_count("FARSIGHT_KILLS", 8);
  const TemporaryFolder folder;
  const auto began = std::chrono::steady_clock::now();
  REQUIRE(run_mamba(folder.path(), long_run("whole")).exit_code == 0);
  const auto whole =
      std::chrono::duration_cast<microseconds>(std::chrono::steady_clock::now() - began);
  const std::string expected = hash_of_result(folder / "whole");
  std::mt19937 random(7);
  int kills = 0, finished = 0, while_writing = 0;
  while (kills < wanted) {
    const std::string name = fmt::format("run{}", finished);
    while (true) {
      Child child(folder.path(), long_run(name));
      // Anywhere between its start and about a third of a whole run; every other as it writes.
      std::uniform_int_distribution<std::int64_t> moment(0, whole.count() / 3);
      std::this_thread::sleep_for(microseconds(moment(random)));
      const fs::path run = folder / name;
      const auto writes = [&] {
        std::error_code none;
        for (const auto& entry : fs::directory_iterator(run, none)) {
          if (entry.path().filename().string().ends_with(".inprogress")) return true;
        }
        return false;
      };
      for (int i = 0; i < 2000 && kills % 2 == 1 && child.running() && !writes(); i++) {
        std::this_thread::sleep_for(microseconds(20));
      }
      while_writing += writes() ? 1 : 0;
      child.send(SIGKILL);
      const Outcome outcome = child.wait();
      if (outcome.exit_code == 0) break;  // it was done first
      REQUIRE_MESSAGE(outcome.signal == SIGKILL, outcome.err);
      kills++;
      if (fs::exists(run / "result.json")) break;  // its page was being made
      if (kills < wanted) continue;
      const Outcome rest = run_mamba(folder.path(), long_run(name));
      REQUIRE_MESSAGE(rest.exit_code == 0, rest.err);
      break;
    }
    CHECK(hash_of_result(folder / name) == expected);
    finished++;
  }
  say(
      fmt::format("{} kills by SIGKILL ({} while a checkpoint was being written), {} runs ended at "
                  "the bits of one that was left alone, 0 repairs",
                  kills, while_writing, finished));
}

// ---- a disk that fails ------------------------------------------------------------------------------

/// A run with one checkpoint, and a save of a second one that something happens to.
struct Save {
  TemporaryFolder parent;
  Trained first{1}, second{2};
  int runs = 0;
  ~Save() { file_calls() = system_file_calls(); }
  fs::path run() const { return parent / std::to_string(runs); }
  void prepare() {
    file_calls() = system_file_calls();
    file_calls().fsync = [](int) { return 0; };
    runs++;
    fs::create_directory(run());
    save_checkpoint(run(), first.model, first.optimizer, {.step = 1});
    write_pointer(run() / "best", checkpoint_name(1));
  }
  void save() const {
    save_checkpoint(run(), second.model, second.optimizer, {.step = 2});
    prune_checkpoints(run(), 1);
  }
  /// `latest` names the whole old or the whole new one.
  std::int64_t check_loadable() const {
    Trained loaded(3);
    const TrainState state =
        load_checkpoint(pointed_checkpoint(run(), "latest"), loaded.model, loaded.optimizer);
    const Trained& expected = state.step == 1 ? first : second;
    CHECK(parameter_hash(loaded.model) == parameter_hash(expected.model));
    CHECK(same_moments(loaded, expected));
    fs::remove_all(run());
    return state.step;
  }
};

TEST_CASE("crash: any system call of a save may fail, or do half of what it should") {
  Save test;
  int failures = 0, reported = 0;
  fail_everywhere([&] { test.prepare(); }, [&] { test.save(); },
                  [&](bool failed) {
                    failures++;
                    reported += failed ? 1 : 0;
                    test.check_loadable();
                  });
  int halves = 0;
  for (bool reached = true; reached; halves++) {
    test.prepare();
    std::string message;
    {
      Interceptor interceptor(halves, [](std::string_view) { return false; });
      interceptor.write_half();
      message = error_of([&] { test.save(); });
      reached = interceptor.reached();
    }
    CHECK(message.empty());  // the rest is written by the next call
    CHECK(test.check_loadable() == 2);
  }
  say(
      fmt::format("{} failed calls of a save (ENOSPC, EIO, EROFS, EINTR; {} reported) and {} short "
                  "writes, a whole checkpoint after each",
                  failures, reported, halves));
}

TEST_CASE("crash: a machine that dies at any call of a save loses what was not synced, not more") {
  Save test;
  int deaths = 0, newer = 0;
  for (std::uint32_t seed = 0; seed < 6; seed++) {
    constexpr int kDied = 9, kDone = 0;
    int status = kDied;
    for (int nth = 0; status == kDied; nth++) {
      test.prepare();
      std::fflush(nullptr);
      const pid_t child = fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        file_calls() = system_file_calls();
        fs::remove_all(test.parent / "kept");
        fs::create_directory(test.parent / "kept");
        UnsyncedDisk disk(test.parent / "kept");
        Interceptor interceptor(nth, [&](std::string_view) -> bool {
          disk.lose(seed * 1000 + static_cast<std::uint32_t>(nth));
          _exit(kDied);
        });
        test.save();
        _exit(kDone);
      }
      int how = 0;
      REQUIRE(waitpid(child, &how, 0) == child);
      REQUIRE(WIFEXITED(how));
      status = WEXITSTATUS(how);
      CAPTURE(nth);
      CAPTURE(seed);
      deaths++;
      newer += test.check_loadable() == 2 ? 1 : 0;
      REQUIRE(nth < 200);
    }
    CHECK(status == kDone);
  }
  say(
      fmt::format("{} deaths of the machine during a save, what was not synced lost: {} times the "
                  "new checkpoint, {} times the old one, always whole",
                  deaths, newer, deaths - newer));
}

}  // namespace
}  // namespace farsight
