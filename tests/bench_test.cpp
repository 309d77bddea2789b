// The benchmark program, run as a user runs it; its times are not judged.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "core/device_calls.h"
#include "core/json.h"
#include "tests/skip.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

struct Outcome {
  int status = -1;
  std::string text;  ///< standard output and error
};

std::filesystem::path program() {
  return std::filesystem::path(FARSIGHT_BINARY_DIR) / "bin" / "farsight_bench";
}

Outcome outcome_of(const std::string& shell_command) {
  const std::string command = shell_command + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  Outcome outcome;
  char part[4096];
  for (std::size_t n = 0; (n = std::fread(part, 1, sizeof part, pipe)) > 0;) {
    outcome.text.append(part, n);
  }
  const int status = pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

Outcome run(const std::string& arguments) {
  return outcome_of("'" + program().string() + "' " + arguments);
}

std::vector<Json> lines_of(const std::filesystem::path& path) {
  std::vector<Json> lines;
  std::istringstream text(read_plainly(path));
  for (std::string line; std::getline(text, line);) {
    lines.push_back(Json::parse(line, path.string()));
  }
  return lines;
}

constexpr const char* kNotBuilt = "farsight_bench is not built here";

TEST_CASE("bench: a quick run of one operation prints its table and appends JSON lines") {
  if (!std::filesystem::exists(program())) return skip(kNotBuilt);
  const TemporaryFolder folder;
  const std::filesystem::path file = folder / "lines.jsonl";
  const std::string arguments =
      "--device cpu --quick --threads 2 --only embedding --note 'two words' --json '" +
      file.string() + "'";
  for (std::size_t repeat = 1; repeat <= 2; repeat++) {
    const Outcome outcome = run(arguments);
    INFO(outcome.text);
    REQUIRE(outcome.status == 0);
    for (const char* part : {"copy", "sgemm", "forward ms", "backward ms", "GB/s", "2 threads"}) {
      CHECK(mentions(outcome.text, part));
    }
    CHECK(!mentions(outcome.text, "selective_scan"));
    CHECK(!mentions(outcome.text, "training"));
    // The ceilings and the two sizes of the table, added to what is there.
    CHECK(lines_of(file).size() == 3 * repeat);
  }
  for (const Json& line : lines_of(file)) {
    INFO(line.dump());
    for (const char* key : {"date", "device", "program", "commit", "build", "blas", "command"}) {
      CHECK(!line.at(key).as_string().empty());
    }
    CHECK(line.at("threads").as_int() == 2);
    CHECK(line.at("note").as_string() == "two words");
    CHECK(line.at("others").as_double() >= 0);
    CHECK(line.at("gb_per_s").as_double() > 0);
    if (line.at("name").as_string() == "ceilings") {
      CHECK(line.at("gflop_per_s").as_double() > 0);
      continue;
    }
    CHECK(line.at("name").as_string() == "embedding");
    CHECK(line.at("dtype").as_string() == "f32");
    CHECK(line.at("sizes").at("D").as_int() > 0);
    CHECK(line.at("runs").as_int() >= 1);
    CHECK(line.at("forward_ms").as_double() > 0);
    CHECK(line.at("backward_ms").as_double() > 0);
    CHECK(line.at("percent_of_copy").as_double() > 0);
    // An embedding multiplies nothing.
    CHECK(line.at("gflop_per_s").is_null());
    CHECK(line.at("percent_of_sgemm").is_null());
  }
}

TEST_CASE("bench: what cannot be measured or written is said before anything is measured") {
  if (!std::filesystem::exists(program())) return skip(kNotBuilt);
  const Outcome unknown = run("--onyl scan");
  CHECK(unknown.status == 2);
  CHECK(mentions(unknown.text, "did you mean '--only'"));
  const Outcome nothing = run("--device cpu --only nonsense");
  CHECK(nothing.status == 2);
  CHECK(mentions(nothing.text, "nonsense"));
  for (const char* count : {"0", "-1", "2x", "99999999999", ""}) {
    const Outcome threads = run(std::string("--threads '") + count + "'");
    CHECK(threads.status == 2);
    CHECK(mentions(threads.text, "--threads must be a whole number"));
  }
  CHECK(run("--only").status == 2);
  const Outcome device = run("--device gpu");
  CHECK(device.status == 2);
  CHECK(mentions(device.text, "--device must be auto, cpu or cuda, got 'gpu'"));
  const TemporaryFolder folder;
  const Outcome unwritable = run("--device cpu --only embedding --json '" +
                                 (folder / "missing/lines.jsonl").string() + "'");
  CHECK(unwritable.status == 5);
  CHECK(mentions(unwritable.text, "--json: cannot write to"));
}

TEST_CASE("bench: without a GPU, --device cuda is one sentence, whatever else is asked for") {
  if (!std::filesystem::exists(program())) return skip(kNotBuilt);
  if (gpu_available()) return skip("this machine has a GPU");
  const Outcome outcome = run("--device cuda --quick --only nonsense");
  CHECK(outcome.status == 9);
  CHECK(mentions(outcome.text, "farsight_bench: --device cuda: "));
  CHECK(mentions(outcome.text, "use --device cpu"));
  CHECK(std::ranges::count(outcome.text, '\n') == 1);
}

TEST_CASE("bench: the script for the peers on a GPU lists its lines and says what is missing") {
  if (std::system("python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null") !=
      0) {
    return skip("no Python 3.11");
  }
  const std::string script =
      "PYTHONDONTWRITEBYTECODE=1 CUDA_VISIBLE_DEVICES= python3 '" FARSIGHT_SOURCE_DIR
      "/bench/peers/mamba_gpu.py' ";
  const Outcome list = outcome_of(script + "--list --only T=2048");
  CHECK(list.status == 0);
  CHECK(mentions(list.text, "selective_scan, z "));
  CHECK(mentions(list.text, "B=32 T=2048 D=1536 N=64"));
  CHECK(mentions(list.text, "training step, mamba, lm2048, V=50280, all rows"));
  CHECK(!mentions(list.text, "T=256"));
  const Outcome nothing = outcome_of(script + "--only nonsense");
  CHECK(nothing.status == 2);
  CHECK(mentions(nothing.text, "nonsense"));
  CHECK(outcome_of(script + "--onyl scan").status == 2);
  const Outcome no_gpu = outcome_of(script + "--only embedding");
  CHECK(no_gpu.status == 9);
  CHECK(mentions(no_gpu.text, "mamba_gpu.py: torch "));
}

}  // namespace
}  // namespace farsight
