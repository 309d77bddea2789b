#include "train/run_report.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "tests/report_example.h"
#include "tests/temporary_folder.h"
#include "train/ambiguities.h"
#include "train/environment.h"
#include "train/report_verb.h"
#include "train/resolve.h"
#include "train/toml.h"

using namespace farsight;

namespace {

namespace fs = std::filesystem;

const Gnuplot kNoGnuplot{.program = "/nonexistent/gnuplot"};

Settings some_settings() {
  const Setting& rate = setting_named("train.lr");
  return resolve({}, {{&setting_named("run.recipe"), std::string("paper-code"), "--recipe"},
                      {&rate, 0.5, "--lr"}})
      .settings;
}

/// A run's folder with so many lines of metrics, not finished.
void write_run(const fs::path& folder, int lines) {
  fs::create_directories(folder);
  write_plainly(folder / "config.toml", write_toml(some_settings()));
  std::string text;
  for (int i = 1; i <= lines; i++) {
    text +=
        fmt::format(R"({{"step":{},"loss":{},"train_accuracy":{})", 10 * i, 4.0 / i, 100 - 90 / i);
    if (i % 50 == 0)
      text += fmt::format(R"(,"valid_accuracy":{},"valid_loss":{})", i % 100, 3.0 / i);
    text += "}\n";
  }
  write_plainly(folder / "metrics.jsonl", text);
}

void write_result(const fs::path& folder) {
  write_plainly(folder / "result.json", R"json({"device": "cpu (2 threads)", "parameters": 123456,
    "steps": 3000, "tokens": 5000, "seconds": 62, "tokens_per_second": 2000, "loss": 0.25,
    "tested_step": 2500, "peak_memory_bytes": 1048576, "version": "0.1.0 (abc)",
    "environment": {"cpu": "a <processor>", "memory_bytes": 8589934592},
    "accuracy": {
      "standard": {"pair": 99.5, "token": 99.25, "case": 90, "micro_pair": 98, "ceiling": 100,
                   "cells": {"32x1": 100, "32x8": 99},
                   "cell_ceilings": {"32x1": 100, "32x8": 99.25},
                   "by_position": [{"from": 0, "to": 5, "pair": 80, "pairs": 10}],
                   "by_distance": [{"from": 8, "to": 16, "pair": 70, "pairs": 10}],
                   "sections": {"0-25": 60, "25-50": 20, "50-75": 10, "75-100": 5, "none": 5},
                   "shortcuts": {"position": 0.25, "last_key_token": null}},
      "last": {"pair": 20, "token": null, "cells": {"32x1": 30, "64x8": 10}}}})json");
}

std::string markdown_of(const fs::path& folder) {
  const RunFiles run = read_run(folder);
  return to_markdown(run_report(run, kNoGnuplot), folder);
}

std::ptrdiff_t lines_in(const fs::path& path) {
  const std::string text = read_plainly(path);
  return std::count(text.begin(), text.end(), '\n');
}

}  // namespace

TEST_CASE("run report: a finished run has accuracies, curves, ambiguities, settings, environment") {
  const TemporaryFolder folder;
  write_run(folder / "a", 100);
  write_result(folder / "a");
  write_run_report(read_run(folder / "a"), kNoGnuplot);
  const std::string markdown = read_plainly(folder / "a/report.md");
  for (const char* part :
       {"# mamba trained on standard, preset pocket", "123,456 parameters, 3,000 steps",
        "1 min 02 s", "Recipe paper-code, seed 42, f32.",
        "| standard | 99.50 | 99.72 | 100.00 | 99.25 | 90.00 |",
        "| last | 20.00 | 15.44 | – | – | – |", "| 32x1 | 100.00 | 30.00 |",
        "99.00<br>(ceiling 99.25)", "| position | 0.25 |", "| last key token | not measured |",
        "| 64x8 | – | 10.00 |", "compare the order", "| train.lr | 0.5 | this run |",
        "| data.examples_per_cell | `100` | `20000` | `100` |",
        "| checkpoint.best_by | `last` | `pair-accuracy` | `last` |", "| cpu | a \\<processor\\> |",
        "| memory | 8.0 GiB |", "farsight 0.1.0 (abc)"}) {
    CHECK_MESSAGE(mentions(markdown, part), part);
  }
  CHECK(!mentions(markdown, "| nan"));
  CHECK(!mentions(markdown, "not finished"));
  for (const char* file :
       {"report.html", "report.json", "figures/loss.csv", "figures/accuracy.gp"}) {
    CHECK_MESSAGE(fs::exists(folder / "a" / file), file);
  }
  CHECK(lines_in(folder / "a/figures/loss.csv") == 101);
  CHECK(mentions(read_plainly(folder / "a/figures/by-position.csv"), "\n2.5,80\n"));
  CHECK(mentions(read_plainly(folder / "a/figures/by-distance.csv"), "\n8,70\n"));
  CHECK(mentions(read_plainly(folder / "a/figures/sections.csv"), "\n4,none,5\n"));
}

TEST_CASE("run report: what a gate would be is no question of a model without one") {
  const auto asks_for_gate = [](const char* model) {
    const Settings settings =
        resolve({}, {{&setting_named("run.task"), std::string("lm"), "--task"},
                     {&setting_named("run.model"), std::string(model), "--model"}})
            .settings;
    const Table table = ambiguity_table(settings);
    return std::any_of(table.rows.begin(), table.rows.end(), [](const auto& row) {
      return row.front().text == "model.gate_kernel";
    });
  };
  CHECK(!asks_for_gate("mamba"));
  CHECK(!asks_for_gate("pythia"));
  CHECK(asks_for_gate("mamba-gs"));
}

TEST_CASE("run report: an unfinished run says what is missing") {
  const TemporaryFolder folder;
  write_run(folder / "a", 3);
  std::string markdown = markdown_of(folder / "a");
  for (const char* part : {"This run is not finished: there is no result.json. 30 of 8,000 steps",
                           "○ Not tested yet", "○ Not recorded"}) {
    CHECK_MESSAGE(mentions(markdown, part), part);
  }
  // Killed while it wrote a line, and before that at a loss of infinity.
  std::string metrics = read_plainly(folder / "a/metrics.jsonl");
  metrics += "{\"step\":40,\"loss\":null}\n{\"step\":50,\"lo";
  write_plainly(folder / "a/metrics.jsonl", metrics);
  markdown = markdown_of(folder / "a");
  CHECK(mentions(markdown, "One line of metrics.jsonl cannot be read"));
  CHECK(mentions(markdown, "✗ At some steps the loss was not a finite number"));
  CHECK(lines_in(folder / "a/figures/loss.csv") == 4);

  CHECK(!mentions(markdown, "It ended with"));
  write_plainly(folder / "a/failure.txt", "training diverged at step 31: loss nan\n");
  CHECK(
      mentions(markdown_of(folder / "a"), "It ended with: training diverged at step 31: loss nan"));

  write_run(folder / "b", 0);
  CHECK(mentions(markdown_of(folder / "b"), "○ No step is logged yet."));
  fs::remove(folder / "b/metrics.jsonl");
  CHECK(mentions(markdown_of(folder / "b"), "○ No step is logged yet."));
}

TEST_CASE("run report: a folder without a run and damaged files are refused in a sentence") {
  const TemporaryFolder folder;
  const auto refusal = [&](ExitCode expected) {
    ExitCode code = ExitCode::ok;
    const std::string message = error_of([&] { read_run(folder / "a"); }, &code);
    CHECK(code == expected);
    return message;
  };
  CHECK(mentions(refusal(ExitCode::data), "is not a folder"));
  fs::create_directories(folder / "a");
  CHECK(mentions(refusal(ExitCode::data), "holds no run: there is no config.toml"));
  write_run(folder / "a", 1);
  write_plainly(folder / "a/result.json", "{");
  CHECK(mentions(refusal(ExitCode::corrupt), "result.json"));
  write_plainly(folder / "a/config.toml", "[train]\nlearning = 1\n");
  CHECK(mentions(refusal(ExitCode::usage), "learning"));
  // Other versions' results lack members.
  write_run(folder / "c", 1);
  write_plainly(folder / "c/result.json", "{}");
  CHECK(mentions(markdown_of(folder / "c"), "○ Not tested yet"));
  write_plainly(folder / "c/result.json", R"({"accuracy": 5, "environment": [], "loss": "x"})");
  CHECK(mentions(markdown_of(folder / "c"), "○ Not tested yet"));
}

TEST_CASE("run report: curves of many steps are thinned and say so") {
  const TemporaryFolder folder;
  write_run(folder / "a", 5000);
  const std::string markdown = markdown_of(folder / "a");
  CHECK(mentions(markdown, "drawn as their mean"));
  const std::string csv = read_plainly(folder / "a/figures/loss.csv");
  CHECK(lines_in(folder / "a/figures/loss.csv") < 600);
  CHECK(
      mentions(csv, "step,training batches,\"training batches, low\",\"training batches, high\","));
  // Steps 10 to 130: losses 4, 2, ... 4/13, whose mean is 4/13 of the 13th harmonic number.
  CHECK(mentions(csv, "\n10,0.9785"));
}

TEST_CASE("run report: the verb makes the page again") {
  const TemporaryFolder folder;
  write_run(folder / "a", 2);
  const std::string run = (folder / "a").string();
  const std::vector<std::string> words = {"--run", run, "--gnuplot", "/nonexistent/gnuplot"};
  CHECK(run_report_verb(words) == 0);
  CHECK(fs::exists(folder / "a/report.html"));
  CHECK(mentions(error_of([&] { run_report_verb({}); }), "which run?"));
  const std::vector<std::string> typo = {"--rn", run};
  CHECK(mentions(error_of([&] { run_report_verb(typo); }), "--run"));
}

TEST_CASE("run report: the environment names neither the machine nor its user") {
  const Json environment = environment_json();
  for (const char* key : {"date", "system", "cpu", "blas", "build", "compiler"}) {
    CHECK_MESSAGE(!environment.at(key).as_string().empty(), key);
  }
  CHECK(environment.at("memory_bytes").as_int() > 0);
  CHECK(environment.at("threads").as_int() >= 1);
  std::string host(256, '\0');
  REQUIRE(gethostname(host.data(), host.size() - 1) == 0);
  host.resize(host.find('\0'));
  if (host.size() > 4) CHECK(!mentions(environment.dump(), host));
}
