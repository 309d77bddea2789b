// farsight probe: what it writes of a small trained run, and what it refuses.
#include "train/probe_verb.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "core/json.h"
#include "core/safetensors.h"
#include "tests/tiny_run.h"
#include "train/probe_report.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

/// A run of global selection after a few steps.
const fs::path& trained_run() {
  static const TemporaryFolder folder;
  static const fs::path run = [] {
    TinyRun(tiny_flags({{"run.out", (folder / "a").string()},
                        {"run.model", "mamba-gs"},
                        {"model.gate_kernel", "4"},
                        {"train.steps", "2"},
                        {"run.seed", "3"}}))
        .train();
    return folder / "a";
  }();
  return run;
}

/// What `probe` prints to stdout; nothing of it goes to the tests' own.
std::string printed(const Words& words) {
  const TemporaryFolder folder;
  std::fflush(stdout);
  const int kept = dup(STDOUT_FILENO);
  const int file = open((folder / "out").c_str(), O_WRONLY | O_CREAT, 0600);
  REQUIRE(dup2(file, STDOUT_FILENO) >= 0);
  const std::string message = error_of([&] { run_probe_verb(words); });
  std::fflush(stdout);
  dup2(kept, STDOUT_FILENO);
  close(kept);
  close(file);
  CHECK_MESSAGE(message.empty(), message);
  return read_plainly(folder / "out");
}

TEST_CASE("probe: quantities of a run's layers as JSON, CSV and a page") {
  const TemporaryFolder folder;
  const fs::path out = folder / "q";
  const Json json =
      Json::parse(printed({"layers", "--run", trained_run().string(), "--cell", "24x2",
                           "--examples", "2", "--out", out.string(), "--json"}),
                  "stdout");
  CHECK(json.at("task").as_string() == "standard");
  CHECK(json.at("length").as_int(0, 99) == 24);
  REQUIRE(json.at("layers").elements().size() == 2);
  for (const Json& layer : json.at("layers").elements()) {
    CHECK(layer.at("reconstruction_error").as_double() <= 1e-5);
    CHECK(layer.at("selectivity").as_double() > 0);
    const bool gated = layer.at("layer").as_int(0, 9) == 0;  // as the pocket preset has it
    CHECK((layer.at("delta_key").as_double() != layer.at("delta_key_plain").as_double()) == gated);
    CHECK(layer.at("delta_separator").is_null());
  }
  const std::string csv = read_plainly(out / "layers.csv");
  CHECK(csv.starts_with("layer,rank,selectivity,uniform,pair_share,position_bias_1,"));
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 3);
  CHECK(fs::exists(out / "probe.html"));
  CHECK(!fs::exists(out / "matrices.safetensors"));
}

TEST_CASE("probe: matrices of a run as safetensors and figures") {
  const TemporaryFolder folder;
  const std::string text = printed(
      {"matrix", "--run", trained_run().string(), "--task", "shuffle", "--layer", "1", "--examples",
       "3", "--row-normalised", "--gnuplot", "no-such-program", "--out", (folder / "m").string()});
  CHECK(text.find("mamba-gs on shuffle 24x2") != std::string::npos);
  CHECK(text.find("selectivity") != std::string::npos);
  const SafetensorsFile file(folder / "m" / "matrices.safetensors");
  REQUIRE(file.tensors().size() == 1);
  CHECK(file.metadata().at("reduction") == "absolute, rows sum to 1, mean over 3 examples");
  const Tensor matrix = file.load("layer.1");
  REQUIRE(matrix.shape() == Shape{24, 24});
  for (std::int64_t t = 0; t < 24; t++) {
    double sum = 0;
    for (std::int64_t s = 0; s < 24; s++) {
      sum += static_cast<double>(matrix.data<float>()[t * 24 + s]);
    }
    CHECK(sum == doctest::Approx(1).epsilon(1e-5));
  }
  CHECK(fs::exists(folder / "m" / "heat-map.csv"));
  CHECK(fs::exists(folder / "m" / "heat-map.gp"));
}

TEST_CASE("probe: what is misspelt, missing or impossible is said in a sentence") {
  const std::string run = trained_run().string();
  const auto refused = [](const Words& words, ExitCode expected, const char* part) {
    ExitCode code = ExitCode::ok;
    const std::string message = error_of([&] { run_probe_verb(words); }, &code);
    CHECK_MESSAGE(code == expected, message);
    CHECK_MESSAGE(message.find(part) != std::string::npos, message);
  };
  refused({"matrx", "--run", run}, ExitCode::usage, "did you mean 'matrix'");
  refused({"layers"}, ExitCode::usage, "--run runs/NAME");
  refused({"layers", "--run", run, "--checkpoint", run}, ExitCode::usage, "either");
  refused({"matrix", "--run", run}, ExitCode::usage, "--out");
  refused({"layers", "--run", run + "-not"}, ExitCode::storage, "there is no");
  refused({"layers", "--run", run, "--lyer", "1"}, ExitCode::usage, "--layer");
  refused({"layers", "--run", run, "--layer", "2"}, ExitCode::data, "layers 0 to 1");
  refused({"layers", "--run", run, "--layer", "x"}, ExitCode::usage, "--layer");
  refused({"layers", "--run", run, "--cell", "24"}, ExitCode::usage, "64x8");
  refused({"layers", "--run", run, "--cell", "24x12"}, ExitCode::data, "12");
  refused({"layers", "--run", run, "--task", "shufle"}, ExitCode::usage, "shuffle");
  refused({"layers", "--run", run, "--examples", "0"}, ExitCode::usage, "--examples");
  refused({"layers", "--run", run, "--split", "train"}, ExitCode::usage, "valid");
}

TEST_CASE("probe: a cell of the task's grid is that of the evaluation; another one stands alone") {
  const Settings settings = resolved(tiny_flags()).settings;
  const ProbedCell in_grid = probed_cell(settings, "last", "24x2");
  CHECK(in_grid.task.cells.size() > 1);
  CHECK(in_grid.task.cells[in_grid.cell] == Cell{24, 2});
  const ProbedCell alone = probed_cell(settings, "last", "32x4");
  CHECK(alone.task.cells == std::vector<Cell>{{32, 4}});
  CHECK(probed_cell(settings, "last", "").task.cells.back() == Cell{24, 2});
  CHECK(layers_named("all").empty());
  CHECK(layers_named("7,0,7,3") == std::vector<std::int64_t>{0, 3, 7});
}

TEST_CASE("probe: tables name every layer, and show what a gate changed") {
  std::vector<LayerProbe> layers(2);
  layers[0].layer = 4;
  layers[1].layer = 9;
  layers[1].quantities.selectivity = 0.5;
  layers[1].delta.emplace();
  layers[1].delta->mean.fill(0.25);
  layers[1].delta->plain.fill(0.75);
  const std::string text = plain_text(quantities_table(layers));
  CHECK(text.find("50.00") != std::string::npos);
  CHECK(text.find("    4     2") != std::string::npos);  // the layer and its rank
  const Table steps = delta_table(layers);
  REQUIRE(steps.rows.size() == 1);
  CHECK(steps.rows[0][1].text == "0.2500");
  CHECK(steps.rows[0][1].note == "plain 0.7500");
}

}  // namespace
}  // namespace farsight
