// A model tested with everything that is reported of it: ceilings, breakdowns, indices, sets, files.
#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>
#include <string>

#include "core/files.h"
#include "data/frozen_set.h"
#include "tests/tiny_run.h"
#include "train/task.h"
#include "train/tested.h"

namespace farsight {
namespace {

TinyRun tiny(const Flags& more = {}) {
  TinyRun run(tiny_flags(more));
  run.model.parameters->initialise(1);
  return run;
}

TEST_CASE("tested: ceilings stand beside accuracies, and both are in result.json") {
  const TinyRun run = tiny({{"data.test_examples_per_cell", "60"}});
  const Settings& settings = run.settings.settings;
  const Tested test =
      tested(run.model, settings, {.tasks = {"standard", "shuffle", "last"}, .set = {}});
  REQUIRE(test.accuracy.size() == 3);
  CHECK(test.tokens == 3 * 60 * 2 * (16 + 24));
  CHECK(test.accuracy[0].ceiling.pair == 100.0);
  // 31 keys, drawn twice now and then, among filler that has them all.
  const MqarTask shuffle = task_of(settings, "shuffle");
  double expected = 0;
  for (std::size_t cell = 0; cell < shuffle.cells.size(); cell++) {
    expected += ceiling_of(shuffle, Split::test, 0, cell, 60).pair / 4;
  }
  CHECK(test.accuracy[1].ceiling.pair == doctest::Approx(expected));
  CHECK(test.accuracy[1].ceiling.pair < 100.0);
  CHECK(test.accuracy[1].cell_ceilings.size() == 4);
  const Json json = accuracy_json(test.accuracy);
  CHECK(json.at("shuffle").at("ceiling").as_double() == test.accuracy[1].ceiling.pair);
  CHECK(json.at("shuffle").at("cell_ceilings").size() == 4);
  CHECK(json.at("standard").contains("shortcuts"));
  CHECK_FALSE(json.at("shuffle").contains("shortcuts"));
  std::int64_t pairs = 0;
  for (const Json& bin : json.at("last").at("by_position").elements()) {
    pairs += bin.at("pairs").as_int();
  }
  CHECK(pairs == 60 * 2 * (1 + 2));
  CHECK(accuracy_table(settings, test.accuracy).find("\nceiling ") != std::string::npos);
  CHECK(cell_table(test.accuracy).find("| its ceiling |") != std::string::npos);
}

TEST_CASE("tested: position robustness has its shares, and any section's value is right") {
  const TinyRun run = tiny({{"data.lengths", "32"}, {"data.pairs", "1,2"}});
  const Tested test =
      tested(run.model, run.settings.settings, {.tasks = {"position-robustness"}, .set = {}});
  REQUIRE(test.accuracy[0].sections.has_value());
  const SectionShares& shares = *test.accuracy[0].sections;
  const double answered =
      shares.section[0] + shares.section[1] + shares.section[2] + shares.section[3];
  CHECK(answered + shares.none == doctest::Approx(100));
  CHECK(test.accuracy[0].pair == doctest::Approx(answered));
  CHECK(accuracy_json(test.accuracy).at("position-robustness").at("sections").size() == 5);
}

TEST_CASE("tested: a frozen set of the test split gives the numbers of the task") {
  const TemporaryFolder folder;
  const TinyRun run = tiny();
  const Settings& settings = run.settings.settings;
  const MqarTask task = task_of(settings, "last");
  const auto path = folder.path() / "set";
  write_frozen_set(path, {.task = task, .split = Split::test, .seed = 0, .origin = "generated"},
                   [&](std::size_t cell) {
                     std::vector<Example> examples;
                     for (std::uint64_t i = 0; i < 4; i++) {
                       examples.push_back(generate(task, Split::test, 0, cell, i));
                     }
                     return examples;
                   });
  const auto of_set = tested(run.model, settings, {.tasks = {}, .set = path}).accuracy;
  const auto of_task = tested(run.model, settings, {.tasks = {"last"}, .set = {}}).accuracy;
  CHECK(accuracy_json(of_set) == accuracy_json(of_task));
  const Tested some = tested(run.model, settings, {.tasks = {}, .set = path, .limit = 2});
  CHECK(some.tokens == 2 * 2 * (16 + 24));
}

TEST_CASE("tested: a set that the model cannot read is refused") {
  const TemporaryFolder folder;
  const TinyRun run = tiny();
  const auto path = folder.path() / "set";
  const MqarTask task = make_position_task(Placement::standard, 1000, {{16, 1}});
  write_frozen_set(path, {.task = task, .split = Split::test, .seed = 0, .origin = "generated"},
                   [&](std::size_t cell) {
                     return std::vector<Example>{generate(task, Split::test, 0, cell, 0)};
                   });
  ExitCode code = ExitCode::ok;
  const std::string message = error_of(
      [&] { tested(run.model, run.settings.settings, {.tasks = {}, .set = path}); }, &code);
  CHECK(code == ExitCode::data);
  CHECK(message.find("task standard uses token ids up to 1019, the model knows 84") !=
        std::string::npos);
}

TEST_CASE("tested: a file for answers that cannot be written is said before anything is tested") {
  const TemporaryFolder folder;
  TinyRun run = tiny();
  // A task that does not exist would be refused next.
  const auto said_of = [&](const std::filesystem::path& path, ExitCode expected) {
    ExitCode code = ExitCode::ok;
    const std::string said = error_of(
        [&] {
          tested(run.model, run.settings.settings,
                 {.tasks = {"nonsense"}, .set = {}, .per_query = path});
        },
        &code);
    CHECK(code == expected);
    return said;
  };
  CHECK(mentions(said_of(folder / "absent/answers.jsonl", ExitCode::storage), "No such file"));
  CHECK(mentions(said_of(folder.path(), ExitCode::usage), "is a folder"));
  CHECK(mentions(said_of(folder / "answers.jsonl", ExitCode::usage), "nonsense"));
  CHECK(folder.entries() == 0);
}

TEST_CASE("tested: every answer is a line of JSON") {
  const TemporaryFolder folder;
  const TinyRun run = tiny();
  const auto path = folder.path() / "answers.jsonl";
  const Tested test = tested(run.model, run.settings.settings,
                             {.tasks = {"standard", "shuffle"}, .set = {}, .per_query = path});
  std::istringstream lines(read_file(path));
  std::string line;
  std::int64_t count = 0, right = 0;
  while (std::getline(lines, line)) {
    const Json json = Json::parse(line, "answers.jsonl");
    count++;
    right += json.at("task").as_string() == "standard" && json.at("right").as_bool() ? 1 : 0;
  }
  CHECK(count == 2 * 4 * 2 * (1 + 2));
  CHECK(test.accuracy[0].micro_pair == doctest::Approx(100.0 * static_cast<double>(right) / 24));
}

}  // namespace
}  // namespace farsight
