// The training loop: repeatable bit by bit however it is run, cut or stopped; it learns; it notices
// when numbers go wrong.
#include <doctest/doctest.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>

#include "core/arena.h"
#include "core/parallel.h"
#include "eval/recall.h"
#include "tests/tiny_run.h"
#include "train/plan.h"
#include "train/step.h"
#include "train/task.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

struct Died {};  // what a killed process does to the loop, within this one

Flags in_folder(const fs::path& folder, const Flags& more = {}) {
  Flags flags = tiny_flags({{"run.out", folder.string()}, {"checkpoint.interval", "4"}});
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

/// metrics.jsonl without what depends on the clock and the machine.
std::vector<std::string> metrics_of(const fs::path& run) {
  std::vector<std::string> lines;
  const std::string text = read_plainly(run / "metrics.jsonl");
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    REQUIRE(end != std::string::npos);
    Json line = Json::parse(text.substr(begin, end - begin), "metrics.jsonl");
    for (const char* measured :
         {"seconds", "tokens_per_second", "memory_bytes", "of_ceiling", "mfu"}) {
      line[measured] = 0;
    }
    lines.push_back(line.dump());
    begin = end + 1;
  }
  return lines;
}

double loss_at(const fs::path& run, std::size_t line) {
  return Json::parse(metrics_of(run).at(line), "metrics.jsonl").at("loss").as_double();
}

TEST_CASE("training: the same settings give the same bits, with one thread or two") {
  const TemporaryFolder folder;
  const int before = threads();
  std::vector<std::string> hashes;
  for (const int count : {1, 2, 2, 3}) {
    set_threads(count);
    const std::string name = std::to_string(hashes.size());
    hashes.push_back(TinyRun(in_folder(folder / name)).train());
    CHECK(hashes.back() == hashes[0]);
    CHECK(metrics_of(folder / name) == metrics_of(folder / "0"));
  }
  set_threads(before);
  CHECK(metrics_of(folder / "0").size() == 13);  // step 1 and every other
  CHECK(TinyRun(in_folder(folder / "seed", {{"run.seed", "7"}})).train() != hashes[0]);
  CHECK(TinyRun(in_folder(folder / "wide", {{"run.dtype", "f64"}})).train() != hashes[0]);
}

TEST_CASE("training: killed at any step and started again, it ends at the same bits") {
  for (const char* best_by : {"pair-accuracy", "loss", "last"}) {
    const TemporaryFolder folder;
    const Flags by = {{"checkpoint.best_by", best_by}};
    TinyRun whole(in_folder(folder / "whole", by));
    const std::string expected = whole.train();
    for (const int steps : {1, 5, 7, 3, 2, 9}) {  // of each process, until it dies
      const auto die = [&](int step) {
        if (step == steps) throw Died();
      };
      CHECK_THROWS_AS(TinyRun(in_folder(folder / "cut", by)).train(die), Died);
    }
    TinyRun rest(in_folder(folder / "cut", by));
    CHECK(rest.train() == expected);
    CHECK(rest.state.tokens == whole.state.tokens);
    CHECK(rest.state.best_step == whole.state.best_step);
    CHECK(read_plainly(folder / "cut/best") == read_plainly(folder / "whole/best"));
    CHECK(metrics_of(folder / "cut") == metrics_of(folder / "whole"));
  }
}

TEST_CASE("training: a kill between a checkpoint and its pointers changes nothing") {
  const TemporaryFolder folder;
  const Flags by = {{"checkpoint.best_by", "last"}};
  const std::string expected = TinyRun(in_folder(folder / "whole", by)).train();
  for (const char* stale : {"best", "latest"}) {
    const auto die = [](int step) {
      if (step == 13) throw Died();
    };
    CHECK_THROWS_AS(TinyRun(in_folder(folder / stale, by)).train(die), Died);
    REQUIRE(read_plainly(folder / stale / stale) == "step-00000012\n");
    write_plainly(folder / stale / stale, "step-00000008\n");
    CHECK(TinyRun(in_folder(folder / stale, by)).train() == expected);
    CHECK(read_plainly(folder / stale / "best") == read_plainly(folder / "whole/best"));
  }
}

TEST_CASE("training: interrupted by a signal it saves, says so, and goes on from there") {
  const TemporaryFolder folder;
  const std::string expected = TinyRun(in_folder(folder / "whole")).train();
  int done = 0;
  for (const int steps : {1, 4, 6, 2, 10}) {
    const int signal = steps % 4 == 0 ? SIGTERM : SIGINT;
    const auto interrupt = [&](int step) {
      if (step == steps) std::raise(signal);
    };
    TinyRun part(in_folder(folder / "cut"));
    ExitCode code = ExitCode::ok;
    const std::string message = error_of([&] { part.train(interrupt); }, &code);
    done += steps;
    CHECK(code == (signal == SIGTERM ? ExitCode::resumable : ExitCode::interrupted));
    CHECK(mentions(message, "step " + std::to_string(done) + " of 24"));
    CHECK(pointed_checkpoint(folder / "cut", "latest").filename() == checkpoint_name(done));
  }
  CHECK(TinyRun(in_folder(folder / "cut")).train() == expected);
  CHECK(metrics_of(folder / "cut") == metrics_of(folder / "whole"));
}

TEST_CASE("training: the best checkpoint is what is left in the model") {
  const TemporaryFolder folder;
  TinyRun run(in_folder(
      folder / "a", {{"checkpoint.best_by", "loss"}, {"eval.interval", "1"}, {"train.lr", "3"}}));
  const std::string hash = run.train();
  TinyRun best(in_folder(folder / "b"));
  load_parameters(pointed_checkpoint(folder / "a", "best"), best.model);
  CHECK(parameter_hash(best.model) == hash);
  REQUIRE(run.state.best_step < run.state.step);  // a rate of 3 only does damage
}

TEST_CASE("training: the loss falls, for every model") {
  for (const char* model : {"mamba", "mamba-2x", "mamba-gs"}) {
    const TemporaryFolder folder;
    TinyRun run(in_folder(folder / "a", {{"run.model", model},
                                         {"train.steps", "120"},
                                         {"train.lr", "2e-2"},
                                         {"eval.interval", "120"},
                                         {"checkpoint.interval", "120"}}));
    const auto start = run.model.parameters->values().to(DType::f32);
    run.train();
    const std::size_t last = metrics_of(folder / "a").size() - 1;
    INFO(model);
    CHECK(loss_at(folder / "a", 0) == doctest::Approx(std::log(84.0)).epsilon(0.02));
    CHECK(loss_at(folder / "a", last) < 0.85 * std::log(84.0));
    for (const ParameterStore::Entry& entry : run.model.parameters->entries()) {
      INFO(entry.name);
      const Tensor before = start.slice_flat(entry.offset, entry.parameter->shape);
      CHECK(std::memcmp(before.ptr(), entry.parameter->master.ptr(),
                        static_cast<std::size_t>(before.bytes())) != 0);
    }
    CHECK((run.model.parameters->find("backbone.layers.0.mixer.module.module.weight") != nullptr) ==
          (std::string_view(model) == "mamba-gs"));
  }
}

TEST_CASE("training: how a batch is cut changes neither loss nor gradient") {
  for (const char* dtype : {"f64", "f32"}) {
    const TemporaryFolder folder;
    const double tolerance = dtype == std::string_view("f64") ? 1e-12 : 1e-6;
    std::vector<double> losses;
    std::vector<Tensor> gradients;
    for (const char* micro_tokens : {"1", "50", "100000"}) {
      const TinyRun run(tiny_flags({{"run.dtype", dtype}, {"train.micro_tokens", micro_tokens}}));
      const GlobalBatch batch = loader_of(run.settings.settings).at(3);
      CHECK((batch.micro_batches.size() <= 2) == (micro_tokens == std::string_view("100000")));
      const StepResult result = forward_backward(run.model, batch);
      CHECK(result.labels == batch.labels);
      losses.push_back(result.loss);
      gradients.push_back(run.model.parameters->gradients().to(DType::f64));
    }
    for (std::size_t i = 1; i < losses.size(); i++) {
      CHECK(losses[i] == doctest::Approx(losses[0]).epsilon(tolerance));
      double difference = 0, norm = 0;
      for (std::int64_t k = 0; k < gradients[0].elements(); k++) {
        const double a = gradients[0].data<double>()[k], b = gradients[i].data<double>()[k];
        difference += (a - b) * (a - b);
        norm += a * a;
      }
      CHECK(std::sqrt(difference / norm) <= 10 * tolerance);
    }
  }
}

TEST_CASE("training: evaluation does not depend on how it is cut") {
  const TinyRun run(tiny_flags());
  const MqarTask task = task_of(run.settings.settings, "shuffle");
  std::vector<RecallResult> results;
  for (const std::int64_t micro_tokens : {1, 60, 100000}) {
    results.push_back(
        evaluate_recall(run.model, task, {.examples_per_cell = 7, .micro_tokens = micro_tokens}));
    CHECK(results.back().tokens == 4 * 7 * 20);
    CHECK(results.back().loss == doctest::Approx(results[0].loss).epsilon(1e-6));
    CHECK(results.back().score.pair_accuracy == results[0].score.pair_accuracy);
    CHECK(results.back().score.token_accuracy == results[0].score.token_accuracy);
    CHECK(results.back().score.cells.size() == 4);
  }
}

/// Trains with a parameter that becomes NaN after `step` steps; the message.
std::string diverge(const Flags& flags, const char* parameter, int step) {
  TinyRun run(flags);
  const Tensor& poisoned = run.model.parameters->find(parameter)->parameter->master;
  const auto poison = [&](int done) {
    if (done == step) poisoned.data<float>()[1] = std::numeric_limits<float>::quiet_NaN();
  };
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { run.train(poison); }, &code);
  INFO(message);
  CHECK(code == ExitCode::diverged);
  return message;
}

TEST_CASE("training: a loss that is not finite stops it, naming the step and the operation") {
  const TemporaryFolder folder;
  const Flags each = {{"checkpoint.interval", "1"}, {"checkpoint.keep_last", "3"}};
  // The checkpoint written with the bad number in it is not called good.
  const std::string message =
      diverge(in_folder(folder / "a", each), "backbone.layers.1.mixer.D", 3);
  CHECK(mentions(message, "at step 4: loss nan"));
  CHECK(mentions(message, "layer 1, selective_scan"));
  CHECK(mentions(message, (folder / "a/step-00000002").string()));
  CHECK(pointed_checkpoint(folder / "a", "latest") == folder / "a/step-00000002");
  TinyRun again(in_folder(folder / "a", each));
  CHECK(again.train() == TinyRun(in_folder(folder / "b", each)).train());
  // The validation notices before anything is saved.
  const std::string early =
      diverge(in_folder(folder / "c"), "backbone.layers.0.mixer.x_proj.weight", 6);
  CHECK(mentions(early, "at step 6: validation loss nan"));
  CHECK(mentions(early, "layer 0, linear"));
  CHECK(mentions(early, "step-00000004"));
  CHECK(!fs::exists(folder / "c/step-00000006"));
  CHECK(mentions(diverge(in_folder(folder / "d"), "backbone.embeddings.weight", 1),
                 "No good checkpoint"));
}

TEST_CASE("training: a learning rate beyond all reason is an error, not a result") {
  const TemporaryFolder folder;
  TinyRun run(in_folder(folder / "a", {{"train.warmup", "0"}}));
  run.settings.settings.train.lr = 1e30;
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { run.train(); }, &code);
  CHECK(code == ExitCode::diverged);
  CHECK(mentions(message, "at step 2"));
  CHECK(mentions(message, "comes from embedding"));
}

TEST_CASE("training: the planned peak of memory is what a run takes") {
  for (const Flags& flags :
       {Flags{{"train.steps", "4"}}, Flags{{"train.steps", "4"}, {"run.model", "mamba-gs"}},
        tiny_flags({{"train.steps", "24"}})}) {
    const TemporaryFolder folder;
    Flags all = flags;
    all.insert(all.end(), {{"run.out", (folder / "a").string()},
                           {"data.valid_examples_per_cell", "64"}});  // enough to fill a pass
    const double planned = static_cast<double>(make_plan(resolved(all).settings).peak_bytes);
    Arena& memory = arena(Device::cpu);
    const std::int64_t before = memory.in_use_bytes();
    memory.reset_peak();
    TinyRun(all).train();
    const double taken = static_cast<double>(memory.peak_bytes() - before);
    CHECK(planned >= 0.9 * taken);
    CHECK(planned <= 1.1 * taken);
  }
}

}  // namespace
}  // namespace farsight
