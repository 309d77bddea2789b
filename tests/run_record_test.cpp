#include "train/run_record.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <limits>

#include "tests/skip.h"
#include "tests/temporary_folder.h"
#include "train/toml.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

/// Settings whose run goes to `out`, named by --out or as if by a settings file.
Resolved settings_for(const fs::path& out, bool by_flag = true, const std::string& lr = "0.5") {
  const Assignment folder{&setting_named("run.out"), out.string(), "--out"};
  const Setting& rate = setting_named("train.lr");
  const Assignment lr_given{&rate, parse_value(rate, lr, "--lr"), "--lr"};
  return by_flag ? resolve({}, {folder, lr_given}) : resolve({folder}, {lr_given});
}

RunResult some_result() {
  return {.device = "cpu (2 threads)",
          .parameters = 123456,
          .steps = 10,
          .tokens = 5000,
          .seconds = 2.5,
          .tokens_per_second = 2000,
          .loss = 0.25,
          .tested_step = 8,
          .accuracy = {{.task = "standard",
                        .pair = 99.5,
                        .token = 99.25,
                        .case_ = 90,
                        .micro_pair = 98,
                        .cells = {{"32x1", 100}, {"32x8", 99}}},
                       {.task = "last", .pair = 20, .cells = {{"32x1", 30}, {"32x8", 10}}},
                       {.task = "shuffle", .pair = 30, .cells = {{"32x1", 40}, {"32x8", 20}}}}};
}

void finish_run(const Resolved& resolved, const TrainOptions& options = {}) {
  RunRecord record(resolved, options);
  record.append({.step = 1, .loss = 2});
  record.finish(some_result());
}

std::string refusal(const Resolved& resolved, const TrainOptions& options = {}) {
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { RunRecord(resolved, options); }, &code);
  INFO(message);
  CHECK(code == ExitCode::usage);
  return message;
}

TEST_CASE("run record: the default folder is named by what runs") {
  CHECK(default_folder(resolve({}, {}).settings) == "runs/standard-mamba-pocket-seed42");
}

TEST_CASE("run record: config.toml holds every setting and runs again as it is") {
  const TemporaryFolder folder;
  const Resolved resolved = settings_for(folder / "a/b");
  const RunRecord record(resolved, {});
  CHECK(record.folder() == folder / "a/b");
  CHECK(!record.continues());
  const std::string text = read_plainly(folder / "a/b/config.toml");
  const Resolved again = resolve(read_toml(text, "config.toml"), {});
  CHECK(write_toml(again.settings) == text);
  CHECK(different_settings(again.settings, resolved.settings).empty());
}

TEST_CASE("run record: metrics are one JSON object a line, readable at once") {
  const TemporaryFolder folder;
  RunRecord record(settings_for(folder / "a"), {});
  record.append({.step = 10,
                 .loss = 3.25,
                 .lr = 1e-3,
                 .grad_norm = 0.5,
                 .tokens = 40960,
                 .seconds = 1.5,
                 .tokens_per_second = 27306.7,
                 .memory_bytes = 1 << 20});
  record.append({.step = 20,
                 .loss = std::numeric_limits<double>::quiet_NaN(),
                 .valid_accuracy = 12.5,
                 .valid_loss = 2.0});
  const std::string text = read_plainly(folder / "a/metrics.jsonl");
  const std::size_t end = text.find('\n');
  const Json first = Json::parse(text.substr(0, end), "metrics");
  CHECK(first.at("step").as_int() == 10);
  CHECK(first.at("loss").as_double() == 3.25);
  CHECK(first.at("tokens_per_second").as_double() == 27306.7);
  CHECK(!first.contains("valid_accuracy"));
  const Json second = Json::parse(text.substr(end + 1), "metrics");
  CHECK(second.at("loss").is_null());
  CHECK(second.at("valid_accuracy").as_double() == 12.5);
}

TEST_CASE("run record: result.json holds what came out") {
  const TemporaryFolder folder;
  finish_run(settings_for(folder / "a"));
  const Json result = read_json(folder / "a/result.json");
  CHECK(result.at("task").as_string() == "standard");
  CHECK(result.at("model").as_string() == "mamba");
  CHECK(result.at("preset").as_string() == "pocket");
  CHECK(result.at("recipe").as_string() == "farsight");
  CHECK(result.at("device").as_string() == "cpu (2 threads)");
  CHECK(result.at("parameters").as_int() == 123456);
  CHECK(result.at("steps").as_int() == 10);
  CHECK(result.at("tokens").as_int() == 5000);
  CHECK(result.at("seconds").as_double() == 2.5);
  CHECK(result.at("tokens_per_second").as_double() == 2000);
  CHECK(result.at("seed").as_int() == 42);
  const Json& standard = result.at("accuracy").at("standard");
  CHECK(standard.at("pair").as_double() == 99.5);
  CHECK(standard.at("token").as_double() == 99.25);
  CHECK(standard.at("case").as_double() == 90);
  CHECK(standard.at("cells").at("32x8").as_double() == 99);
  CHECK(result.at("accuracy").at("last").at("pair").as_double() == 20);
  CHECK(result.at("accuracy").at("shuffle").at("pair").as_double() == 30);
}

TEST_CASE("run record: the report shows the paper's row and how to run it again") {
  const TemporaryFolder folder;
  const Resolved resolved = settings_for(folder / "a");
  finish_run(resolved);
  const std::string report = read_plainly(folder / "a/report.md");
  for (const char* part : {"# mamba trained on standard, preset pocket", "99.50", "99.72", "15.44",
                           "22.37", "123,456 parameters", "| 32x8 | 99.00 | 10.00 | 20.00 |",
                           "compare the order", "config.toml\n", "| train.lr | 0.5 | this run |"}) {
    CHECK_MESSAGE(mentions(report, part), part);
  }
  CHECK(!mentions(report, "| nan"));
}

TEST_CASE("run record: a finished run is never overwritten unasked") {
  const TemporaryFolder folder;
  const Resolved named = settings_for(folder / "a");
  finish_run(named);
  CHECK(mentions(refusal(named), "holds a finished run"));
  CHECK(mentions(refusal(named), "--overwrite"));
  // Not named on this command line: the next free name, the same settings or not.
  finish_run(settings_for(folder / "a", false));
  const RunRecord third(settings_for(folder / "a", false, "0.25"), {});
  CHECK(third.folder() == folder / "a-3");
  CHECK(fs::exists(folder / "a-2/result.json"));
  CHECK(fs::exists(folder / "a/result.json"));
}

TEST_CASE("run record: overwrite deletes the run and nothing else") {
  const TemporaryFolder folder;
  finish_run(settings_for(folder / "a"));
  fs::create_directories(folder / "a/checkpoints/step-00000010");
  fs::create_directories(folder / "a/step-00000020");
  write_plainly(folder / "a/notes.txt", "mine");
  {
    const RunRecord record(settings_for(folder / "a/", true, "0.25"), {.overwrite = true});
    CHECK(!record.continues());
    CHECK(record.folder() == folder / "a");
  }
  CHECK(!fs::exists(folder / "a/result.json"));
  CHECK(!fs::exists(folder / "a/report.md"));
  CHECK(!fs::exists(folder / "a/checkpoints"));
  CHECK(!fs::exists(folder / "a/step-00000020"));
  CHECK(read_plainly(folder / "a/notes.txt") == "mine");
  CHECK(read_plainly(folder / "a/metrics.jsonl").empty());

  fs::create_directories(folder / "b");
  write_plainly(folder / "b/notes.txt", "mine");
  CHECK(mentions(refusal(settings_for(folder / "b"), {.overwrite = true}), "holds no run"));
  CHECK(read_plainly(folder / "b/notes.txt") == "mine");
  write_plainly(folder / "c", "a file");
  CHECK(mentions(refusal(settings_for(folder / "c"), {.overwrite = true}), "holds no run"));
}

TEST_CASE("run record: the same command continues an unfinished run") {
  const TemporaryFolder folder;
  for (const bool by_flag : {true, false}) {
    const Resolved resolved = settings_for(folder / (by_flag ? "a" : "b"), by_flag);
    { const RunRecord record(resolved, {}); }
    const RunRecord again(resolved, {});
    CHECK(again.continues());
    CHECK(again.folder() == resolved.settings.run.out);
  }
  // Threads, intervals of logging and checkpoints do not make it another run.
  Resolved quieter = settings_for(folder / "a");
  quieter.settings.run.threads = 7;
  quieter.settings.log.interval = 100;
  quieter.settings.checkpoint.keep_last = 9;
  CHECK(RunRecord(quieter, {}).continues());
}

TEST_CASE("run record: an unfinished run with other settings is refused or left alone") {
  const TemporaryFolder folder;
  { const RunRecord record(settings_for(folder / "a"), {}); }
  const std::string message = refusal(settings_for(folder / "a", true, "0.25"));
  CHECK(mentions(message, "train.lr = 0.5 there, 0.25 here"));
  CHECK(mentions(message, "--resume"));
  CHECK(mentions(refusal(settings_for(folder / "a"), {.resume = "never"}), "never"));
  CHECK(RunRecord(settings_for(folder / "a", false, "0.25"), {}).folder() == folder / "a-2");
  CHECK(RunRecord(settings_for(folder / "a", false), {.resume = "never"}).folder() ==
        folder / "a-3");
  // Asked for by its path, it is continued whatever differs, finished or not.
  const RunRecord resumed(settings_for(folder / "a", true, "0.125"), {.resume = folder / "a"});
  CHECK(resumed.continues());

  fs::create_directories(folder / "d");
  write_plainly(folder / "d/config.toml", "[train\n");
  CHECK(mentions(refusal(settings_for(folder / "d")), "cannot be read"));
}

TEST_CASE("run record: two processes never write the same run") {
  const TemporaryFolder folder;
  const RunRecord first(settings_for(folder / "a"), {});
  CHECK(mentions(refusal(settings_for(folder / "a")), "another process is writing"));
  CHECK(mentions(refusal(settings_for(folder / "a"), {.overwrite = true}), "another process"));
  const RunRecord second(settings_for(folder / "a", false), {});
  CHECK(second.folder() == folder / "a-2");
}

TEST_CASE("run record: going on from a step drops the lines after it and a torn one") {
  const TemporaryFolder folder;
  const Resolved resolved = settings_for(folder / "a");
  {
    RunRecord record(resolved, {});
    for (int step = 1; step <= 5; step++)
      record.append({.step = step, .loss = 1.0 * step});
  }
  const std::string whole = read_plainly(folder / "a/metrics.jsonl");
  write_plainly(folder / "a/metrics.jsonl", "damaged\n" + whole + "{\"step\":6,\"lo");
  RunRecord record(resolved, {});
  REQUIRE(record.continues());
  record.rewind(3);
  record.append({.step = 4, .loss = 4});
  const std::string text = read_plainly(folder / "a/metrics.jsonl");
  CHECK(text == whole.substr(0, text.size()));  // as if it had never been interrupted
  CHECK(std::count(text.begin(), text.end(), '\n') == 4);
  record.rewind(0);
  CHECK(read_plainly(folder / "a/metrics.jsonl").empty());
}

TEST_CASE("run record: why a run ended stays until it goes on, and a signal is no failure") {
  const TemporaryFolder folder;
  RunRecord record(settings_for(folder / "a"), {});
  record.keep_failure(Error(ExitCode::interrupted, "Ctrl-C"));
  record.keep_failure(Error(ExitCode::resumable, "SIGTERM"));
  CHECK(!fs::exists(folder / "a/failure.txt"));
  record.keep_failure(Error(ExitCode::diverged, "loss is nan"));
  CHECK(read_plainly(folder / "a/failure.txt") == "loss is nan\n");
  record.rewind(0);
  CHECK(!fs::exists(folder / "a/failure.txt"));
  RunRecord(folder / "a").keep_failure(Error(ExitCode::diverged, "of another rank"));
  CHECK(!fs::exists(folder / "a/failure.txt"));
}

TEST_CASE("run record: a folder that cannot be written is one sentence") {
  if (geteuid() == 0) return skip("root may write everywhere");
  const TemporaryFolder folder;
  chmod(folder.path().c_str(), 0500);
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { RunRecord(settings_for(folder / "a"), {}); }, &code);
  CHECK(code == ExitCode::storage);
  CHECK(mentions(message, (folder / "a").string()));
  chmod(folder.path().c_str(), 0700);
}

TEST_CASE("run record: an output folder below a file is refused with its name") {
  const TemporaryFolder folder;
  write_plainly(folder / "file", "x");
  ExitCode code = ExitCode::ok;
  const std::string message =
      error_of([&] { RunRecord(settings_for(folder / "file/a"), {}); }, &code);
  CHECK(code == ExitCode::storage);
  CHECK(mentions(message, "file"));
}

}  // namespace
}  // namespace farsight
