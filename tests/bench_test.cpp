// The benchmark program, run as a user runs it; its times are not judged.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

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

Outcome run(const std::string& arguments) {
  const std::string command = "'" + program().string() + "' " + arguments + " 2>&1";
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
  const TemporaryFolder folder;
  const Outcome unwritable = run("--device cpu --only embedding --json '" +
                                 (folder / "missing/lines.jsonl").string() + "'");
  CHECK(unwritable.status == 5);
  CHECK(mentions(unwritable.text, "--json: cannot write to"));
}

}  // namespace
}  // namespace farsight
