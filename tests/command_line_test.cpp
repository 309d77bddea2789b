#include "train/command_line.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/temporary_folder.h"
#include "train/toml.h"

namespace farsight {
namespace {

Command parse(const std::vector<std::string>& words) {
  std::vector<const char*> argv = {"mamba"};
  for (const std::string& word : words)
    argv.push_back(word.c_str());
  return parse_command_line("mamba", static_cast<int>(argv.size()), argv.data());
}

std::string usage_error(const std::vector<std::string>& words) {
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { parse(words); }, &code);
  INFO(message);
  CHECK(code == ExitCode::usage);
  return message;
}

/// A folder with the config.toml of a run of these words.
void write_run(const std::filesystem::path& folder, const std::vector<std::string>& words) {
  std::filesystem::create_directories(folder / "checkpoints/step-00000010");
  write_plainly(folder / "config.toml", write_toml(parse(words).settings()));
}

TEST_CASE("command line: what make train passes on gives the pocket run") {
  const Command command = parse({"train", "--task", "standard", "--model", "mamba", "--preset",
                                 "pocket", "--device", "auto", "--seed", "42"});
  CHECK(command.verb == Verb::train);
  CHECK(command.settings().run.task == "standard");
  CHECK(command.settings().run.device == DeviceChoice::automatic);
  CHECK(command.train.resume == "auto");
  CHECK(!command.train.dry_run);
  CHECK(!command.train.overwrite);
  CHECK(command.resolved.origin_of("run.task") == Origin::flag);
  CHECK(command.resolved.origin_of("train.lr") == Origin::preset);
}

TEST_CASE("command line: every setting can be given by its name, its alias, with = and with -") {
  const Settings built_in = parse({"train"}).settings();
  for (const Setting& setting : all_settings()) {
    INFO(setting.name);
    std::string text = toml_of(setting.get(built_in));
    if (text.front() == '"') text = text.substr(1, text.size() - 2);
    if (setting.kind == Kind::boolean) {
      const std::string name(setting.name), alias(setting.alias);
      CHECK(setting.get(parse({"train", "--" + name}).settings()) == Value(true));
      CHECK(setting.get(parse({"train", "--no-" + name}).settings()) == Value(false));
      if (!alias.empty()) {
        CHECK(setting.get(parse({"train", "--no-" + alias}).settings()) == Value(false));
      }
      CHECK(setting.get(parse({"train", "--" + name + "=false"}).settings()) == Value(false));
      continue;
    }
    std::vector<std::string> flags = {"--" + std::string(setting.name)};
    if (!setting.alias.empty()) flags.push_back("--" + std::string(setting.alias));
    std::string kebab = flags.front();
    std::replace(kebab.begin() + 2, kebab.end(), '_', '-');
    flags.push_back(kebab);
    // The value that is in force already: also train.steps beside train.epochs stays consistent.
    if (setting.name == "train.epochs") text = "4";
    for (const std::string& flag : flags) {
      const Command spaced = parse({"train", flag, text});
      CHECK(spaced.resolved.origin_of(setting.name) == Origin::flag);
      CHECK(toml_of(setting.get(spaced.settings())).find(text) != std::string::npos);
      if (text.empty()) continue;
      const Command joined = parse({"train", flag + "=" + text});
      CHECK(setting.get(joined.settings()) == setting.get(spaced.settings()));
    }
  }
}

TEST_CASE("command line: the later of two values wins") {
  CHECK(parse({"train", "--lr", "1", "--lr", "2"}).settings().train.lr == 2);
  CHECK(parse({"train", "--lr", "1", "--train.lr=2"}).settings().train.lr == 2);
  CHECK(parse({"train", "--progress", "--no-progress"}).settings().log.progress == false);
}

TEST_CASE("command line: misspelt flags, values and verbs get one sentence with the nearest name") {
  std::string message = usage_error({"train", "--leraning-rate", "1"});
  CHECK(
      message ==
      "mamba train: there is no option '--leraning-rate'; `mamba train --help` says what there is");
  CHECK(mentions(usage_error({"train", "--batchsize=3"}), "did you mean '--batch-size'?"));
  CHECK(mentions(usage_error({"train", "--train.lrr", "3"}), "did you mean '--train.lr'?"));
  CHECK(mentions(usage_error({"train", "--dryrun"}), "did you mean '--dry-run'?"));
  CHECK(usage_error({"train", "--task", "shufle"}) ==
        "--task must be one of standard|last|shuffle|k1v1|k1v2|k2v1|... (--list tasks), got "
        "'shufle'; did you mean 'shuffle'?");
  CHECK(mentions(usage_error({"train", "--model", "mamba2x"}), "did you mean 'mamba-2x'?"));
  CHECK(mentions(usage_error({"train", "--preset=poket"}), "did you mean 'pocket'?"));
  CHECK(mentions(usage_error({"train", "--recipe", "paper"}), "farsight|paper-text|paper-code"));
  CHECK(mentions(usage_error({"train", "--device", "gpu"}), "auto|cpu|cuda"));
  CHECK(usage_error({"trian"}) ==
        "mamba: the first word must be one of train|eval|generate|info|convert|logits, got "
        "'trian'; did you mean "
        "'train'?");
  CHECK(mentions(usage_error({"--lr", "1"}), "the first word must be one of"));
}

TEST_CASE("command line: words that are no option and options without a value are refused") {
  CHECK(mentions(usage_error({"train", "--lr"}), "'--lr' needs a value"));
  CHECK(mentions(usage_error({"train", "--lr", "--steps", "3"}), "got the option '--steps'"));
  CHECK(mentions(usage_error({"train", "--lr="}), "'--lr=' has no value"));
  CHECK(mentions(usage_error({"train", "standard"}), "'standard' belongs to no option"));
  CHECK(mentions(usage_error({"train", "-x"}), "there is no option '-x'"));
  CHECK(mentions(usage_error({"train", "--lr", "1", "2"}), "'2' belongs to no option"));
  CHECK(mentions(usage_error({"train", "--progress=maybe"}), "true or false"));
  CHECK(mentions(usage_error({"train", "--lr", "-1"}), "got '-1'"));
  CHECK(mentions(usage_error({"train", "--steps", "12abc"}), "got '12abc'"));
  CHECK(mentions(usage_error({"train", "--", "--lr", "1"}), "there is no option '--'"));
  CHECK(mentions(usage_error({"train", std::string(100000, '-')}), "mamba train"));
  CHECK(mentions(usage_error({"train", "", "--lr", "1"}), "mamba train"));
}

TEST_CASE("command line: an empty --out means the default folder") {
  CHECK(parse({"train", "--out", ""}).settings().run.out.empty());
}

TEST_CASE("command line: help of each verb lists its options, and with -all every setting") {
  CHECK(mentions(parse({}).text, "usage: mamba train|eval|generate|info|convert|logits"));
  CHECK(parse({"--help"}).text == parse({}).text);
  for (const char* verb : {"train", "eval", "generate", "info", "convert", "logits"}) {
    const Command command = parse({verb, "--help-all"});
    CHECK(command.verb == Verb::print);
    const std::string brief = parse({verb, "--help"}).text;
    CHECK(brief.size() < command.text.size());
    CHECK(mentions(brief, std::string("`mamba ") + verb + " --help-all`"));
    CHECK(!mentions(brief, "--model.d_conv"));
    for (const Setting& setting : all_settings()) {
      const std::string no = setting.kind == Kind::boolean ? "--[no-]" : "--";
      CHECK_MESSAGE(mentions(command.text, no + std::string(setting.name)), setting.name);
    }
    std::size_t longest = 0;
    for (std::size_t at = 0; at < command.text.size();) {
      const std::size_t end = std::min(command.text.find('\n', at), command.text.size());
      longest = std::max(longest, end - at);
      at = end + 1;
    }
    CHECK(longest <= 100);
  }
  CHECK(mentions(parse({"train", "--help-all", "--preset", "full"}).text, "= 50280"));
  CHECK(mentions(parse({"train", "--help"}).text, "--lr, --train.lr"));
  CHECK(!mentions(parse({"eval", "--help"}).text, "--lr"));
  CHECK(mentions(parse({"eval", "--help"}).text, "--device, --run.device"));
  CHECK(mentions(parse({"train", "--help", "--task", "nonsense"}).text, "usage: mamba train"));
  CHECK(mentions(parse({"train", "--help", "--nonsense"}).text, "usage: mamba train"));
  CHECK(mentions(parse({"eval", "-h"}).text, "--split test|valid"));
}

TEST_CASE("command line: version and lists are printed, with or without a verb") {
  CHECK(mentions(parse({"--version"}).text, "mamba 0."));
  CHECK(parse({"train", "--version"}).text == parse({"--version"}).text);
  CHECK(mentions(parse({"--list", "models"}).text, "mamba-gs"));
  CHECK(parse({"--list=tasks"}).text == parse({"train", "--list", "tasks"}).text);
  const std::string of_eval = parse({"eval", "--list", "tasks"}).text;
  CHECK(of_eval.starts_with(parse({"--list", "tasks"}).text));
  CHECK(mentions(of_eval, "\nhellaswag\n"));
  CHECK(mentions(parse({"--list", "presets"}).text, "pocket"));
  CHECK(mentions(parse({"--list", "recipes"}).text, "paper-code"));
  CHECK(mentions(usage_error({"--list", "task"}), "did you mean 'tasks'?"));
  CHECK(mentions(usage_error({"--list"}), "tasks|models|presets|recipes"));
}

TEST_CASE("command line: --print-config shows each value with its origin") {
  const std::string text =
      parse({"train", "--print-config", "--lr", "0.5", "--recipe", "paper-code"}).text;
  const auto line_of = [&](const std::string& key) {
    const std::size_t at = text.find("\n" + key + " = ") + 1;
    return text.substr(at, text.find('\n', at) - at);
  };
  CHECK(mentions(line_of("lr"), "0.5"));
  CHECK(mentions(line_of("lr"), "# flag"));
  CHECK(mentions(line_of("init"), "# recipe"));
  CHECK(mentions(line_of("n_layer"), "# preset"));
  CHECK(mentions(line_of("beta2"), "# built-in"));
}

TEST_CASE("command line: a settings file lies under the flags") {
  const TemporaryFolder folder;
  write_plainly(folder / "my.toml", "[run]\npreset = \"tiny\"\n[train]\nlr = 0.5\nepochs = 2\n");
  const std::string path = folder / "my.toml";
  const Settings settings = parse({"train", "--config", path, "--epochs", "3"}).settings();
  CHECK(settings.run.preset == "tiny");
  CHECK(settings.train.lr == 0.5);
  CHECK(settings.train.epochs == 3);
  ExitCode code = ExitCode::ok;
  error_of([&] { parse({"train", "--config", path + "x"}); }, &code);
  CHECK(code == ExitCode::storage);
}

TEST_CASE("command line: resume takes a run's or a checkpoint's settings and folder") {
  const TemporaryFolder folder;
  write_run(folder / "a", {"train", "--lr", "0.125", "--task", "last"});
  const std::string run = folder / "a";
  for (const std::string& path : {run, run + "/", run + "/checkpoints/step-00000010"}) {
    const Command command = parse({"train", "--resume", path, "--steps", "77"});
    CHECK(command.train.resume == path);
    CHECK(command.settings().train.lr == 0.125);
    CHECK(command.settings().run.task == "last");
    CHECK(command.settings().train.steps == 77);
    CHECK(command.settings().run.out == run);
  }
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { parse({"train", "--resume", run + "/none"}); }, &code);
  CHECK(code == ExitCode::storage);
  CHECK(mentions(message, "none"));
}

TEST_CASE("command line: eval reads the run's settings, and --task means what to test on") {
  const TemporaryFolder folder;
  write_run(folder / "a", {"train", "--task", "shuffle", "--preset", "tiny"});
  const std::string run = folder / "a";
  const Command all = parse({"eval", "--run", run});
  CHECK(parse({"eval", run, "--limit", "3"}).eval.weights.run == run);
  CHECK(parse({"generate", run, "--prompt-ids", "1"}).generate.weights.run == run);
  CHECK(all.verb == Verb::eval);
  CHECK(all.eval.tasks.empty());  // those that belong to the run's task
  CHECK(all.settings().run.task == "shuffle");
  CHECK(all.settings().run.preset == "tiny");
  CHECK(all.eval.split == "test");
  CHECK(!all.eval.json);

  const Command some = parse({"eval", "--checkpoint", run + "/checkpoints/step-00000010", "--task",
                              "mqar,last", "--split", "valid", "--limit", "5", "--json"});
  CHECK(some.eval.tasks == std::vector<std::string>{"standard", "last"});
  CHECK(some.settings().run.task == "shuffle");
  CHECK(some.eval.split == "valid");
  CHECK(some.eval.limit == 5);
  CHECK(some.eval.json);

  for (const std::string verb : {"eval", "logits", "generate"}) {
    std::vector<std::string> words = {verb, "--run", run, "--lr", "1e-3"};
    if (verb == "logits") words.insert(words.end(), {"--ids", "a", "--out", "b"});
    if (verb == "generate") words.insert(words.end(), {"--prompt-ids", "1"});
    CHECK(mentions(usage_error(words), verb + ": --lr is about training"));
  }
  CHECK(mentions(usage_error({"eval", "--run", run, "--stop.accuracy", "9"}), "--stop.accuracy"));
  CHECK(parse({"eval", "--run", run, "--train.micro_tokens", "512", "--threads", "1"})
            .settings()
            .train.micro_tokens == 512);

  CHECK(mentions(usage_error({"eval"}), "--run runs/NAME or --checkpoint DIR"));
  CHECK(mentions(usage_error({"eval", "--run", run, "--checkpoint", run}), "either"));
  CHECK(mentions(usage_error({"eval", "--run", run, "--task", "lst"}), "did you mean 'last'?"));
  CHECK(mentions(usage_error({"eval", "--run", run, "--split", "tset"}), "did you mean 'test'?"));
  CHECK(
      mentions(usage_error({"eval", "--run", run, "--limit", "-5"}), "--limit must be an integer"));
}

TEST_CASE("command line: generate wants a run and either ids or a task") {
  const TemporaryFolder folder;
  write_run(folder / "a", {"train", "--seed", "9"});
  const std::string run = folder / "a";
  const Command ids = parse({"generate", "--run", run, "--prompt-ids", "1, 2,3", "--tokens", "4",
                             "--temperature", "0.5", "--seed", "3"});
  CHECK(ids.verb == Verb::generate);
  REQUIRE(ids.generate.prompts.size() == 1);
  CHECK(ids.generate.prompts[0] == std::vector<std::int32_t>{1, 2, 3});
  CHECK(ids.generate.tokens == 4);
  CHECK(ids.generate.sampling.temperature == 0.5);
  CHECK(ids.generate.seed == 3);
  CHECK(ids.settings().run.seed == 9);
  CHECK(parse({"generate", "--run", run, "--task", "last"}).generate.task == "last");
  CHECK(mentions(usage_error({"generate", "--run", run}), "--prompt-ids 1,2,3 or --task"));
  CHECK(mentions(usage_error({"generate", "--run", run, "--prompt-ids", ""}), "at least one id"));
  CHECK(mentions(usage_error({"generate", "--run", run, "--prompt-ids", "1,-2"}), "--prompt-ids"));
  CHECK(mentions(usage_error({"generate", "--run", run, "--task", "last", "--temperature", "-1"}),
                 "--temperature must be a number from 0 to 100"));
  const Command batch = parse({"generate", "--run", run, "--prompt-ids", "1,2;3,4", "--samples",
                               "3", "--top-k", "5", "--top-p", "0.9"});
  CHECK(batch.generate.prompts == std::vector<std::vector<std::int32_t>>{{1, 2}, {3, 4}});
  CHECK(batch.generate.samples == 3);
  CHECK(batch.generate.sampling.top_k == 5);
  CHECK(batch.generate.sampling.top_p == 0.9);
  CHECK(mentions(usage_error({"generate", "--run", run, "--prompt-ids", "1,2;3"}),
                 "one length, got 2 and 1 ids"));
  CHECK(mentions(usage_error({"generate", "--run", run, "--prompt-ids", "1;"}), "at least one id"));
  CHECK(mentions(usage_error({"generate", "--run", run, "--task", "last", "--top-p", "1.5"}),
                 "--top-p must be a number from 0 to 1"));
}

TEST_CASE("command line: info takes sizes without a run") {
  const Command command = parse({"info", "--model", "mamba-2x", "--preset", "full", "--json"});
  CHECK(command.verb == Verb::info);
  CHECK(command.info.json);
  CHECK(command.settings().model.d_state == 32);
  CHECK(command.settings().model.vocab_size == 50280);
}

}  // namespace
}  // namespace farsight
