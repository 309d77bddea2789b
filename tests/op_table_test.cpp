// The tables of tests/op_cases are complete.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

#include "tests/op_cases/op_case.h"

namespace farsight {
namespace {

TEST_CASE("ops: every kernel has a row in the table") {
  // These have no backward: tests/optimizer_test.cpp, step_test.cpp, mqar_generate_test.cpp,
  // pythia_test.cpp and long_conv_test.cpp have them.
  std::set<std::string> tested = {"gradient_norm", "adamw_step",     "tally_predictions",
                                  "mqar_generate", "attention_step", "long_conv_step"};
  tested.insert("bit_digest");  // tests/bit_digest_test.cpp
  // Nor have these; tests/attention_matrix_test.cpp has them.
  tested.insert(
      {"scan_times", "hidden_attention", "wkv_weights", "long_conv_weights", "attention_weights"});
  for (const OpCase& c : op_cases()) {
    tested.insert(c.kernels.begin(), c.kernels.end());
  }
  const std::regex declaration(R"(FARSIGHT_KERNEL\((\w+), \w+\))");
  int found = 0;
  for (const auto& file : std::filesystem::directory_iterator(FARSIGHT_SOURCE_DIR "/ops")) {
    if (file.path().extension() != ".h" || file.path().filename() == "kernel.h") continue;
    std::ifstream in(file.path());
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    for (std::sregex_iterator at(text.begin(), text.end(), declaration), end; at != end; ++at) {
      found++;
      INFO((*at)[1].str(), " is in no table of tests/op_cases");
      CHECK(tested.contains((*at)[1]));
    }
  }
  CHECK(found >= 15);
}

}  // namespace
}  // namespace farsight
