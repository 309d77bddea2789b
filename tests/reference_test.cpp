#include "train/reference.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/temporary_folder.h"
#include "train/report.h"
#include "train/resolve.h"

namespace farsight {
namespace {

TEST_CASE("reference: the table has the paper's numbers for the same training set only") {
  const auto trained_on = [](const char* task) {
    return resolve({}, {{&setting_named("run.task"), std::string(task), "test"},
                        {&setting_named("run.preset"), std::string("full"), "test"}})
        .settings;
  };
  Settings settings = trained_on("last");
  std::string table = accuracy_table(settings, {{.task = "standard", .pair = 99.5},
                                                {.task = "last", .pair = 20},
                                                {.task = "shuffle", .pair = 30}});
  CHECK(mentions(table, "paper, Mamba 130M          82.64     99.35     54.08"));
  CHECK(mentions(table, "this run (full)            99.50     20.00     30.00"));
  CHECK(!mentions(table, "compare the order"));
  settings.run.model = "mamba-4x";
  CHECK(mentions(accuracy_table(settings, {}), "no numbers for mamba-4x trained on last"));
  settings = trained_on("standard");
  settings.run.model = "mamba-4x";
  table = accuracy_table(settings, {});
  CHECK(mentions(table, "paper, Mamba 4x                -     35.89     32.88"));
  CHECK(mentions(table, "this run (full)                -         -         -"));
  CHECK(paper_accuracy("mamba-gs", "shuffle", "shuffle") == 90.45);
  CHECK(!paper_accuracy("mamba-gs", "shuffle", "last").has_value());
}

}  // namespace
}  // namespace farsight
