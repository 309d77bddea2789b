// What runs left on the disk, read back; the report over a reproduction of which a part is there.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "core/json.h"
#include "tests/temporary_folder.h"
#include "train/repro/plain_text.h"
#include "train/repro/repro_report.h"
#include "train/repro/repro_tables.h"
#include "train/repro/view.h"
#include "train/toml.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

ReproOptions table_one(const fs::path& out, std::int64_t seeds = 1) {
  ReproOptions options;
  options.level = "micro";
  options.wanted = {.tables = {"1"}, .figures = {}};
  options.seeds = seeds;
  options.out = out;
  return options;
}

/// What a finished run of `run` would have left, with one accuracy for all of its tests.
void finish(const fs::path& out, const PlannedRun& run, double accuracy,
            std::int64_t tested_step = 4) {
  const RunPaths paths = paths_of(out, run);
  fs::create_directories(paths.folder);
  write_plainly(paths.folder / "config.toml", write_toml(run.settings));
  write_plainly(paths.folder / "metrics.jsonl",
                "{\"step\":2,\"loss\":3,\"tokens_per_second\":10,\"valid_accuracy\":40}\n"
                "{\"step\":4,\"loss\":2.5,\"tokens_per_second\":12,\"valid_accuracy\":60}\n");
  Json scores = Json::object();
  for (const std::string& test : run.tests) {
    scores[test] = Json::object({{"pair", accuracy},
                                 {"token", accuracy + 1},
                                 {"ceiling", 99.5},
                                 {"cells", Json::object({{"16x2", accuracy}})}});
  }
  const Json result = Json::object({{"accuracy", scores},
                                    {"steps", 4},
                                    {"tokens", 640},
                                    {"parameters", 1000},
                                    {"seconds", 1.5},
                                    {"tokens_per_second", 400.0},
                                    {"stopped_by", "steps"},
                                    {"parameter_hash", "ab12"},
                                    {"tested_step", tested_step},
                                    {"device", "cpu (1 thread)"}});
  write_plainly(paths.folder / "result.json", result.dump());
}

Outcomes outcomes_of(const std::vector<PlannedRun>& runs, const fs::path& out) {
  std::vector<RunOutcome> outcomes;
  for (const PlannedRun& run : runs)
    outcomes.push_back(read_outcome(run, paths_of(out, run)));
  return {runs, outcomes};
}

TEST_CASE("repro: a finished run is known by its result and its settings") {
  const TemporaryFolder folder;
  const std::vector<PlannedRun> runs = plan_runs(table_one(folder.path()));
  const PlannedRun& run = runs.front();
  const RunPaths paths = paths_of(folder.path(), run);
  CHECK(!is_trained(run, paths));
  CHECK(read_outcome(run, paths).problem == "not started");
  finish(folder.path(), run, 98);
  CHECK(is_trained(run, paths));
  const RunOutcome outcome = read_outcome(run, paths);
  CHECK(outcome.problem.empty());
  CHECK(outcome.trained);
  CHECK(*outcome.validation == 60);
  CHECK(outcome.scores.at("last").pair == 98);
  CHECK(*outcome.scores.at("last").ceiling == 99.5);
  CHECK(outcome.scores.at("last").cells.at({16, 2}) == 98);
  // The same name with other settings is another run; another device is not.
  PlannedRun other = run;
  other.settings.train.steps = 9;
  CHECK(!is_trained(other, paths));
  CHECK(mentions(other_settings(other, paths), "train.steps = 4 there, 9 wanted"));
  other.settings = run.settings;
  other.settings.run.device = DeviceChoice::cuda;
  CHECK(is_trained(other, paths));
}

TEST_CASE("repro: what is unfinished, failed or damaged is a problem of its run alone") {
  const TemporaryFolder folder;
  const std::vector<PlannedRun> runs = plan_runs(table_one(folder.path()));
  const RunPaths paths = paths_of(folder.path(), runs[0]);
  finish(folder.path(), runs[0], 98);
  fs::remove(paths.folder / "result.json");
  CHECK(read_outcome(runs[0], paths).problem == "not finished: 4 steps done");
  fs::create_directories(paths.failure.parent_path());
  write_plainly(paths.failure, "exit code 6: training diverged\n");
  CHECK(read_outcome(runs[0], paths).problem == "failed: exit code 6: training diverged");
  fs::remove(paths.failure);
  CHECK(!result_is_damaged(runs[0], paths));
  for (const char* damage : {"", "{", "{\"accuracy\": 3}", "[]"}) {
    write_plainly(paths.folder / "result.json", damage);
    CHECK(!is_trained(runs[0], paths));
    CHECK(result_is_damaged(runs[0], paths));
    const RunOutcome outcome = read_outcome(runs[0], paths);
    CHECK(!outcome.trained);
    CHECK(outcome.problem == "its result.json is damaged");
  }
  finish(folder.path(), runs[0], 98);
  write_plainly(paths.folder / "config.toml", "not = [a setting");
  CHECK(mentions(read_outcome(runs[0], paths).problem, "cannot be read"));
}

TEST_CASE("repro: tests that the run does not make itself are made after it, once") {
  const TemporaryFolder folder;
  ReproOptions options = table_one(folder.path());
  options.wanted = {.tables = {}, .figures = {"6a"}};
  const PlannedRun run = plan_runs(options).front();
  const RunPaths paths = paths_of(folder.path(), run);
  const std::vector<std::string> further = {"position-robustness"};
  CHECK(further_tests(run, paths) == further);
  PlannedRun own = run;
  own.tests = {"standard", "last", "shuffle"};
  finish(folder.path(), own, 98);
  CHECK(further_tests(own, paths).empty());
  CHECK(is_tested(own, paths));
  CHECK(further_tests(run, paths) == further);
  CHECK(!is_tested(run, paths));
  CHECK(mentions(read_outcome(run, paths).problem, "not tested"));
  fs::create_directories(paths.tests.parent_path());
  const auto tested_with = [&](const std::string& hash) {
    write_plainly(
        paths.tests,
        "{\"position-robustness\":{\"pair\":90,\"token\":90,\"cells\":{}," + hash +
            "\"sections\":{\"0-25\":80,\"25-50\":5,\"50-75\":3,\"75-100\":2,\"none\":10}}}");
  };
  tested_with("\"parameter_hash\":\"ab12\",");
  CHECK(is_tested(run, paths));
  const Outcomes outcomes({run}, {read_outcome(run, paths)});
  CHECK(*outcomes.section_shares({run.training, "position-robustness"}) ==
        std::vector<double>{80, 5, 3, 2, 10});
  // Copied, unpacked, touched: times say nothing.
  fs::last_write_time(paths.folder / "result.json",
                      fs::last_write_time(paths.tests) + std::chrono::seconds(5));
  CHECK(is_tested(run, paths));
  // Trained anew since: the scores are another model's.
  tested_with("\"parameter_hash\":\"ab13\",");
  CHECK(!is_tested(run, paths));
  CHECK(!read_outcome(run, paths).scores.contains("position-robustness"));
  tested_with("");
  CHECK(!is_tested(run, paths));
}

TEST_CASE("repro: a run that has not tested what it should have is tested after it") {
  const TemporaryFolder folder;
  const PlannedRun run = plan_runs(table_one(folder.path())).front();
  const RunPaths paths = paths_of(folder.path(), run);
  CHECK(further_tests(run, paths).empty());
  PlannedRun less = run;
  less.tests = {"standard"};
  finish(folder.path(), less, 98);
  CHECK(further_tests(run, paths) == std::vector<std::string>{"last", "shuffle"});
  CHECK(!is_tested(run, paths));
}

TEST_CASE("repro: damaged lines of the metrics cost themselves alone") {
  const TemporaryFolder folder;
  const PlannedRun run = plan_runs(table_one(folder.path())).front();
  const RunPaths paths = paths_of(folder.path(), run);
  finish(folder.path(), run, 98);
  const std::string metrics = read_plainly(paths.folder / "metrics.jsonl");
  write_plainly(paths.folder / "metrics.jsonl",
                "\xff\x01{\n[]\n" + metrics + "{\"step\":9,\"valid");
  CHECK(*read_outcome(run, paths).validation == 60);
}

TEST_CASE("repro: the terminal's tables and verdicts are no wider than the terminal") {
  const TemporaryFolder folder;
  ReproOptions options = table_one(folder.path());
  options.wanted = all_exhibits();
  const std::vector<PlannedRun> runs = plan_runs(options);
  finish(folder.path(), runs[0], 98);
  const Outcomes outcomes = outcomes_of(runs, folder.path());
  for (const std::size_t columns : {std::size_t{100}, std::size_t{72}}) {
    std::string text;
    for (const ExhibitTable& table : exhibit_tables()) {
      const std::string plain = plain_table(table, outcomes, columns);
      for (const std::string& column : table.columns)
        CHECK_MESSAGE(mentions(plain, column), column);
      text += plain;
    }
    CHECK(mentions(text, "98.00 (99.72)"));
    text += plain_verdicts("order", order_claims(), outcomes, columns);
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      CHECK_MESSAGE(end - begin <= columns, text.substr(begin, end - begin));
      begin = end + 1;
    }
  }
}

TEST_CASE("repro: a table has ours, the paper's, the ceiling and a verdict, and hides no cell") {
  const TemporaryFolder folder;
  const ReproOptions options = table_one(folder.path(), 2);
  const std::vector<PlannedRun> runs = plan_runs(options);
  REQUIRE(runs.size() == 6);  // standard, last, shuffle, each with two seeds
  finish(folder.path(), runs[0], 98);
  finish(folder.path(), runs[1], 99);
  finish(folder.path(), runs[2], 90);
  const Outcomes outcomes = outcomes_of(runs, folder.path());
  const Table table = comparison(exhibit_tables().front(), outcomes);
  REQUIRE(table.rows.size() == 3);
  const TableCell& both = table.rows[0][1];
  CHECK(both.text == "98.50 ± 6.35");
  CHECK(both.verdict == Verdict::pass);
  CHECK(mentions(both.note, "paper 99.72"));
  CHECK(mentions(both.note, "ceiling 99.50"));
  CHECK(mentions(both.note, "2 seeds"));
  CHECK(table.rows[1][1].verdict == Verdict::fail);  // 98.5 on last: no collapse
  CHECK(table.rows[1][2].text == "90.00");           // one seed: no interval
  const TableCell& absent = table.rows[2][3];
  CHECK(absent.verdict == Verdict::missing);
  CHECK(mentions(absent.note, "paper 80.98"));
  CHECK(mentions(absent.note, "not started"));
  const Table claims = judged("", acceptance_bands(), outcomes);
  CHECK(claims.rows.size() == acceptance_bands().size());
  CHECK(claims.rows[1][2].text == "fail");
  CHECK(claims.rows[2][2].text == "missing");
}

TEST_CASE("repro: a report over a half-finished reproduction is whole and says what is missing") {
  const TemporaryFolder folder;
  ReproOptions options = table_one(folder.path());
  options.wanted = all_exhibits();
  const std::vector<PlannedRun> runs = plan_runs(options);
  finish(folder.path(), runs.front(), 98);  // standard x mamba, and no checkpoint of it
  const ReproReport report =
      make_repro_report(options, outcomes_of(runs, folder.path()), Device::cpu);
  CHECK(mentions(report.verdicts, "missing     T2"));
  const std::string page = read_plainly(folder / "repro.md");
  for (const char* part : {"1 of 32 runs are trained", "not started", "Figure 6b", "Figure 10",
                           "mamba trained on k2v2"}) {
    CHECK_MESSAGE(mentions(page, part), part);
  }
  CHECK(mentions(read_plainly(folder / "repro.html"), "98.00"));
  CHECK_NOTHROW(Json::parse(read_plainly(folder / "repro.json"), "repro.json"));
}

TEST_CASE("repro: a report on language models alone says what of it can be a target") {
  const TemporaryFolder folder;
  ReproOptions options = table_one(folder.path());
  options.wanted = {.tables = {"4"}, .figures = {}};
  options.tests = false;  // what was tested is read, whether or not the files are there still
  CHECK(plan_runs(options).front().tests.size() == 4);
  const ReproReport report =
      make_repro_report(options, outcomes_of(plan_runs(options), folder.path()), Device::cpu);
  CHECK(mentions(report.verdicts, "only the perplexity can be a target"));
  CHECK(mentions(report.verdicts, "missing     T4 global selection"));
  CHECK_FALSE(mentions(report.verdicts, "acceptance bands"));
  const std::string page = read_plainly(folder / "repro.md");
  CHECK(mentions(page, "Only the perplexity can be a target"));
  CHECK_FALSE(mentions(page, "Acceptance bands"));
  CHECK_FALSE(mentions(page, "a small vocabulary"));
}

TEST_CASE("repro: the view shows a run by the end of its metrics, torn lines or none") {
  const TemporaryFolder folder;
  CHECK(!progress_of_run(folder.path()));
  write_plainly(folder / "metrics.jsonl",
                "{\"step\":2,\"loss\":3,\"tokens_per_second\":10,\"valid_accuracy\":40}\n"
                "{\"step\":10,\"loss\":2.5,\"tokens_per_second\":12}\n{\"step\":11,\"lo");
  const auto progress = progress_of_run(folder.path());
  REQUIRE(progress);
  CHECK(progress->step == 10);
  CHECK(*progress->validation == 40);
  std::string shown;
  Display display{.write = [&](std::string_view text) { shown += text; },
                  .clock = [] { return 1.0; },
                  .bar = true,
                  .columns = 60};
  const std::vector<Job> jobs = {{.name = "a", .commands = {}, .log = {}, .seconds = 100},
                                 {.name = "b", .commands = {}, .log = {}, .seconds = 100}};
  ReproView view(display, {{"a", folder.path(), 20}, {"b", folder / "none", 20}}, jobs, 1);
  const std::vector<JobStatus> statuses = {{.state = JobState::running, .attempts = 1}, {}};
  view.tick(statuses);
  CHECK(mentions(shown, "0 of 2 done, 1 running; about 2 min 30 s left"));
  CHECK(mentions(shown, "a  step 10 of 20"));
  view.changed(0, {.state = JobState::failed, .attempts = 2, .reason = "exit code 7"});
  CHECK(mentions(shown, "\x1b[2A"));  // over the lines that were drawn
  CHECK(mentions(shown, "[1/2] FAILED a: exit code 7"));
}

}  // namespace
}  // namespace farsight
