// Language models in the training loop: the loss is what it says, the order of the data survives any
// interruption, and what does not fit together is refused.
#include <doctest/doctest.h>

#include <cmath>
#include <csignal>

#include "autograd/tape.h"
#include "eval/text_loss.h"
#include "tests/small_text.h"
#include "train/corpora.h"
#include "train/plan.h"
#include "train/step.h"
#include "train/task.h"
#include "train/text_result.h"
#include "train/tokenizer_choice.h"
#include "train/toml.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

struct Died {};

bool mentions(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

/// Cross-entropy of one block, term by term in double.
double naive_loss(const Model& model, const std::vector<std::int32_t>& block) {
  const auto length = static_cast<std::int64_t>(block.size());
  const Tensor tokens = Tensor::from(std::span<const std::int32_t>(block), {1, length});
  std::vector<std::int32_t> places;
  for (std::int32_t i = 0; i + 1 < length; i++)
    places.push_back(i);
  const Tensor rows = Tensor::from(std::span<const std::int32_t>(places), {length - 1});
  const NoTape inference;
  const Tensor logits = logits_at(model, tokens, rows).to(DType::f64);
  double loss = 0;
  for (std::int64_t i = 0; i + 1 < length; i++) {
    const double* row = logits.data<double>() + i * logits.dim(1);
    double sum = 0;
    for (std::int64_t v = 0; v < logits.dim(1); v++)
      sum += std::exp(row[v]);
    loss += std::log(sum) - row[block[static_cast<std::size_t>(i + 1)]];
  }
  return loss;
}

TEST_CASE("language model: the validation loss is the mean cross-entropy, however it is cut") {
  const SmallText text;
  for (const char* model : {"mamba", "pythia", "rwkv", "hyena"}) {
    INFO(model);
    const Settings settings =
        text.settings({{"run.model", model}, {"run.dtype", "f64"}, {"model.n_head", "2"}});
    const Corpora corpora = corpora_of(settings, {});
    const Model made = model_of(settings, Device::cpu);
    double expected = 0;
    for (std::int64_t block = 0; block < corpora.valid.count; block++) {
      std::vector<std::int32_t> row(24);
      corpora.valid.read(block, row);
      expected += naive_loss(made, row);
    }
    expected /= static_cast<double>(corpora.valid.count * 23);
    for (const std::int64_t micro_tokens : {1, 60, 100'000}) {
      const TextLoss loss = evaluate_text(made, corpora.valid, micro_tokens);
      CHECK(loss.loss == doctest::Approx(expected).epsilon(1e-9));
      CHECK(loss.labels == corpora.valid.count * 23);
      CHECK(loss.perplexity() == doctest::Approx(std::exp(expected)).epsilon(1e-8));
    }
  }
}

TEST_CASE("language model: a step's loss is that of its blocks") {
  const SmallText text;
  const Settings settings = text.settings({{"run.dtype", "f64"}});
  const TrainingTask task = training_task_of(settings);
  const Model model = model_of(settings, Device::cpu);
  const GlobalBatch batch = task.data.at(1, {});
  double expected = 0;
  for (const Batch& micro : batch.micro_batches) {
    for (int row = 0; row < micro.rows; row++) {
      const auto first = micro.tokens.begin() + row * micro.length;
      expected += naive_loss(model, {first, first + micro.length});
    }
  }
  const StepResult result = forward_backward(model, batch);
  CHECK(result.labels == 6 * 23);
  CHECK(result.loss == doctest::Approx(expected / (6 * 23)).epsilon(1e-9));
}

TEST_CASE("language model: it learns, and says so in perplexity") {
  const SmallText text;
  TinyRun run(text.flags({{"run.out", (text / "run").string()},
                          {"train.steps", "90"},
                          {"train.lr", "2e-2"},
                          {"eval.interval", "45"}}));
  run.train();
  const std::string lines = read_plainly(text / "run/metrics.jsonl");
  const std::size_t last = lines.rfind('\n', lines.size() - 2);
  const Json line = Json::parse(lines.substr(last + 1), "metrics.jsonl");
  const double loss = line.at("valid_loss").as_double();
  CHECK(loss < 0.6 * std::log(264.0));
  CHECK(line.at("valid_perplexity").as_double() == doctest::Approx(std::exp(loss)));
  CHECK(!line.contains("valid_accuracy"));
  const Corpora corpora = corpora_of(run.settings.settings, {});
  const TextResult result = tested_on_text(run.model, run.settings.settings, corpora);
  CHECK(result.held_out);
  CHECK(result.loss <= loss * 1.0001);  // of the best
  CHECK(mentions(text_summary(result), "validation perplexity"));
}

TEST_CASE("language model: killed at any step and started again, it ends at the same bits") {
  const SmallText text;
  const auto flags = [&](const char* name) {
    return text.flags({{"run.out", (text / name).string()}, {"checkpoint.interval", "4"}});
  };
  const std::string expected = TinyRun(flags("whole")).train();
  for (const int steps : {1, 5, 7, 3}) {
    const auto die = [&](int step) {
      if (step == steps) throw Died();
    };
    CHECK_THROWS_AS(TinyRun(flags("cut")).train(die), Died);
  }
  CHECK(TinyRun(flags("cut")).train() == expected);
  // The folder of shards that was built gives the same run as the text.
  fs::path shards;
  for (const auto& entry : fs::directory_iterator(text / "cache")) {
    if (fs::exists(entry.path() / "manifest.json")) shards = entry.path();
  }
  REQUIRE(!shards.empty());
  Flags built = flags("built");
  built.push_back({"data.corpus", shards.string()});
  CHECK(TinyRun(built).train() == expected);
  Flags seed = flags("seed");
  seed.push_back({"run.seed", "7"});
  CHECK(TinyRun(seed).train() != expected);
}

TEST_CASE("language model: a run goes on only with its own text and tokenizer") {
  const SmallText text;
  const Settings settings = text.settings();
  const fs::path run = text / "run";
  fs::create_directories(run);
  keep_identity(run, corpora_of(settings, {}));
  keep_identity(run, corpora_of(settings, {}));
  CHECK(stored_identity(run) == corpora_of(settings, {}).identity);
  ExitCode code = ExitCode::ok;
  write_plainly(text / "text.txt", small_text(120, 2));
  CHECK(mentions(error_of([&] { keep_identity(run, corpora_of(settings, {})); }, &code),
                 "another corpus"));
  CHECK(code == ExitCode::data);
  write_plainly(text / "text.txt", small_text(120));
  write_plainly(text / "tokenizer.json", small_tokenizer_json(true));
  CHECK(mentions(error_of([&] { keep_identity(run, corpora_of(settings, {})); }, &code),
                 "tokenizer with the fingerprint"));
  CHECK(code == ExitCode::data);
}

TEST_CASE("language model: what does not fit together is refused in a sentence") {
  const SmallText text;
  ExitCode code = ExitCode::ok;
  const auto refusal = [&](const Flags& more) {
    code = ExitCode::ok;
    return error_of([&] { training_task_of(text.settings(more)); }, &code);
  };
  CHECK(
      mentions(refusal({{"model.vocab_size", "200"}}), "has 260 ids, and the model's vocabulary"));
  CHECK(code == ExitCode::data);
  CHECK(mentions(refusal({{"data.block", "2000"}}), "too few to train on one and validate on"));
  CHECK(mentions(refusal({{"train.batch_size", "4000"}}), "fewer than a batch"));
  CHECK(mentions(refusal({{"data.corpus", (text / "none.txt").string()}}), "none.txt"));
  CHECK(mentions(refusal({{"data.tokenizer", (text / "none.json").string()}}), "none.json"));
  CHECK(code == ExitCode::storage);
  CHECK(mentions(refusal({{"checkpoint.best_by", "pair-accuracy"}}), "text has no pairs"));
  CHECK(code == ExitCode::usage);
  CHECK(mentions(refusal({{"stop.accuracy", "99"}}), "text has no pairs"));
  CHECK(mentions(refusal({{"task.key_length", "2"}}), "[task]"));
  CHECK(mentions(refusal({{"data.corpus", ""}, {"data.dir", (text / "cache").string()}}),
                 "has no corpus/enwiki_2018_train.jsonl.zst; give --corpus"));
  CHECK(mentions(refusal({{"data.corpus", (text / "cache").string()}}), "name the files, as in"));
  CHECK(code == ExitCode::data);
  // A folder of shards of another tokenizer.
  corpora_of(text.settings(), {});
  fs::path shards;
  for (const auto& entry : fs::directory_iterator(text / "cache")) {
    if (fs::exists(entry.path() / "manifest.json")) shards = entry.path();
  }
  write_plainly(text / "other.json", small_tokenizer_json(true));
  CHECK(mentions(refusal({{"data.corpus", shards.string()},
                          {"data.tokenizer", (text / "other.json").string()}}),
                 "tokenizer"));
  CHECK(code == ExitCode::data);
  // Recall has no text, and text no recall.
  CHECK(mentions(error_of([&] { own_task(text.settings()); }), "task lm is text"));
  CHECK(mentions(error_of([&] { task_of(resolved(tiny_flags()).settings, "lm"); }), "lm is text"));
}

TEST_CASE("language model: a validation file of its own, and no more blocks of it than asked for") {
  const SmallText text;
  write_plainly(text / "valid.txt", small_text(40, 9));
  const Flags own = {{"data.validation", (text / "valid.txt").string()}};
  const Corpora held = corpora_of(text.settings(), {});
  const Corpora apart = corpora_of(text.settings(own), {});
  CHECK(held.held_out);
  CHECK(!apart.held_out);
  CHECK(apart.train.count == held.train.count + held.valid.count);
  CHECK(apart.identity.validation != apart.identity.corpus);
  Flags few = own;
  few.push_back({"data.validation_blocks", "2"});
  CHECK(corpora_of(text.settings(few), {}).valid.count == 2);
  CHECK(apart.valid.count > 2);
}

TEST_CASE("language model: what becomes of a text is told from its beginning, and once") {
  const SmallText text;
  std::vector<std::string> said;
  const auto note = [&](std::string_view line) { said.emplace_back(line); };
  corpora_of(text.settings(), note);
  REQUIRE(!said.empty());
  CHECK(said.front().find("text.txt: tokenising") != std::string::npos);
  CHECK(said.front().find('\n') == std::string::npos);
  said.clear();
  corpora_of(text.settings(), note);
  REQUIRE(said.size() == 1);
  CHECK(said.front().find("text.txt: tokenised before: " + (text / "cache").string()) !=
        std::string::npos);
}

TEST_CASE("language model: a tokenizer in the data folder is found by its other names") {
  const SmallText text;
  const Flags unnamed = {{"data.tokenizer", ""}, {"data.dir", (text / "").string()}};
  CHECK(tokenizer_path(text.settings(unnamed)) == text / "tokenizer.json");
}

TEST_CASE("language model: what text or tokenizer is missing is said before anything is planned") {
  const SmallText text;
  const auto refusal = [&](const Flags& flags, ExitCode expected) {
    ExitCode code = ExitCode::ok;
    const Settings settings = text.settings(flags);
    const std::string message = error_of([&] { require_corpora_there(settings); }, &code);
    CHECK(code == expected);
    return message;
  };
  CHECK_NOTHROW(require_corpora_there(text.settings()));
  const std::string empty = (text / "").string();
  CHECK(mentions(refusal({{"data.corpus", ""}, {"data.dir", empty}}, ExitCode::data),
                 "has no corpus/enwiki_2018_train.jsonl.zst; give --corpus FILES"));
  CHECK(
      mentions(refusal({{"data.validation", empty + "none.txt"}}, ExitCode::storage), "none.txt"));
  CHECK(mentions(refusal({{"data.tokenizer", empty + "none.json"}}, ExitCode::storage),
                 "there is no tokenizer"));
  CHECK(mentions(refusal({{"data.dir", empty + "none"}, {"data.tokenizer", ""}}, ExitCode::usage),
                 "is no folder"));
}

TEST_CASE("language model: a run knows its tokenizer, as long as it is the same") {
  const SmallText text;
  const Settings settings = text.settings();
  const std::filesystem::path run = text / "run", own = text / "tokenizer.json";
  std::filesystem::create_directory(run);
  keep_identity(run, corpora_of(settings, {}));
  Settings unnamed = settings;
  unnamed.data.tokenizer.clear();
  CHECK(with_tokenizer_of_run(unnamed, run).data.tokenizer == own.string());
  CHECK(with_tokenizer_of_run(unnamed, run / "step-00000006").data.tokenizer == own.string());
  Settings named = settings;
  named.data.tokenizer = "another.json";
  CHECK(with_tokenizer_of_run(named, run).data.tokenizer == "another.json");
  write_plainly(own, small_tokenizer_json(true));
  CHECK(with_tokenizer_of_run(unnamed, run).data.tokenizer.empty());
  std::filesystem::remove(own);
  CHECK(with_tokenizer_of_run(unnamed, run).data.tokenizer.empty());
}

TEST_CASE("language model: the presets are the paper's, and equal for every model") {
  const auto of = [](const char* model, const char* preset, const char* recipe = "farsight") {
    return resolved({{"run.task", "lm"},
                     {"run.model", model},
                     {"run.preset", preset},
                     {"run.recipe", recipe}})
        .settings;
  };
  for (const char* model : {"mamba", "mamba-2x", "mamba-gs", "pythia", "hyena", "rwkv"}) {
    INFO(model);
    for (const char* preset : {"pocket", "tiny", "full"}) {
      const Settings settings = of(model, preset);
      CHECK(settings.model.vocab_size >= 50280);
      CHECK(settings.checkpoint.best_by == BestBy::loss);
      const Plan plan = make_plan(of(model, preset));
      CHECK(plan.steps > 100);
    }
    const Settings full = of(model, "full");
    CHECK(full.train.lr == 8e-4);
    CHECK(full.train.clip_kind == ClipKind::norm);
    CHECK(full.train.weight_decay == 0.1);
    CHECK(full.train.batch_size * full.data.block == 524'288);
    CHECK(make_plan(full).steps == 5722);
    CHECK(own_task_name(full) == "lm");
    CHECK(test_tasks_of(full).empty());
  }
  const Settings gated = of("mamba-gs", "full");
  CHECK(gated.model.gate_kernel == 512);
  CHECK(gated.model.gate_layers == Integers{7, 15, 23});
  CHECK(of("mamba", "full").model.gate_kernel == 0);
  CHECK(of("hyena", "full").model.l_max == 2048);
  CHECK(of("mamba", "full", "paper-text").train.weight_decay == 0.01);
  CHECK(of("mamba", "full", "paper-code").train.clip_kind == ClipKind::value);
  // From text to recall and back nothing of the other stays.
  const Assignments file = read_toml(write_toml(of("mamba-gs", "full")), "run");
  const Setting& task = setting_named("run.task");
  const Settings recall = resolve(file, {{&task, std::string("standard"), "--task"}}).settings;
  CHECK(recall.model.gate_kernel == 128);
  CHECK(recall.model.gate_layers.empty());
  CHECK(recall.train.lr == 1e-3);
  CHECK(recall.train.tokens == 0);
}

}  // namespace
}  // namespace farsight
