// Runs that are killed, disks that fail and bits that flip: `make crash` counts them.
//
// FARSIGHT_KILLS, FARSIGHT_FLIPS: how many (make crash KILLS=50 FLIPS=10000); fewer in `make test`.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

#include "tests/child_process.h"
#include "tests/failing_calls.h"
#include "tests/tiny_run.h"
#include "tests/trained_model.h"
#include "tests/unsynced_disk.h"
#include "train/checkpoint_manifest.h"
#include "train/operations/checkpoint_writer.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

int count_from(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  if (text == nullptr || *text == '\0') return otherwise;
  const std::string_view word = text;
  int count = 0;
  const auto [rest, error] = std::from_chars(word.data(), word.data() + word.size(), count);
  REQUIRE_MESSAGE((error == std::errc() && rest == word.data() + word.size() && count > 0),
                  variable, " must be a number, got ", word);
  return count;
}

void say(const std::string& line) {
  fmt::print("crash: {}\n", line);
  std::fflush(stdout);
}

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
  const int wanted = count_from("FARSIGHT_KILLS", 8);
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

// ---- damaged ----------------------------------------------------------------------------------------

constexpr const char* kFiles[] = {"model.safetensors", "optimizer.safetensors", "manifest.json",
                                  "config.json", "state.json"};

/// What verifying says; empty if it finds nothing. Throws nothing else.
std::string complaint(const fs::path& checkpoint) {
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { verify_checkpoint(checkpoint); }, &code);
  if (!message.empty()) CHECK(code == ExitCode::corrupt);
  return message;
}

/// The tensor that has this byte; empty: none, it is of the header.
std::string tensor_at(const SafetensorsFile& file, std::uint64_t byte) {
  for (const StoredTensor& tensor : file.tensors()) {
    if (byte >= tensor.begin && byte < tensor.end) return tensor.name;
  }
  return {};
}

TEST_CASE("crash: every flipped bit of a checkpoint is noticed, its file and its tensor named") {
  const int wanted = count_from("FARSIGHT_FLIPS", 1000);
  const TemporaryFolder run;
  const Trained saved(1);
  {
    const NoSync quick;
    save_checkpoint(run.path(), saved.model, saved.optimizer, {.step = 1});
  }
  const fs::path folder = run / "step-00000001";
  REQUIRE(complaint(folder).empty());
  std::vector<std::uint64_t> sizes;
  std::uint64_t all = 0;
  for (const char* name : kFiles) {
    sizes.push_back(fs::file_size(folder / name));
    all += sizes.back();
  }
  const SafetensorsFile model(folder / "model.safetensors");
  const SafetensorsFile optimizer(folder / "optimizer.safetensors");
  std::mt19937_64 random(11);
  int noticed = 0, named = 0;
  for (int i = 0; i < wanted; i++) {
    std::uint64_t at = random() % all;
    std::size_t file = 0;
    while (at >= sizes[file]) {
      at -= sizes[file++];
    }
    const fs::path path = folder / kFiles[file];
    const auto flip = [&, bit = random() % 8] {
      std::fstream stream(path, std::ios::binary | std::ios::in | std::ios::out);
      stream.seekg(static_cast<std::streamoff>(at));
      const int byte = stream.get() ^ (1 << bit);
      stream.seekp(static_cast<std::streamoff>(at));
      stream.put(static_cast<char>(byte));
    };
    flip();
    const std::string message = complaint(folder);
    flip();
    noticed += message.empty() ? 0 : 1;
    const bool tensors = file < 2;
    const std::string tensor = tensors ? tensor_at(file == 0 ? model : optimizer, at) : "";
    const bool right = mentions(message, kFiles[file]) &&
                       mentions(message, tensors && tensor.empty() ? "header" : tensor);
    named += right ? 1 : 0;
    if (!right) MESSAGE(std::string(kFiles[file]), " byte ", at, ": ", message);
  }
  CHECK(noticed == wanted);
  CHECK(named == wanted);
  CHECK(complaint(folder).empty());
  say(fmt::format("{} of {} flipped bits noticed, {} named by file and tensor", noticed, wanted,
                  named));
}

TEST_CASE("crash: a file of a checkpoint cut short, or that of another step, is noticed") {
  const NoSync quick;
  const TemporaryFolder run;
  const Trained first(1), second(2);
  save_checkpoint(run.path(), first.model, first.optimizer, {.step = 1});
  save_checkpoint(run.path(), second.model, second.optimizer, {.step = 2, .tokens = 7});
  int cut = 0, swapped = 0;
  for (const char* name : kFiles) {
    const fs::path path = run / "step-00000002" / name;
    const std::string good = read_plainly(path), other = read_plainly(run / "step-00000001" / name);
    for (std::size_t length = 0; length < good.size(); length += 4096) {
      write_plainly(path, good.substr(0, length));
      CHECK(mentions(complaint(run / "step-00000002"), name));
      cut++;
    }
    write_plainly(path, other);
    const bool same = good == other;  // config.json
    CHECK(complaint(run / "step-00000002").empty() == same);
    swapped += same ? 0 : 1;
    write_plainly(path, good);
  }
  fs::rename(run / "step-00000001", run / "step-00000003");  // a whole one under another's name
  CHECK(mentions(complaint(run / "step-00000003"), "step-00000001"));
  say(fmt::format("{} truncations and {} files of another step noticed", cut, swapped + 1));
}

// ---- in the background ------------------------------------------------------------------------------

TEST_CASE("crash: what fails while training goes on reaches the loop, and the old one stays") {
  const TemporaryFolder run;
  const Trained model(1);
  CheckpointWriter writer(run.path(), model.model, model.optimizer, {});
  {
    const NoSync quick;
    writer.save({.step = 1}, true);
    writer.finish();
    file_calls().write = [](int, const void*, std::size_t) {
      errno = ENOSPC;
      return ssize_t{-1};
    };
    writer.save({.step = 2}, false);
    ExitCode code = ExitCode::ok;
    const std::string message = error_of([&] { writer.finish(); }, &code);
    CHECK(code == ExitCode::storage);
    CHECK(mentions(message, "No space left"));
    CHECK(mentions(message, "free there"));
  }
  CHECK(pointed_checkpoint(run.path(), "latest").filename() == checkpoint_name(1));
  CHECK(pointed_checkpoint(run.path(), "best").filename() == checkpoint_name(1));
  CHECK(run.entries() == 3);  // nothing of the second is left
  writer.save({.step = 3}, false);
  writer.finish();
  CHECK(pointed_checkpoint(run.path(), "latest").filename() == checkpoint_name(3));
}

TEST_CASE("crash: a checkpoint holds the parameters of its step, whatever they become meanwhile") {
  const NoSync quick;
  const TemporaryFolder run;
  Trained model(1);
  const std::string before = parameter_hash(model.model);
  CheckpointWriter writer(run.path(), model.model, model.optimizer, {});
  writer.save({.step = 1}, false);
  fill(model.model.parameters->values(), Distribution::uniform(1), 5, "others");
  writer.finish();
  Trained loaded(2);
  load_checkpoint(run / checkpoint_name(1), loaded.model, loaded.optimizer);
  CHECK(parameter_hash(loaded.model) == before);
}

}  // namespace
}  // namespace farsight
