// Ranks on GPUs of their own, as processes: NCCL's sums give the loss of one GPU, the fixed tree its
// bits, and whoever is lost is named.
#include <cmath>
#include <csignal>
#include <filesystem>
#include <sstream>
#include <thread>

#include "core/child_process.h"
#include "core/clock.h"
#include "core/device_ranks.h"
#include "core/json.h"
#include "tests/gpu.h"
#include "tests/rank_threads.h"
#include "tests/tiny_run.h"
#include "train/ranks/launch.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

/// False when there are no two GPUs and NCCL: the case is then skipped by name.
bool have_two_gpus() {
  if (!have_gpu()) return false;
  std::string why;
  if (gpu_count() < 2) {
    skip("needs two GPUs");
  } else if (!nccl_available(&why)) {
    skip(why);
  } else {
    return true;
  }
  return false;
}

/// bin/mamba beside this program.
std::string mamba() {
  return (fs::read_symlink("/proc/self/exe").parent_path() / "mamba").string();
}

std::vector<std::string> words_in(const fs::path& folder, const Flags& more) {
  Flags flags = tiny_flags({{"run.device", "cuda"},
                            {"model.d_model", "64"},
                            {"train.steps", "12"},
                            {"log.interval", "1"},
                            {"ranks.check_interval", "2"},
                            {"checkpoint.best_by", "last"},
                            {"run.out", (folder / "run").string()}});
  flags.insert(flags.end(), more.begin(), more.end());
  std::vector<std::string> words = {
      "/bin/sh",
      "-c",
      "exec \"$@\" >'" + folder.string() + "'/out.$RANK 2>'" + folder.string() + "'/err.$RANK",
      "ranks",
      mamba(),
      "train"};
  for (const std::string& word : words_of(flags))
    words.push_back(word);
  return words;
}

struct GpuRun {
  int code = 0;
  std::string hash, errors;
  std::vector<double> losses;
};

GpuRun run_on(int ranks, const fs::path& folder, const Flags& more) {
  fs::create_directories(folder);
  GpuRun run;
  run.code = launch({.words = words_in(folder, more), .nproc = ranks});
  for (int rank = 0; rank < ranks; rank++)
    run.errors += read_plainly(folder / ("err." + std::to_string(rank)));
  if (run.code != 0) return run;
  run.hash = read_json(folder / "run/result.json").at("parameter_hash").as_string();
  std::istringstream lines(read_plainly(folder / "run/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);)
    run.losses.push_back(Json::parse(line, "metrics.jsonl").at("loss").as_double());
  return run;
}

TEST_CASE("gpu: two ranks have the loss of one") {
  if (!have_two_gpus()) return;
  const Flags variants[] = {{{"train.packing", "off"}},
                            {{"train.packing", "off"}, {"train.micro_tokens", "48"}},
                            {{"train.packing", "off"}, {"train.batch_size", "1"}},
                            {{"train.packing", "on"}}};
  for (const Flags& variant : variants) {
    const TemporaryFolder folder;
    const GpuRun one = run_on(1, folder / "1", variant), two = run_on(2, folder / "2", variant);
    INFO(one.errors, two.errors);
    REQUIRE(one.code == 0);
    REQUIRE(two.code == 0);
    REQUIRE(one.losses.size() == two.losses.size());
    for (std::size_t i = 0; i < one.losses.size(); i++) {
      INFO("step ", i + 1, ": ", one.losses[i], " and ", two.losses[i]);
      CHECK(std::abs(one.losses[i] - two.losses[i]) <= 2e-6 * std::abs(one.losses[i]));
    }
  }
}

TEST_CASE("gpu: reproducible runs have the same bits on one GPU and on several") {
  if (!have_two_gpus()) return;
  const Flags variants[] = {{}, {{"run.dtype", "bf16"}}};
  for (const Flags& variant : variants) {
    Flags flags = {{"train.reproducible", "true"}};
    flags.insert(flags.end(), variant.begin(), variant.end());
    const TemporaryFolder folder;
    const GpuRun one = run_on(1, folder / "1", flags);
    INFO(one.errors);
    REQUIRE(one.code == 0);
    for (int ranks = 2; ranks <= std::min(8, gpu_count()); ranks *= 2) {
      const GpuRun several = run_on(ranks, folder / std::to_string(ranks), flags);
      INFO(ranks, " ranks: ", several.errors);
      CHECK(several.code == 0);
      CHECK(several.hash == one.hash);
    }
  }
}

TEST_CASE("gpu: a lost rank is named by those that wait for its gradients") {
  if (!have_two_gpus()) return;
  for (const int lost : {0, 1}) {
    const TemporaryFolder folder;
    std::vector<std::string> words =
        words_in(folder.path(), {{"train.steps", "1000000"}, {"eval.interval", "1000000"}});
    words[2] = "if [ $RANK = " + std::to_string(lost) + " ]; then (while ! [ -s '" +
               (folder / "run/metrics.jsonl").string() +
               "' ]; do sleep 0.01; done; kill -9 $$) & fi; " + words[2];
    CHECK(launch({.words = words, .nproc = 2, .grace_seconds = 30}) == 8);
    const std::string said = read_plainly(folder / ("err." + std::to_string(1 - lost)));
    INFO(said);
    CHECK(mentions(said, "rank " + std::to_string(lost) + " of 2"));
  }
}

TEST_CASE("gpu: more ranks than GPUs are refused with how many there are") {
  if (!have_two_gpus()) return;
  const int wanted = gpu_count() + 1;
  const std::string message = error_of([&] {
    run_launch(std::vector<std::string>{"--gpus", std::to_string(wanted), "--", mamba(), "train"});
  });
  CHECK(mentions(message, "this machine shows " + std::to_string(gpu_count())));
}

}  // namespace
}  // namespace farsight
