// bin/mamba and the files of a run: damaged, of another model, hostile; killed and interrupted.
#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "core/json.h"
#include "core/philox.h"
#include "core/safetensors.h"
#include "tests/child_process.h"
#include "tests/tiny_run.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

using Words = std::vector<std::string>;

Words train_words(const std::string& out, const Flags& more = {}) {
  Words words = {"train", "--out", out};
  const Words flags = words_of(tiny_flags(more));
  words.insert(words.end(), flags.begin(), flags.end());
  return words;
}

void check_eval_refused(const fs::path& folder, int code, std::string_view part) {
  const Outcome outcome = run_mamba(folder, {"eval", "--run", "a"});
  INFO(outcome.err);
  CHECK(outcome.exit_code == code);
  CHECK(outcome.out.empty());
  CHECK(mentions(outcome.err, part));
}

TEST_CASE("program: damaged and hostile weights are exit 4, those of another model exit 3") {
  const TemporaryFolder folder;
  REQUIRE(run_mamba(folder.path(), train_words("a", {{"train.steps", "2"}})).exit_code == 0);
  const fs::path checkpoint = folder / "a/step-00000002";
  const fs::path weights = checkpoint / "model.safetensors", config = checkpoint / "config.json";
  const std::string good = read_plainly(weights), good_config = read_plainly(config);

  write_plainly(weights, good.substr(0, good.size() / 2));
  check_eval_refused(folder.path(), 4, "model.safetensors");
  std::string flipped = good;
  flipped[good.size() - 5] ^= 1;
  write_plainly(weights, flipped);
  check_eval_refused(folder.path(), 4, "model.safetensors");

  fs::remove(checkpoint / "manifest.json");  // as if downloaded: only the parser is left
  const auto header = [](const std::string& json) {
    std::string bytes(8, '\0');
    for (std::size_t i = 0; i < 8; i++) {
      bytes[i] = static_cast<char>(json.size() >> (8 * i));
    }
    return bytes + json;
  };
  for (const std::string& bad :
       {std::string(), good.substr(0, 4), good.substr(0, 200), good.substr(0, good.size() - 1),
        good + "x", std::string(8, '\xff') + good, std::string("<html><body>404</body></html>"),
        header("{}") + "x", header("[]"),
        header(R"({"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})"),
        header(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,9999999999]}})")}) {
    write_plainly(weights, bad);
    check_eval_refused(folder.path(), 4, "model.safetensors");
  }

  write_plainly(weights, header("{}"));
  check_eval_refused(folder.path(), 3, R"(22 missing: "backbone.embeddings.weight")");
  write_plainly(weights, good);
  Json other = Json::parse(good_config, "config.json");
  other["state_size"] = 5;
  write_plainly(config, other.dump());
  check_eval_refused(folder.path(), 3, R"(A_log" is [32, 4], expected [32, 5])");
  for (const char* bad : {"", "{}", "{\"model_type\":\"gpt2\"}", "[1", "\xff\xfe"}) {
    write_plainly(config, bad);
    check_eval_refused(folder.path(), 4, "config.json");
  }
  other["state_size"] = -1;
  write_plainly(config, other.dump());
  check_eval_refused(folder.path(), 4, "config.json");
  other["state_size"] = 4;
  other["intermediate_size"] = 2 * 65536;
  other["hidden_size"] = 65536;  // terabytes: compared before any memory is asked for
  other["num_hidden_layers"] = 256;
  write_plainly(config, other.dump());
  check_eval_refused(folder.path(), 3, R"("backbone.embeddings.weight" is [84, 16])");
  fs::remove(config);
  check_eval_refused(folder.path(), 3, "has no config.json");
  write_plainly(folder / "a/best", "../../etc\n");
  check_eval_refused(folder.path(), 4, "best");
  fs::remove(folder / "a/best");
  fs::remove(folder / "a/latest");
  check_eval_refused(folder.path(), 3, "train it first");
}

TEST_CASE("program: resuming takes up a run by its name or a checkpoint of it") {
  const TemporaryFolder folder;
  const Words base =
      train_words("a", {{"checkpoint.interval", "4"}, {"checkpoint.keep_last", "9"}});
  REQUIRE(run_mamba(folder.path(), base).exit_code == 0);
  const Json hash = read_json(folder / "a/result.json").at("parameter_hash");
  for (const char* from : {"a", "a/", "a/step-00000008"}) {
    fs::remove(folder / "a/result.json");
    const Outcome again = run_mamba(folder.path(), {"train", "--resume", from});
    CHECK_MESSAGE(again.exit_code == 0, again.err);
    CHECK(mentions(again.err, "resuming from"));
    CHECK(read_json(folder / "a/result.json").at("parameter_hash") == hash);
  }
  const Outcome nowhere = run_mamba(folder.path(), {"train", "--resume", "b"});
  CHECK(nowhere.exit_code == 5);
  CHECK(mentions(nowhere.err, "there is no 'b'"));
}

/// Long enough to be caught in the middle: about a second.
Words long_run(const std::string& out) {
  return train_words(out, {{"train.steps", "200"},
                           {"checkpoint.interval", "5"},
                           {"eval.interval", "20"},
                           {"log.interval", "1"},
                           {"run.threads", "2"}});
}

/// The steps of metrics.jsonl, in their order.
std::vector<std::int64_t> logged_steps(const fs::path& run) {
  std::vector<std::int64_t> steps;
  std::ifstream in(run / "metrics.jsonl");
  for (std::string line; std::getline(in, line);) {
    steps.push_back(Json::parse(line, "metrics.jsonl").at("step").as_int());
  }
  return steps;
}

/// Waits until the run has logged another `lines` lines (or is done); false if it is done.
bool wait_for_lines(const Child& child, const fs::path& run, std::size_t lines) {
  const auto count = [&] {
    const std::string text =
        fs::exists(run / "metrics.jsonl") ? read_plainly(run / "metrics.jsonl") : std::string();
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  };
  const std::size_t wanted = count() + lines;
  while (child.running()) {
    if (count() >= wanted) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

TEST_CASE("program: killed at any moment, the same command ends with the same bits") {
  const TemporaryFolder folder;
  const Outcome whole = run_mamba(folder.path(), long_run("whole"));
  REQUIRE_MESSAGE(whole.exit_code == 0, whole.err);
  PhiloxSequence random(philox_key(1, hash_name("kills")), 0);
  int killed = 0;
  for (int i = 0; i < 5; i++) {
    Child child(folder.path(), long_run("cut"));
    if (!wait_for_lines(child, folder / "cut", 1 + random.below(20))) break;
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(5000)));
    child.send(SIGKILL);
    CHECK(child.wait().signal == SIGKILL);
    killed++;
  }
  CHECK(killed >= 3);  // a machine that stalls may let one of them finish
  const Outcome rest = run_mamba(folder.path(), long_run("cut"));
  CHECK_MESSAGE(rest.exit_code == 0, rest.err);
  const Json expected = read_json(folder / "whole/result.json");
  const Json result = read_json(folder / "cut/result.json");
  CHECK(result.at("parameter_hash") == expected.at("parameter_hash"));
  CHECK(result.at("accuracy") == expected.at("accuracy"));
  CHECK(result.at("tokens") == expected.at("tokens"));
  std::vector<std::int64_t> all;
  for (std::int64_t step = 1; step <= 200; step++) {
    all.push_back(step);
  }
  CHECK(logged_steps(folder / "cut") == all);
  for (const fs::directory_entry& entry : fs::directory_iterator(folder / "cut")) {
    CHECK(!mentions(entry.path().string(), "inprogress"));
    CHECK(!mentions(entry.path().string(), ".tmp-"));
  }
}

TEST_CASE("program: Ctrl-C is exit 130 and SIGTERM 75, a checkpoint, and how to go on") {
  const TemporaryFolder folder;
  const Outcome whole = run_mamba(folder.path(), long_run("whole"));
  REQUIRE_MESSAGE(whole.exit_code == 0, whole.err);
  for (const int signal : {SIGINT, SIGTERM}) {
    Child child(folder.path(), long_run("cut"));
    REQUIRE(wait_for_lines(child, folder / "cut", 7));
    // A second run in the same folder is refused while the first one is at work (or stopped).
    child.send(SIGSTOP);
    const Outcome second = run_mamba(folder.path(), long_run("cut"));
    CHECK(second.exit_code == 2);
    CHECK(mentions(second.err, "another process"));
    child.send(signal);
    child.send(SIGCONT);
    const Outcome outcome = child.wait();
    CHECK(outcome.exit_code == (signal == SIGINT ? 130 : 75));
  }
  CHECK(!fs::exists(folder / "cut/result.json"));
  const Outcome rest = run_mamba(folder.path(), long_run("cut"));
  CHECK_MESSAGE(rest.exit_code == 0, rest.err);
  CHECK(mentions(rest.err, "resuming from cut/step-"));
  CHECK(read_json(folder / "cut/result.json").at("parameter_hash") ==
        read_json(folder / "whole/result.json").at("parameter_hash"));
}

TEST_CASE(
    "program: Ctrl-C after the last step says so, and the same command goes on with the test") {
  const TemporaryFolder folder;
  const Words words = train_words(
      "cut",
      {{"train.steps", "20"}, {"data.test_examples_per_cell", "2000"}, {"log.interval", "1"}});
  Child child(folder.path(), words);
  REQUIRE(wait_for_lines(child, folder / "cut", 20));
  child.send(SIGINT);
  const Outcome outcome = child.wait();
  CHECK(outcome.exit_code == 130);
  CHECK(mentions(outcome.err, "interrupted by SIGINT after the last step; cut is trained"));
  CHECK(!fs::exists(folder / "cut/result.json"));
  const Outcome rest = run_mamba(folder.path(), words);
  CHECK_MESSAGE(rest.exit_code == 0, rest.err);
  CHECK(mentions(rest.err, "resuming from cut/step-00000020"));
}

}  // namespace
}  // namespace farsight
