// The plan of a reproduction, its verdicts and what seeds amount to.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/temporary_folder.h"
#include "train/reference.h"
#include "train/repro/claims.h"
#include "train/repro/outcomes.h"
#include "train/repro/plan.h"
#include "train/repro/repro_command.h"
#include "train/repro/seeds.h"

namespace farsight {
namespace {

ReproOptions tables_only(const char* level = "pocket") {
  ReproOptions options;
  options.level = level;
  options.wanted = {.tables = {"1", "2", "3"}, .figures = {}};
  return options;
}

std::set<std::string> names_of(const std::vector<PlannedRun>& runs) {
  std::set<std::string> names;
  for (const PlannedRun& run : runs)
    names.insert(run.name);
  return names;
}

const PlannedRun& run_of(const std::vector<PlannedRun>& runs, const Training& training) {
  const auto found = std::find_if(runs.begin(), runs.end(),
                                  [&](const PlannedRun& run) { return run.training == training; });
  REQUIRE(found != runs.end());
  return *found;
}

TEST_CASE("repro: tables 1 to 3 take 31 runs and one control, each once") {
  const std::vector<PlannedRun> runs = plan_runs(tables_only());
  CHECK(runs.size() == 32);
  CHECK(names_of(runs).size() == 32);
  const auto controls = std::count_if(runs.begin(), runs.end(),
                                      [](const PlannedRun& run) { return run.training.control; });
  CHECK(controls == 1);
  CHECK(run_of(runs, {"mamba", "k1v1", true}).settings.data.separator_target == false);
  CHECK(run_of(runs, {"mamba", "k1v1"}).settings.data.separator_target == true);
  // Figures need nothing more; one table alone less.
  CHECK(plan_runs({}).size() == 32);
  ReproOptions one = tables_only();
  one.wanted.tables = {"1"};
  CHECK(names_of(plan_runs(one)) == std::set<std::string>{"standard-mamba-seed42",
                                                          "last-mamba-seed42",
                                                          "shuffle-mamba-seed42"});
  one.wanted = {.tables = {}, .figures = {"11"}};
  CHECK(plan_runs(one).size() == 7);
  one.wanted.tables = {"1"};
  CHECK(plan_runs(one).size() == 9);
}

TEST_CASE("repro: seeds and learning rates multiply the runs, and each has its own folder") {
  ReproOptions options = tables_only();
  options.seeds = 3;
  options.rates = {5e-4, 1e-3};
  const std::vector<PlannedRun> runs = plan_runs(options);
  CHECK(runs.size() == 32 * 6);
  CHECK(names_of(runs).size() == 32 * 6);
  CHECK(names_of(runs).contains("k4v8-shuffle-mamba-gs-lr0.0005-seed44"));
  CHECK(run_of(runs, {"mamba", "last"}).settings.train.lr == 5e-4);
}

TEST_CASE("repro: what a user sets reaches every run and wins over the level") {
  ReproOptions options = tables_only();
  options.settings = {{"train.steps", "3"}, {"stop.plateau", "0"}};
  for (const PlannedRun& run : plan_runs(options)) {
    CHECK(run.settings.train.steps == 3);
    CHECK(run.settings.stop.plateau == 0);
    CHECK(run.settings.stop.accuracy > 0);  // the level's
  }
  CHECK(mentions(error_of([] { repro_level("poket"); }), "pocket"));
}

TEST_CASE("repro: a run is trained by one command that says all that differs from its preset") {
  const PlannedRun run = run_of(plan_runs(tables_only("tiny")), {"mamba-gs", "k2v2"});
  const std::vector<std::string> words = training_words(run, "out/runs/a", {{"run.threads", "1"}});
  CHECK(words.front() == "train");
  for (const char* word : {"--run.task=k2v2", "--run.model=mamba-gs", "--run.preset=tiny",
                           "--run.seed=42", "--run.threads=1", "--run.out=out/runs/a"}) {
    CHECK_MESSAGE(std::count(words.begin(), words.end(), word) == 1, word);
  }
  CHECK(run.tests == std::vector<std::string>{"k2v2", "ngram-robustness"});
}

TEST_CASE("repro: names of tables and figures are read, and a wrong one says what there is") {
  CHECK(table_names("3,1") == std::vector<std::string>{"3", "1"});
  CHECK(table_names("all").size() == 3);
  CHECK(table_names("none").empty());
  CHECK(figure_names("6") == std::vector<std::string>{"6a", "6b"});
  CHECK(figure_names("1") == std::vector<std::string>{"1"});
  ExitCode code = ExitCode::ok;
  CHECK(table_names("4,1") == std::vector<std::string>{"4", "1"});
  CHECK(mentions(error_of([] { table_names("5"); }, &code), "1, 2, 3, 4"));
  CHECK(code == ExitCode::usage);
  CHECK(mentions(error_of([] { figure_names("1,"); }), "6b"));
}

/// The paper's own numbers; 0 where it has a cross.
std::optional<double> of_the_paper(const Trial& trial) {
  const PaperAccuracy* entry = paper_entry(trial.training.model, trial.training.task, trial.test);
  if (entry == nullptr || trial.training.control) return std::nullopt;
  return entry->percent.value_or(0);
}

TEST_CASE("repro: the paper's own numbers pass every band and every claim") {
  for (const auto& claims : {acceptance_bands(), order_claims()}) {
    REQUIRE(claims.size() >= 7);
    for (const Claim& claim : claims) {
      CHECK_MESSAGE(judge(claim, of_the_paper) == Verdict::pass, claim.name);
      for (const Condition& condition : claim.conditions) {
        CHECK_MESSAGE(of_the_paper(condition.trial).has_value(), describe(condition.trial));
      }
    }
  }
}

TEST_CASE("repro: a claim with a number that is missing is missing, unless another one fails") {
  const Trial a = {{"mamba", "standard"}, "standard"}, b = {{"mamba", "last"}, "last"};
  const Claim claim{.name = "x",
                    .table = "1",
                    .statement = "",
                    .conditions = {{.trial = a, .least = 98}, {.trial = b, .least = 98}}};
  const auto with = [&](std::optional<double> first, std::optional<double> second) {
    return judge(claim, [=](const Trial& trial) { return trial == a ? first : second; });
  };
  CHECK(with(98, 98) == Verdict::pass);
  CHECK(with(98, 97.99) == Verdict::fail);
  CHECK(with(98, std::nullopt) == Verdict::missing);
  CHECK(with(50, std::nullopt) == Verdict::fail);
  CHECK(with(std::nullopt, std::nullopt) == Verdict::missing);
}

TEST_CASE("repro: an order needs both numbers, and equal is not more") {
  const Trial a = {{"mamba-gs", "k2v2"}, "k2v2"}, b = {{"mamba", "k2v2"}, "k2v2"};
  const Condition more{.trial = a, .minus = b, .least = 0, .strict = true};
  const Condition by_eight{.trial = a, .minus = b, .least = 8};
  const auto judged = [&](const Condition& condition, double first, std::optional<double> second) {
    return judge(condition,
                 [=](const Trial& trial) { return trial == a ? std::optional(first) : second; });
  };
  CHECK(judged(more, 50, 50) == Verdict::fail);
  CHECK(judged(more, 50.01, 50) == Verdict::pass);
  CHECK(judged(more, 50, std::nullopt) == Verdict::missing);
  CHECK(judged(by_eight, 58, 50) == Verdict::pass);
  CHECK(judged(by_eight, 57.9, 50) == Verdict::fail);
  CHECK(mentions(describe(by_eight), "at least 8 above mamba k2v2 → k2v2"));
}

TEST_CASE("repro: a number of a table is judged by the bands that are about it alone") {
  const auto always = [](double value) {
    return [value](const Trial&) { return std::optional(value); };
  };
  const Trial collapse = {{"mamba", "standard"}, "last"};
  CHECK(judge(collapse, always(15)) == Verdict::pass);
  CHECK(judge(collapse, always(41)) == Verdict::fail);
  CHECK(judge(collapse, [](const Trial&) { return std::optional<double>(); }) == Verdict::missing);
  CHECK(judge(Trial{{"rwkv", "k2v2"}, "k2v2"}, always(15)) == Verdict::none);
  // The control must not be taken for the run that it controls.
  CHECK(judge(Trial{{"mamba", "k1v1", true}, "k1v2"}, always(50)) == Verdict::none);
  CHECK(judge(Trial{{"mamba", "k1v1"}, "k1v2"}, always(50)) == Verdict::fail);
}

TEST_CASE("repro: seeds give mean, spread and an interval by Student's t") {
  const SeedStatistics one = seed_statistics(std::vector<double>{90});
  CHECK(one.count == 1);
  CHECK(one.mean == 90);
  CHECK(!one.half_width);
  const SeedStatistics three = seed_statistics(std::vector<double>{1, 2, 3});
  CHECK(three.mean == doctest::Approx(2));
  CHECK(three.spread == doctest::Approx(1));
  CHECK(*three.half_width == doctest::Approx(4.303 / std::sqrt(3.0)).epsilon(1e-3));
  CHECK(student_t_975(1) == doctest::Approx(12.706));
  CHECK(student_t_975(31) == doctest::Approx(2.0395).epsilon(1e-3));
  CHECK(student_t_975(1000) == doctest::Approx(1.9623).epsilon(1e-3));
}

RunOutcome outcome_with(double validation, double test) {
  RunOutcome outcome{.trained = true};
  outcome.validation = validation;
  outcome.scores["standard"].pair = test;
  return outcome;
}

TEST_CASE("repro: the learning rate is chosen by validation, never by the test") {
  ReproOptions options;
  options.wanted = {.tables = {}, .figures = {"4"}};
  options.seeds = 2;
  options.rates = {1e-3, 3e-3};
  const std::vector<PlannedRun> runs = plan_runs(options);
  REQUIRE(runs.size() == 4);
  const Training training = {"mamba", "standard"};
  const Outcomes outcomes(runs, {outcome_with(80, 10), outcome_with(82, 20), outcome_with(99, 99),
                                 outcome_with(20, 99)});
  CHECK(*outcomes.rate_of(training) == 1e-3);
  const auto accuracy = outcomes.accuracy({training, "standard"});
  REQUIRE(accuracy);
  CHECK(accuracy->mean == doctest::Approx(15));
  CHECK(accuracy->count == 2);
  CHECK(!outcomes.accuracy({training, "last"}));
  const Outcomes none(runs, std::vector<RunOutcome>(4, RunOutcome{.problem = "not started"}));
  CHECK(!none.rate_of(training));
  CHECK(!none.accuracy({training, "standard"}));
  CHECK(none.problem({training, "standard"}) == "not started");
}

TEST_CASE("repro: help shows the values that runs of the level have") {
  const auto help = [](const std::vector<std::string>& words) { return parse_repro(words).text; };
  CHECK(mentions(help({"--help"}), "= 5500"));  // pocket's steps
  CHECK(mentions(help({"--help"}), " \"pocket\"\n"));
  CHECK(!mentions(help({"--level", "tiny", "--help"}), " \"pocket\"\n"));
  CHECK(mentions(help({"--level", "tiny", "--help"}), " \"tiny\"\n"));
  CHECK(mentions(help({"--level", "enormous", "--help"}), "= 5500"));  // help comes all the same
}

TEST_CASE("repro: rates are never mixed, not even where no validation can be read") {
  ReproOptions options;
  options.wanted = {.tables = {}, .figures = {"4"}};
  options.rates = {1e-3, 3e-3};
  const std::vector<PlannedRun> runs = plan_runs(options);
  REQUIRE(runs.size() == 2);
  const Trial trial = {{"mamba", "standard"}, "standard"};
  std::vector<RunOutcome> unclear = {outcome_with(80, 10), outcome_with(90, 20)};
  for (RunOutcome& outcome : unclear)
    outcome.validation.reset();
  const Outcomes outcomes(runs, unclear);
  CHECK(!outcomes.rate_of(trial.training));
  CHECK(!outcomes.accuracy(trial));
  CHECK(mentions(outcomes.problem(trial), "no validation can be read"));
  CHECK(!outcomes.complete(options.wanted));
  unclear[0].validation = 50;  // the only one that is known
  CHECK(Outcomes(runs, unclear).accuracy(trial)->mean == 10);
  CHECK(Outcomes(runs, unclear).complete(options.wanted));
  options.rates = {1e-3};  // nothing to choose from
  unclear.resize(1);
  unclear[0].validation.reset();
  CHECK(Outcomes(plan_runs(options), unclear).accuracy(trial)->mean == 10);
}

TEST_CASE("repro: a claim whose premise does not hold is not judged") {
  const Trial own = {{"mamba", "k1v1"}, "k1v1"}, other = {{"mamba", "k1v1"}, "k1v2"};
  const Claim claim = {"c", "2", "", {{.trial = other, .most = 5}}, {{.trial = own, .least = 50}}};
  const auto verdict = [&](std::optional<double> premise, std::optional<double> value) {
    return judge(claim, [=](const Trial& trial) { return trial == own ? premise : value; });
  };
  CHECK(verdict(99, 0) == Verdict::pass);
  CHECK(verdict(99, 20) == Verdict::fail);
  CHECK(verdict(10, 0) == Verdict::none);  // it has learned nothing: nothing fails either
  CHECK(verdict(10, 20) == Verdict::none);
  CHECK(verdict(std::nullopt, 0) == Verdict::missing);
  CHECK(verdict(std::nullopt, 20) == Verdict::fail);
}

}  // namespace
}  // namespace farsight
