// bin/mamba: what it prints and how it exits, for good words and for bad ones.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cmath>
#include <cstdlib>

#include "core/device_calls.h"
#include "core/json.h"
#include "tests/child_process.h"
#include "tests/skip.h"
#include "tests/tiny_run.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

using Words = std::vector<std::string>;

/// train with the tiny settings, and `more`.
Words train_words(const std::string& out, const Words& more = {}) {
  Words words = {"train"};
  const Words flags = words_of(tiny_flags());
  words.insert(words.end(), flags.begin(), flags.end());
  words.insert(words.end(), {"--device", "cpu", "--out", out, "--threads", "1"});
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Runs it and checks exit code, one sentence on stderr, and that it has these parts.
void check_refused(const fs::path& folder, const Words& words, int code,
                   const std::vector<std::string>& parts) {
  const Outcome outcome = run_mamba(folder, words);
  const std::string line = fmt::format("{}", fmt::join(words, " "));
  INFO(line, "\n", outcome.err);
  CHECK(outcome.exit_code == code);
  CHECK(outcome.out.empty());
  CHECK(outcome.err.starts_with("mamba"));
  CHECK(!mentions(outcome.err, "mamba: mamba"));
  for (const std::string& part : parts) {
    CHECK_MESSAGE(mentions(outcome.err, part), part);
  }
}

/// One finished tiny run, shared by the cases that only read it.
const fs::path& finished_run() {
  static const TemporaryFolder folder;
  static const fs::path run = [] {
    const Outcome outcome = run_mamba(folder.path(), train_words("a"));
    REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.err);
    write_plainly(folder / "printed", outcome.out);
    write_plainly(folder / "shown", outcome.err);
    return folder / "a";
  }();
  return run;
}

TEST_CASE("program: a misspelt word is exit 2, the list and the nearest name") {
  const TemporaryFolder folder;
  check_refused(folder.path(), {"trian"}, 2, {"trian", "train|eval|generate|info", "'train'"});
  check_refused(folder.path(), {"train", "--task", "shufle"}, 2,
                {"shufle", "standard", "last", "did you mean 'shuffle'"});
  check_refused(folder.path(), {"train", "--model", "mamba2x"}, 2,
                {"mamba-4x", "mamba-gs", "did you mean 'mamba-2x'"});
  check_refused(folder.path(), {"train", "--preset", "poket"}, 2,
                {"tiny", "full", "did you mean 'pocket'"});
  check_refused(folder.path(), {"train", "--learning-rat", "1"}, 2, {"--learning-rat"});
  check_refused(folder.path(), {"train", "--step", "1"}, 2, {"--step", "--steps"});
  check_refused(folder.path(), {"train", "--lr", "fast"}, 2, {"--lr", "fast"});
  check_refused(folder.path(), {"eval"}, 2, {"--run"});
  check_refused(folder.path(), {"generate", "--run", "a"}, 2, {"--prompt-ids"});
  CHECK(folder.entries() == 2);  // .out and .err: nothing was begun
}

TEST_CASE("program: settings that no data satisfies are exit 3") {
  const TemporaryFolder folder;
  check_refused(folder.path(), train_words("a", {"--pairs", "64"}), 3, {"64", "length"});
  check_refused(folder.path(), train_words("a", {"--lengths", "4,256", "--pairs", "2"}), 3,
                {"length 4"});
  check_refused(folder.path(),
                train_words("a", {"--lengths", "256", "--pairs", "64", "--data.vocabulary", "60"}),
                3, {"64 pairs", "vocabulary"});
  check_refused(folder.path(), train_words("a", {"--model.vocab_size", "83"}), 3,
                {"model.vocab_size", "84", "83"});
  check_refused(folder.path(), train_words("a", {"--batch-size", "100000"}), 3, {"batch"});
  CHECK(!fs::exists(folder / "a"));
}

TEST_CASE("program: a GPU that is not there is exit 9 and a sentence") {
  if (gpu_available()) return skip("there is one here");
  if (std::getenv("CUDA_VISIBLE_DEVICES") != nullptr) return skip("GPUs may be hidden here");
  const TemporaryFolder folder;
  check_refused(folder.path(), train_words("a", {"--device", "cuda"}), 9,
                {"--device cuda", FARSIGHT_CUDA ? "NVIDIA" : "no CUDA", "--device cpu"});
  CHECK(!fs::exists(folder / "a"));
  check_refused(folder.path(), {"eval", "--run", finished_run(), "--device", "cuda"}, 9,
                {FARSIGHT_CUDA ? "NVIDIA" : "CUDA"});
}

TEST_CASE("program: an output folder that cannot be written is exit 5") {
  const TemporaryFolder folder;
  write_plainly(folder / "file", "x");
  check_refused(folder.path(), train_words("file"), 2, {"holds no run"});
  check_refused(folder.path(), train_words("file/a"), 5, {"file", "choose another folder"});
  check_refused(folder.path(), train_words("/proc/nothing"), 5, {"/proc/nothing"});
  if (geteuid() == 0) return;  // root may write everywhere
  fs::create_directory(folder / "locked");
  chmod((folder / "locked").c_str(), 0500);
  check_refused(folder.path(), train_words("locked/a"), 5, {"locked", "Permission denied"});
}

TEST_CASE("program: info counts the parameters, as a table and as JSON") {
  const TemporaryFolder folder;
  const Outcome table =
      run_mamba(folder.path(), {"info", "--model", "mamba-2x", "--preset", "full"});
  CHECK(table.exit_code == 0);
  CHECK(mentions(table.out, "130,904,832"));
  CHECK(mentions(table.out, "1536x32"));
  CHECK(mentions(table.out, "backbone.layers.N.mixer.in_proj.weight"));
  for (const auto& [model, count] :
       {std::pair{"mamba", 129'135'360}, {"mamba-4x", 134'443'776}, {"mamba-gs", 133'890'816}}) {
    const Outcome outcome =
        run_mamba(folder.path(), {"info", "--model", model, "--preset", "full", "--json"});
    CHECK(outcome.exit_code == 0);
    const Json json = Json::parse(outcome.out, "info");
    CHECK(json.at("parameters").as_int() == count);
    CHECK(json.at("config").at("model_type").as_string() == "mamba");
    std::int64_t sum = 0;
    for (const Json& tensor : json.at("tensors").elements()) {
      std::int64_t elements = 1;
      for (const Json& size : tensor.at("shape").elements()) {
        elements *= size.as_int();
      }
      CHECK(tensor.at("elements").as_int() == elements);
      sum += elements;
    }
    CHECK(sum == count);
  }
}

TEST_CASE("program: a dry run prints the plan and makes nothing") {
  const TemporaryFolder folder;
  const Outcome outcome = run_mamba(folder.path(), train_words("a", {"--dry-run"}));
  CHECK(outcome.exit_code == 0);
  for (const char* part :
       {"parameters", "tokens", "steps", "memory", "FLOPs", "24 of 8 examples"}) {
    CHECK_MESSAGE(mentions(outcome.out, part), part);
  }
  CHECK(!fs::exists(folder / "a"));
}

TEST_CASE("program: a run leaves its results, tested on all three tasks") {
  const fs::path& run = finished_run();
  const Json result = read_json(run / "result.json");
  CHECK(result.at("task").as_string() == "standard");
  CHECK(result.at("model").as_string() == "mamba");
  CHECK(result.at("preset").as_string() == "pocket");
  CHECK(mentions(result.at("device").as_string(), "cpu"));
  CHECK(result.at("parameters").as_int() > 1000);
  CHECK(result.at("steps").as_int() == 24);
  CHECK(result.at("tokens").as_int() > 24 * 8 * 16);
  CHECK(result.at("seconds").as_double() > 0);
  CHECK(result.at("tokens_per_second").as_double() ==
        doctest::Approx(result.at("tokens").as_double() / result.at("seconds").as_double()));
  CHECK(result.at("seed").as_int() == 42);
  CHECK(result.at("parameter_hash").as_string().size() == 16);
  CHECK(result.at("accuracy").size() == 3);
  for (const char* task : {"standard", "last", "shuffle"}) {
    const Json& accuracy = result.at("accuracy").at(task);
    for (const char* kind : {"pair", "token", "case"}) {
      CHECK(accuracy.at(kind).as_double() >= 0);
      CHECK(accuracy.at(kind).as_double() <= 100);
    }
    CHECK(accuracy.at("cells").size() == 4);
    CHECK(accuracy.at("cells").contains("24x2"));
  }
  const std::string printed = read_plainly(run.parent_path() / "printed");
  for (const char* part : {"standard", "last", "shuffle", "99.72", "15.44", "22.37", "report.html",
                           "a/step-", "make eval"}) {
    CHECK_MESSAGE(mentions(printed, part), part);
  }
  CHECK(mentions(read_plainly(run.parent_path() / "shown"), "step 24: validation"));
  for (const char* file : {"config.toml", "metrics.jsonl", "report.html", "report.md",
                           "report.json", "figures/loss.csv", "latest", "best"}) {
    CHECK(fs::exists(run / file));
  }
}

TEST_CASE("program: config.toml runs again as it is, to the same bits") {
  const TemporaryFolder folder;
  const Outcome outcome =
      run_mamba(folder.path(), {"train", "--config", finished_run() / "config.toml", "--out", "b"});
  CHECK_MESSAGE(outcome.exit_code == 0, outcome.err);
  CHECK(read_json(folder / "b/result.json").at("parameter_hash") ==
        read_json(finished_run() / "result.json").at("parameter_hash"));
}

TEST_CASE("program: eval gives what the run's own test gave") {
  const TemporaryFolder folder;
  const Json result = read_json(finished_run() / "result.json");
  Json expected = Json::object();  // and of which parameters
  for (const Json::Member& task : result.at("accuracy").members()) {
    expected[task.key] = task.value;
    expected[task.key]["parameter_hash"] = result.at("parameter_hash");
  }
  const Outcome all = run_mamba(folder.path(), {"eval", "--run", finished_run(), "--json"});
  CHECK_MESSAGE(all.exit_code == 0, all.err);
  CHECK(Json::parse(all.out, "eval") == expected);
  const Outcome one =
      run_mamba(folder.path(), {"eval", "--checkpoint", finished_run() / "step-00000024", "--task",
                                "shuffle,last", "--split", "valid", "--limit", "2", "--json"});
  CHECK_MESSAGE(one.exit_code == 0, one.err);
  CHECK(Json::parse(one.out, "eval").size() == 2);
  const Outcome table = run_mamba(folder.path(), {"eval", "--run", finished_run()});
  CHECK(mentions(table.out, "24x2"));
}

TEST_CASE("program: generate continues ids and examples, and knows its vocabulary") {
  const TemporaryFolder folder;
  const Words base = {"generate", "--run", finished_run(), "--tokens", "5"};
  const auto with = [&](const Words& more) {
    Words words = base;
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  const Outcome ids = run_mamba(folder.path(), with({"--prompt-ids", "1,40,1"}));
  CHECK_MESSAGE(ids.exit_code == 0, ids.err);
  CHECK(mentions(ids.out, "prompt        1 40 1\n"));
  const auto continuation = [](const std::string& out) {
    const std::size_t at = out.find("continuation");
    return out.substr(at, out.find('\n', at) - at);
  };
  CHECK(continuation(run_mamba(folder.path(), with({"--prompt-ids", "1,40,1"})).out) ==
        continuation(ids.out));
  const Words sampled = with({"--task", "last", "--temperature", "2", "--seed", "3"});
  const Outcome task = run_mamba(folder.path(), sampled);
  CHECK_MESSAGE(task.exit_code == 0, task.err);
  CHECK(continuation(run_mamba(folder.path(), sampled).out) == continuation(task.out));
  // In a batch every row is what it is alone.
  const Outcome batch =
      run_mamba(folder.path(), with({"--prompt-ids", "2,41,2; 1,40,1", "--samples", "2"}));
  CHECK_MESSAGE(batch.exit_code == 0, batch.err);
  const std::string alone = continuation(ids.out) + "\n";
  CHECK(mentions(batch.out, "prompt        1 40 1\n" + alone + alone));
  check_refused(folder.path(), with({"--prompt-ids", "1,84"}), 3, {"84", "vocabulary"});
  check_refused(folder.path(), with({"--prompt-ids", "1,-2"}), 2, {"--prompt-ids"});
}

}  // namespace
}  // namespace farsight
