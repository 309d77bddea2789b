// eval on language tasks as a command: its words, and a checkpoint from end to end.
#include <doctest/doctest.h>

#include "models/mamba.h"
#include "tests/language_data.h"
#include "tests/language_fixtures.h"
#include "tests/skip.h"
#include "train/checkpoint.h"
#include "train/language_eval.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

Command parse(const std::vector<std::string>& words) {
  std::vector<const char*> argv = {"mamba"};
  for (const std::string& word : words) {
    argv.push_back(word.c_str());
  }
  return parse_command_line("mamba", static_cast<int>(argv.size()), argv.data());
}

TEST_CASE("command line: eval takes language tasks by name, alone") {
  const TemporaryFolder folder;
  write_plainly(folder / "config.json", "{}");  // somebody else's checkpoint
  const auto words = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = {"eval", "--checkpoint", folder.path().string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const EvalOptions options = parse(words({"--task", "piqa,lambada", "--limit", "7", "--out", "x",
                                           "--batch-tokens", "4096", "--json"}))
                                  .eval;
  CHECK(options.language_tasks == std::vector<std::string>{"piqa", "lambada"});
  CHECK(options.tasks.empty());
  CHECK(options.limit == 7);
  CHECK(options.out == "x");
  CHECK(options.batch_tokens == 4096);
  CHECK(parse(words({"--task", "last"})).eval.language_tasks.empty());
  const auto refusal = [&](const std::vector<std::string>& more) {
    ExitCode code = ExitCode::ok;
    const std::string error = error_of([&] { parse(words(more)); }, &code);
    CHECK(code == ExitCode::usage);
    return error;
  };
  CHECK(mentions(refusal({"--task", "piqa,last"}), "piqa is a language task and last is none"));
  CHECK(mentions(refusal({"--task", "last", "--out", "x"}), "--out is for language tasks"));
  CHECK(mentions(refusal({"--batch-tokens", "9"}), "--batch-tokens is for language tasks"));
  CHECK(mentions(refusal({"--task", "piqa", "--split", "valid"}), "--split is for recall tasks"));
  CHECK(mentions(refusal({"--task", "piqa", "--per-query", "x"}), "see --out"));
}

TEST_CASE("language: a checkpoint is scored by the verb, with its own tokenizer alone") {
  const fs::path data = data_with("tokenizer/20B_tokenizer.json");
  if (data.empty()) return skip(kNoLanguageData);
  const LanguageFixtures fixtures;
  const TemporaryFolder run;
  const auto saved = [&](std::int64_t vocabulary, std::int64_t step) {
    const Model model = make_mamba(
        {.vocab_size = vocabulary, .d_model = 8, .n_layer = 1, .d_state = 2, .dt_rank = 1},
        Device::cpu, DType::f32);
    model.parameters->initialise(1);
    save_checkpoint(run.path(), model, AdamW(*model.parameters, {}), {.step = step});
    return run.path() / checkpoint_name(step);
  };
  Settings settings;
  settings.run.device = DeviceChoice::cpu;
  settings.data.dir = fixtures.path().string();
  settings.data.tokenizer = (data / "tokenizer/20B_tokenizer.json").string();
  EvalOptions options;
  options.weights.checkpoint = saved(50280, 1);
  options.language_tasks = {"piqa", "lambada", "wikitext"};
  options.out = run / "scores";
  const std::string table = evaluate_on_language(settings, options);
  CHECK(mentions(table, "|lambada_openai|"));
  const Json results = read_json(run / "scores/results.json");
  CHECK(results.at("results").size() == 3);
  CHECK(results.at("tokenizer").at("fingerprint").as_string() ==
        neox_tokenizer(data).fingerprint());
  CHECK(fs::exists(run / "scores/samples_wikitext.jsonl"));

  const auto refusal = [&] {
    ExitCode code = ExitCode::ok;
    const std::string error = error_of([&] { evaluate_on_language(settings, options); }, &code);
    CHECK(code == ExitCode::data);
    return error;
  };
  write_plainly(run / "corpus.json",
                R"({"tokenizer": {"fingerprint": "0123456789abcdef"}, "corpus": {"key": "a"}, )"
                R"("validation": {"key": "b"}})");
  CHECK(mentions(refusal(), "0123456789abcdef"));
  options.weights.checkpoint += "/";
  CHECK(mentions(refusal(), "0123456789abcdef"));
  options.weights.checkpoint = saved(300, 2);
  CHECK(mentions(refusal(), "50277 ids, and the model's vocabulary is 300"));
  options.out = run / "corpus.json";
  CHECK(mentions(error_of([&] { evaluate_on_language(settings, options); }), "corpus.json"));
}

}  // namespace
}  // namespace farsight
