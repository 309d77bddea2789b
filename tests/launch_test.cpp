// Ranks as processes: started together, ended together, and what is said when one dies, hangs, is
// missing or is another than it should be.
#include "train/ranks/launch.h"

#include "core/child_process.h"
#include "core/clock.h"
#include "core/json.h"
#include "tests/rank_processes.h"
#include "tests/rank_threads.h"
#include "tests/tiny_run.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

const std::string kMamba = FARSIGHT_BINARY_DIR "/bin/mamba";

Words train_words(const Flags& more = {}) {
  Words words = {kMamba, "train", "--device", "cpu"};
  for (const std::string& word : words_of(tiny_flags(more)))
    words.push_back(word);
  return words;
}

/// The same with every rank's output in a file of its own.
Words quiet(const fs::path& folder, const Words& words) {
  Words all = {"/bin/sh", "-c",
               "cd '" + folder.string() + "' && exec \"$@\" >out.$RANK 2>err.$RANK", "ranks"};
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

/// Waits until the run has logged a step: all ranks are in the middle of it.
bool wait_for_steps(const fs::path& run) {
  for (const double until = seconds_now() + 60; seconds_now() < until;) {
    if (fs::exists(run / "metrics.jsonl") && fs::file_size(run / "metrics.jsonl") > 0) return true;
    usleep(2000);
  }
  return false;
}

TEST_CASE("launch: ranks train, the first one writes, and no process is left") {
  const TemporaryFolder folder;
  const LaunchSpec spec{.words = quiet(folder.path(), train_words({{"run.out", "run"}})),
                        .nproc = 2};
  CHECK(launch(spec) == 0);
  CHECK(fs::exists(folder / "run/result.json"));
  CHECK(mentions(errors_of(folder.path(), 0), "x 2 ranks"));
  CHECK(errors_of(folder.path(), 1) == "");
  CHECK(no_children());
}

TEST_CASE("launch: mistakes on its own command line, and in the program's") {
  CHECK(mentions(error_of([] { run_launch(Words{"--nproc", "2"}); }), "no program was given"));
  CHECK(mentions(error_of([] {
                   run_launch(Words{"--nproc", "2", "--"});
                 }),
                 "no program was given"));
  CHECK(mentions(error_of([] { run_launch(Words{"--nproc"}); }), "'--nproc' needs a value"));
  CHECK(mentions(error_of([] { run_launch(Words{"--", "mamba"}); }), "--nproc or --gpus"));
  CHECK(run_launch(Words{"--nproc", "2", "--max-restarts=0", "/bin/true", "--nproc", "x"}) == 0);
  CHECK(mentions(error_of([] { run_launch(Words{"--nproc", "0", "--", "x"}); }), "1 to 1024"));
  CHECK(mentions(error_of([] { run_launch(Words{"--nproc", "two", "--", "x"}); }), "'two'"));
  CHECK(mentions(error_of([] { run_launch(Words{"--ranks", "2", "--", "x"}); }), "--ranks"));
  CHECK(mentions(error_of([] { launch({.words = {"/no/such/program"}, .nproc = 2}); }),
                 "/no/such/program"));
  const TemporaryFolder folder;
  const Words wrong = quiet(folder.path(), {kMamba, "train", "--task", "nope"});
  CHECK(launch({.words = wrong, .nproc = 2, .max_restarts = 3}) == 2);
  CHECK(mentions(errors_of(folder.path(), 0), "nope"));
  CHECK(errors_of(folder.path(), 1) == "");  // said once, for all
  CHECK(no_children());
}

TEST_CASE("launch: the code is that of the rank that failed, and not of those that noticed") {
  const TemporaryFolder folder;
  const auto shell = [&](const std::string& script) {
    return launch({.words = {"/bin/sh", "-c", script}, .nproc = 3, .grace_seconds = 0.5});
  };
  CHECK(shell("exit 0") == 0);
  CHECK(shell("test $RANK = 1 && exit 6; sleep 0.1; exit 8") == 6);
  CHECK(shell("test $RANK = 1 && { sleep 0.2; exit 6; }; exit 8") == 6);
  CHECK(shell("test $RANK = 2 && kill -9 $$; exit 0") == 8);
  // One that does not notice is ended.
  const double start = seconds_now();
  CHECK(shell("test $RANK = 2 && exit 5; exec sleep 1000") == 5);
  CHECK(seconds_now() - start < 60);
  CHECK(no_children());
}

TEST_CASE("launch: of a rank that ends before it has met anybody the others hear at once") {
  const TemporaryFolder folder;
  Words words = quiet(folder.path(), train_words({{"run.out", "run"}}));
  words[2] =
      "cd '" + folder.path().string() +
      "'; if [ $RANK = 2 ]; then while ! [ -e err.0 ] || ! [ -e err.1 ]; do sleep 0.01; done; "
      "exit 3; fi; exec \"$@\" >out.$RANK 2>err.$RANK";
  CHECK(launch({.words = words, .nproc = 3}) == 3);
  for (const int rank : {0, 1})
    CHECK(mentions(errors_of(folder.path(), rank), "rank 2 of 3 will not come: exit code 3"));
  CHECK(no_children());
}

TEST_CASE("launch: a signal goes to every rank, which saves and says so") {
  const TemporaryFolder folder;
  const Words words =
      quiet(folder.path(),
            train_words({{"run.out", "run"}, {"train.steps", "100000"}, {"log.interval", "1"}}));
  std::thread sender([&] {
    if (wait_for_steps(folder / "run")) ::kill(getpid(), SIGTERM);
  });
  const int code = launch({.words = words, .nproc = 2, .max_restarts = 5});
  sender.join();
  CHECK(code == 75);
  CHECK(mentions(errors_of(folder.path(), 0), "a checkpoint is in"));
  CHECK(mentions(errors_of(folder.path(), 1), "interrupted"));
  CHECK(fs::exists(folder / "run/latest"));
  CHECK(no_children());
}

TEST_CASE("launch: ranks that a passed-on signal ends before they can save do not start again") {
  const TemporaryFolder folder;
  std::thread sender([&] {
    for (const double until = seconds_now() + 60; seconds_now() < until; usleep(2000)) {
      if (fs::exists(folder / "0") && fs::exists(folder / "1")) break;
    }
    ::kill(getpid(), SIGTERM);
  });
  const std::string script = "echo >>'" + folder.path().string() + "/'$RANK; exec sleep 1000";
  const int code = launch({.words = {"/bin/sh", "-c", script}, .nproc = 2, .max_restarts = 5});
  sender.join();
  CHECK(code == 8);
  CHECK(read_plainly(folder / "0") == "\n");
  CHECK(no_children());
}

TEST_CASE("launch: a lost rank, and all start again from the last checkpoint") {
  const TemporaryFolder folder;
  // Rank 1 kills itself the first time, while the others are in the middle of it.
  Words words =
      quiet(folder.path(), train_words({{"run.out", "run"}, {"checkpoint.interval", "2"}}));
  words[2] = "cd '" + folder.path().string() +
             "'; if [ $RANK = 1 ] && mkdir once 2>/dev/null; then (while ! [ -e run/latest ]; do "
             "sleep 0.01; "
             "done; kill -9 $$) & fi; exec \"$@\" >out.$RANK 2>>err.$RANK";
  CHECK(launch({.words = words, .nproc = 2, .max_restarts = 2}) == 0);
  CHECK(fs::exists(folder / "run/result.json"));
  CHECK(mentions(errors_of(folder.path(), 0), "rank 1 of 2"));
  CHECK(mentions(errors_of(folder.path(), 0), "resuming from"));
}

TEST_CASE("ranks as processes: whoever dies, and whenever, all others say who it was") {
  const struct {
    int signal, lost;
  } cases[] = {{SIGKILL, 0}, {SIGKILL, 2}, {SIGSEGV, 1}, {SIGKILL, 1}};
  for (const auto& [signal, lost] : cases) {
    INFO("signal ", signal, " to rank ", lost);
    const TemporaryFolder folder;
    const Words words = train_words({{"run.out", "run"},
                                     {"train.steps", "100000"},
                                     {"checkpoint.interval", "3"},
                                     {"log.interval", "1"}});
    const int port = free_port();
    std::vector<ChildProcess> ranks;
    for (int rank = 0; rank < 3; rank++)
      ranks.push_back(start_rank(folder.path(), rank, 3, port, words));
    REQUIRE(wait_for_steps(folder / "run"));
    ranks[static_cast<std::size_t>(lost)].send(signal);
    for (int rank = 0; rank < 3; rank++) {
      const std::optional<ChildEnd> end = ranks[static_cast<std::size_t>(rank)].wait(30);
      REQUIRE(end);
      if (rank == lost) continue;
      INFO(errors_of(folder.path(), rank));
      CHECK(end->exit_code == 8);
      CHECK(mentions(errors_of(folder.path(), rank), "rank " + std::to_string(lost) + " of 3"));
    }
    CHECK(fs::exists(folder / "run/config.toml"));
  }
}

TEST_CASE("ranks as processes: one that is stopped is named when the time is over") {
  const TemporaryFolder folder;
  const Words words = train_words({{"run.out", "run"},
                                   {"train.steps", "100000"},
                                   {"ranks.timeout", "0.5"},
                                   {"eval.interval", "1000000"},
                                   {"log.interval", "1"}});
  const int port = free_port();
  std::vector<ChildProcess> ranks;
  for (int rank = 0; rank < 3; rank++)
    ranks.push_back(start_rank(folder.path(), rank, 3, port, words));
  REQUIRE(wait_for_steps(folder / "run"));
  ranks[1].send(SIGSTOP);
  for (const int rank : {0, 2}) {
    const std::optional<ChildEnd> end = ranks[static_cast<std::size_t>(rank)].wait(30);
    REQUIRE(end);
    INFO(errors_of(folder.path(), rank));
    CHECK(end->exit_code == 8);
    CHECK(mentions(errors_of(folder.path(), rank), "rank 1 of 3"));
  }
  ranks[1].send(SIGKILL);
}

TEST_CASE("ranks as processes: a setting, a count or a rank that is wrong is named before a step") {
  const auto ends = [](const fs::path& folder, const std::vector<std::pair<int, Flags>>& ranks,
                       int world, const char* meeting_seconds = "30") {
    const int port = free_port();
    std::vector<ChildProcess> processes;
    int number = 0;
    std::vector<std::string> said;
    for (const auto& [rank, flags] : ranks) {
      const fs::path own = folder / std::to_string(number++);
      fs::create_directory(own);
      Flags more = {{"run.out", (folder / "run").string()},
                    {"ranks.meeting_timeout", meeting_seconds}};
      more.insert(more.end(), flags.begin(), flags.end());
      processes.push_back(start_rank(own, rank, world, port, train_words(more)));
    }
    number = 0;
    for (ChildProcess& process : processes) {
      const std::optional<ChildEnd> end = process.wait(40);
      REQUIRE(end);
      CHECK(end->exit_code == 8);
      const int rank = ranks[static_cast<std::size_t>(number)].first;
      said.push_back(errors_of(folder / std::to_string(number++), rank));
    }
    return said;
  };
  {
    const TemporaryFolder folder;
    for (const std::string& text : ends(folder.path(), {{0, {}}, {1, {{"train.lr", "0.5"}}}}, 2)) {
      INFO(text);
      CHECK(mentions(text, "train.lr = 0.5 where rank 0 has"));
    }
    CHECK_FALSE(fs::exists(folder / "run"));
  }
  {
    const TemporaryFolder folder;
    for (const std::string& text : ends(folder.path(), {{2, {}}, {0, {}}}, 3, "5")) {
      INFO(text);
      CHECK(mentions(text, "rank 1 of 3 did not come"));
    }
  }
  {
    const TemporaryFolder folder;
    const std::vector<std::string> said = ends(folder.path(), {{0, {}}, {1, {}}, {1, {}}}, 3);
    CHECK(mentions(said[0], "two processes are rank 1"));
  }
}

}  // namespace
}  // namespace farsight
