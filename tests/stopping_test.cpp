// Ending before the last step: the rule, and that an interrupted run ends where another one does.
#include "train/stopping.h"

#include <doctest/doctest.h>

#include "tests/tiny_run.h"

namespace farsight {
namespace {

StoppedBy after(const StopSettings& settings, const std::vector<double>& accuracies) {
  StopState state;
  for (const double accuracy : accuracies) {
    note_validation(settings, accuracy, state);
  }
  return stopped_by(settings, state);
}

TEST_CASE("stopping: a run that nobody asked to end goes on") {
  CHECK(after({}, {}) == StoppedBy::steps);
  CHECK(after({}, {100, 100, 100, 0, 0, 0, 0, 0, 0}) == StoppedBy::steps);
}

TEST_CASE("stopping: success must last for the validations asked for") {
  const StopSettings settings{.accuracy = 99, .validations = 2};
  CHECK(after(settings, {99}) == StoppedBy::steps);
  CHECK(after(settings, {99.5, 98.9, 99}) == StoppedBy::steps);
  CHECK(after(settings, {98, 99, 99}) == StoppedBy::accuracy);
}

TEST_CASE("stopping: a plateau is measured by the error that is left") {
  const StopSettings settings{.plateau = 2, .gain = 0.1};
  CHECK(after(settings, {50, 51, 52}) == StoppedBy::plateau);
  CHECK(after(settings, {50, 51, 56, 57}) == StoppedBy::steps);
  CHECK(after(settings, {50, 51, 54.9, 54.9}) == StoppedBy::plateau);  // 45.1 > 0.9 x 50
  CHECK(after(settings, {90, 90.5, 91.1, 91.5}) == StoppedBy::steps);
  CHECK(after({.plateau = 2}, {100, 100, 100}) == StoppedBy::plateau);
  CHECK(after({.accuracy = 99, .plateau = 2}, {99, 99, 99}) == StoppedBy::accuracy);
}

TEST_CASE("stopping: an interrupted run ends at the same step with the same bits") {
  struct Killed {};
  const TemporaryFolder folder;
  const Flags rule = {{"stop.plateau", "2"}, {"stop.gain", "0.9"}, {"eval.interval", "4"}};
  const auto flags = [&](const std::string& name) {
    Flags all = tiny_flags(rule);
    all.emplace_back("run.out", (folder / name).string());
    return all;
  };
  TinyRun whole(flags("whole"));
  const std::string hash = whole.train();
  CHECK(whole.state.step == 12);  // the first validation, and two that do not gain 90 %
  CHECK(stopped_by(whole.settings.settings.stop, whole.state.stop) == StoppedBy::plateau);
  for (const int kill : {2, 5, 10}) {
    const std::string name = "killed-" + std::to_string(kill);
    TinyRun first(flags(name));
    CHECK_THROWS_AS(first.train([&](int step) {
      if (step == kill) throw Killed();
    }),
                    Killed);
    TinyRun second(flags(name));
    CHECK(second.train() == hash);
    CHECK(second.state.step == 12);
  }
  // Killed behind the last checkpoint and before result.json: nothing is left to train.
  TinyRun again(flags("whole"));
  CHECK(again.train() == hash);
  CHECK(again.state.step == 12);
}

}  // namespace
}  // namespace farsight
