// What happens around training: damaged checkpoints passed over, steps that are not finite skipped,
// kept and explained, a run that is watched, operations that are timed.
#include <doctest/doctest.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>
#include <map>
#include <set>

#include "tests/child_process.h"
#include "tests/tiny_run.h"
#include "train/operations/device_limits.h"
#include "train/operations/profile.h"
#include "train/operations/replay.h"
#include "train/operations/resume.h"
#include "train/operations/step_bundle.h"
#include "train/operations/watch.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

Flags in_folder(const fs::path& folder, const Flags& more = {}) {
  Flags flags = tiny_flags({{"run.out", folder.string()}, {"checkpoint.interval", "4"}});
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

void flip_byte(const fs::path& path, std::size_t from_end) {
  std::string bytes = read_plainly(path);
  bytes[bytes.size() - from_end] ^= 4;
  write_plainly(path, bytes);
}

struct Died {};

/// A run that died after 14 steps; checkpoints of 4, 8 and 12 are there.
void half_a_run(const fs::path& run) {
  const auto die = [](int step) {
    if (step == 14) throw Died();
  };
  CHECK_THROWS_AS(TinyRun(in_folder(run, {{"checkpoint.keep_last", "3"}})).train(die), Died);
  REQUIRE(checkpoint_steps(run).front() == 12);
}

TEST_CASE("resume: a damaged newest checkpoint is passed over when asked, by a sentence") {
  const TemporaryFolder folder;
  const fs::path run = folder / "a";
  half_a_run(run);
  TrainOptions plain, asked;
  asked.may_fall_back = true;
  CHECK(resume_point(plain, run, true).checkpoint == run / checkpoint_name(12));
  CHECK(resume_point(plain, run, false).checkpoint.empty());
  flip_byte(run / checkpoint_name(12) / "optimizer.safetensors", 3);
  ExitCode code = ExitCode::ok;
  const std::string refused = error_of([&] { resume_point(plain, run, true); }, &code);
  CHECK(code == ExitCode::corrupt);
  for (const char* part :
       {"step-00000012/optimizer.safetensors", "tensor 'v.", "--resume auto", "--resume step-8"}) {
    CHECK_MESSAGE(mentions(refused, part), refused);
  }
  const ResumePoint point = resume_point(asked, run, true);
  CHECK(point.checkpoint == run / checkpoint_name(8));
  CHECK(mentions(point.note, "going on from step-00000008"));
  fs::remove(run / checkpoint_name(8) / "manifest.json");  // it cannot be trusted either
  const std::int64_t third = checkpoint_steps(run).back();
  CHECK(resume_point(asked, run, true).checkpoint == run / checkpoint_name(third));
  fs::remove_all(run / checkpoint_name(third));
  CHECK(mentions(error_of([&] { resume_point(asked, run, true); }), "no other checkpoint"));
}

TEST_CASE("resume: a half-written newest is not looked at, a step can be named") {
  const TemporaryFolder folder;
  const fs::path run = folder / "a";
  half_a_run(run);
  fs::create_directories(run / "step-00000016.inprogress");
  write_plainly(run / "step-00000016.inprogress/model.safetensors", "half");
  TrainOptions options;
  CHECK(resume_point(options, run, true).checkpoint == run / checkpoint_name(12));
  options.resume = "step-8";
  CHECK(resume_point(options, run, true).checkpoint == run / checkpoint_name(8));
  options.resume = "step-9";
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { resume_point(options, run, true); }, &code);
  CHECK(code == ExitCode::data);
  CHECK(mentions(message, "it has step-12, step-8"));
  CHECK(resume_step("step-00000012") == 12);
  for (const char* path : {"step-", "step-x", "step-1x", "./step-1", "runs/a"}) {
    CHECK(!resume_step(path));
    CHECK(resumes_path(path));
  }
  TinyRun rest(in_folder(run, {{"checkpoint.keep_last", "3"}}));
  rest.train();
  CHECK(!fs::exists(run / "step-00000016.inprogress"));
}

TEST_CASE("resume: a run killed before its settings were written begins in its folder") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "a");
  write_plainly(folder / "a/config.toml.tmp-1-0", "half");
  TinyRun run(in_folder(folder / "a"));
  run.train();
  CHECK(run.state.step == 24);
  CHECK(!fs::exists(folder / "a-2"));
  CHECK(!fs::exists(folder / "a/config.toml.tmp-1-0"));
}

TEST_CASE("program: SIGTERM and SIGUSR1 end with 75, SIGINT with 130, and a checkpoint") {
  const TemporaryFolder folder;
  for (const int signal : {SIGTERM, SIGUSR1, SIGINT}) {
    const std::string name = std::to_string(signal);
    std::vector<std::string> words = {"train"};
    const auto flags =
        words_of(tiny_flags({{"train.steps", "1000000"}, {"eval.interval", "500000"}}));
    words.insert(words.end(), flags.begin(), flags.end());
    words.insert(words.end(), {"--device", "cpu", "--out", name, "--threads", "1"});
    Child child(folder.path(), words);
    const fs::path metrics = folder / name / "metrics.jsonl";
    while (child.running() && read_plainly(metrics).empty()) {
      usleep(2000);
    }
    child.send(signal);
    const Outcome outcome = child.wait();
    CHECK_MESSAGE(outcome.exit_code == (signal == SIGINT ? 130 : 75), outcome.err);
    CHECK(mentions(outcome.err, signal == SIGINT    ? "SIGINT"
                                : signal == SIGTERM ? "SIGTERM"
                                                    : "SIGUSR1"));
    CHECK(fs::exists(folder / name / "latest"));
  }
}

/// Makes a parameter NaN after step `from` and whole again after step `to`.
std::function<void(int)> poison(const TinyRun& run, int from, int to) {
  const Tensor tensor = run.model.parameters->find("backbone.layers.1.mixer.D")->parameter->master;
  return [tensor, from, to, good = 0.0f](int done) mutable {
    float& value = tensor.data<float>()[1];
    if (done == from) good = std::exchange(value, std::numeric_limits<float>::quiet_NaN());
    if (done == to) value = good;
  };
}

TEST_CASE("on_nan: a skipped step moves no parameter, is counted, kept and explained") {
  const TemporaryFolder folder;
  const Flags skips = {{"train.on_nan", "skip"},
                       {"eval.interval", "24"},
                       {"log.interval", "1"},
                       {"checkpoint.interval", "24"}};
  TinyRun run(in_folder(folder / "a", skips));
  const Tensor values = run.model.parameters->values();
  Tensor before;
  int same = 0;
  const auto harm = poison(run, 3, 5);
  run.train([&](int done) {
    harm(done);
    if (done == 3) before = values.to(DType::f64);
    if (done == 4) {  // bitwise, but for the one that is NaN in both
      const Tensor after = values.to(DType::f64);
      for (std::int64_t i = 0; i < values.elements(); i++) {
        const double a = before.data<double>()[i], b = after.data<double>()[i];
        same += a == b || (std::isnan(a) && std::isnan(b)) ? 1 : 0;
      }
    }
  });
  CHECK(same == values.elements());
  CHECK(run.state.step == 24);
  CHECK(run.state.skipped == 2);
  CHECK(run.state.skipped_in_a_row == 0);
  CHECK(mentions(read_plainly(folder / "a/metrics.jsonl"), "\"skipped\":2"));
  CHECK(std::isfinite(run.state.loss));
  const fs::path bundle = folder / "a/bad-step-00000004";
  REQUIRE(fs::exists(bundle));
  const Model model = bundled_model(bundle, Device::cpu, DType::f32);
  const StepBundle step = read_step_bundle(bundle, model.vocab_size);
  CHECK(step.outcome.step == 4);
  CHECK(std::isnan(step.outcome.loss));
  CHECK(step.outcome.place == "layer 1, selective_scan");
  const Replay again = replay(model, step.batch);
  CHECK(!again.finite());
  REQUIRE(again.first_bad() != nullptr);
  CHECK(again.first_bad()->name == "layer 1, selective_scan");
  REQUIRE(again.bad_parameters.size() == 1);
  CHECK(again.bad_parameters[0].name == "backbone.layers.1.mixer.D");
  CHECK(again.bad_parameters[0].count.first_bad == 1);
}

TEST_CASE("on_nan: ten in a row end the run, and the last good checkpoint is kept") {
  const TemporaryFolder folder;
  TinyRun run(in_folder(folder / "a", {{"train.on_nan", "skip"}, {"eval.interval", "24"}}));
  const auto harm = poison(run, 4, 100);
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { run.train(harm); }, &code);
  CHECK(code == ExitCode::diverged);
  CHECK(mentions(message, "step 14, the 10th in a row"));
  CHECK(mentions(message, "selective_scan"));
  int bundles = 0;
  for (const auto& entry : fs::directory_iterator(folder / "a")) {
    bundles += entry.path().filename().string().starts_with("bad-step-") ? 1 : 0;
  }
  CHECK(bundles == kMostBundles);
}

TEST_CASE("replay: a bundle that leads out of itself is refused") {
  const TemporaryFolder folder;
  TinyRun run(in_folder(folder / "a"));
  const GlobalBatch batch = training_task_of(run.settings.settings).data.at(0, {});
  const fs::path bundle = save_step_bundle(folder.path(), run.settings.settings, run.model, batch,
                                           {.step = 1, .loss = 1, .gradient_norm = 2});
  const StepBundle good = read_step_bundle(bundle, 84);
  REQUIRE(good.batch.micro_batches.size() == batch.micro_batches.size());
  for (std::size_t i = 0; i < batch.micro_batches.size(); i++) {
    CHECK(good.batch.micro_batches[i].tokens == batch.micro_batches[i].tokens);
    CHECK(good.batch.micro_batches[i].targets == batch.micro_batches[i].targets);
  }
  CHECK(replay(run.model, good.batch).loss ==
        doctest::Approx(replay(run.model, batch).loss).epsilon(1e-12));
  ExitCode code = ExitCode::ok;
  CHECK(mentions(error_of([&] { read_step_bundle(bundle, 5); }, &code), "0.tokens holds"));
  CHECK(code == ExitCode::corrupt);
  const std::string step = read_plainly(bundle / "step.json");
  for (const auto& [from, to] : {std::pair{"farsight-step-1", "farsight-step-9"},
                                 {"\"loss\": \"1\"", "\"loss\": \"one\""},
                                 {"\"rank\": 0", "\"rank\": -1"}}) {
    std::string bad = step;
    const std::size_t at = bad.find(from);
    REQUIRE(at != std::string::npos);
    write_plainly(bundle / "step.json", bad.replace(at, std::strlen(from), to));
    CHECK_MESSAGE(!error_of([&] { read_step_bundle(bundle, 84); }, &code).empty(), to);
    CHECK(code == ExitCode::corrupt);
  }
}

TEST_CASE("watch: what it shows of a run, also of one that has hardly begun") {
  const TemporaryFolder folder;
  TinyRun(in_folder(folder / "a")).train();
  const std::string text = watch_text(folder / "a", 100);
  for (const char* part : {"24 of 24", "loss", "▁", "pair accuracy", "tokens/s", "memory"}) {
    CHECK_MESSAGE(mentions(text, part), text);
  }
  fs::create_directory(folder / "b");
  write_plainly(folder / "b/metrics.jsonl", "{\"step\":1,\"loss\":null}\n{\"step\":2,\"lo");
  CHECK(mentions(watch_text(folder / "b", 20), "step"));
  write_plainly(folder / "b/metrics.jsonl", "");
  CHECK(mentions(watch_text(folder / "b", 20), "no step"));
  ExitCode code = ExitCode::ok;
  CHECK(mentions(error_of([&] { watch_text(folder / "none", 80); }, &code), "is no run"));
  CHECK(code == ExitCode::data);
  const double falls[] = {8, 4, NAN, 2, 0};
  CHECK(sparkline(falls, 4) == "█▄▂▁");
  CHECK(sparkline({}, 4).empty());
}

TEST_CASE("profile: every operation is in the table, and training is as it was") {
  const TemporaryFolder folder;
  const std::string expected = TinyRun(in_folder(folder / "a")).train();
  CHECK(TinyRun(in_folder(folder / "b", {{"log.profile", "2"}})).train() == expected);
  CHECK((operation_done == nullptr));
  const Json profile = read_json(folder / "b/profile.json");
  CHECK(profile.at("steps").as_int() == 2);
  std::set<std::string> seen;
  double sum = 0;
  for (const Json& line : profile.at("operations").elements()) {
    seen.insert(line.at("operation").as_string() + " " + line.at("pass").as_string());
    sum += line.at("milliseconds").as_double();
    CHECK(line.at("calls").as_double() >= 1);
  }
  for (const char* name : {"selective_scan forward", "selective_scan backward", "linear forward",
                           "linear_cross_entropy backward", "adamw update"}) {
    CHECK_MESSAGE(seen.contains(name), name);
  }
  CHECK(sum == doctest::Approx(profile.at("milliseconds_per_step").as_double()));
  CHECK(mentions(read_plainly(folder / "b/profile.md"), "| selective_scan | backward |"));
  CHECK(made_for("NVIDIA H100 80GB HBM3", DType::bf16) == 989e12);
  CHECK(!made_for("a processor", DType::bf16));
}

TEST_CASE("profile: of an embedding the rows count that are taken, not the table") {
  const auto embedding_bytes = [](const Flags& more) {
    const TemporaryFolder folder;
    TinyRun(in_folder(folder / "a", more)).train();
    std::map<std::string, double> bytes;
    const Json profile = read_json(folder / "a/profile.json");
    for (const Json& line : profile.at("operations").elements()) {
      if (line.at("operation").as_string() != "embedding") continue;
      bytes[line.at("pass").as_string()] = line.at("bytes").as_double();
    }
    return bytes;
  };
  const auto small = embedding_bytes({{"log.profile", "1"}, {"model.vocab_size", "2000"}});
  CHECK(small.at("forward") == small.at("backward") * 2 / 3);
  CHECK(small == embedding_bytes({{"log.profile", "1"}, {"model.vocab_size", "4000"}}));
}

}  // namespace
}  // namespace farsight
