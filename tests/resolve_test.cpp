#include "train/resolve.h"

#include <doctest/doctest.h>

#include "tests/temporary_folder.h"
#include "train/task.h"
#include "train/toml.h"

namespace farsight {
namespace {

Assignment assign(std::string_view name, std::string_view text) {
  const Setting& setting = setting_named(name);
  return {&setting, parse_value(setting, text, name), std::string(name)};
}

bool equal(const Settings& a, const Settings& b) {
  for (const Setting& setting : all_settings()) {
    if (setting.get(a) != setting.get(b)) return false;
  }
  return true;
}

TEST_CASE("resolve: the printed settings are TOML too and read back to the same") {
  const Resolved resolved = resolve({}, {assign("train.lr", "0.25"), assign("run.out", "a b")});
  Settings again;
  for (const Assignment& a : read_toml(print_config(resolved), "printed")) {
    a.setting->set(again, a.value);
  }
  CHECK(equal(again, resolved.settings));
}

TEST_CASE("resolve: later layers win, and each value knows where it came from") {
  const Resolved plain = resolve({}, {});
  CHECK(plain.settings.run.preset == "pocket");
  CHECK(plain.origin_of("train.lr") == Origin::preset);
  CHECK(plain.origin_of("train.beta1") == Origin::built_in);

  const Resolved full = resolve({}, {assign("run.preset", "full")});
  CHECK(full.settings.model.vocab_size == 50280);
  CHECK(full.settings.train.steps == 0);
  CHECK(full.settings.train.epochs == 30);
  CHECK(full.settings.model.dt_rank == 48);

  const Resolved recipe =
      resolve({}, {assign("run.preset", "full"), assign("run.recipe", "paper-code")});
  CHECK(recipe.settings.data.examples_per_cell == 100);  // recipe over preset
  CHECK(recipe.settings.model.init == Init::released);
  CHECK(recipe.origin_of("data.examples_per_cell") == Origin::recipe);

  const Assignments file = {assign("run.preset", "full"), assign("run.recipe", "paper-code"),
                            assign("data.examples_per_cell", "7"), assign("train.lr", "0.5")};
  const Resolved filed = resolve(file, {});
  CHECK(filed.settings.data.examples_per_cell == 7);  // file over recipe
  CHECK(filed.origin_of("train.lr") == Origin::file);
  const Resolved flagged = resolve(file, {assign("train.lr", "0.25")});
  CHECK(flagged.settings.train.lr == 0.25);
  CHECK(flagged.settings.data.examples_per_cell == 7);
  CHECK(flagged.origin_of("train.lr") == Origin::flag);
}

TEST_CASE("resolve: the model's name sets state and gate from the preset's sizes") {
  const auto model = [](std::string_view name, std::string_view preset) {
    return resolve({}, {assign("run.model", name), assign("run.preset", preset)}).settings.model;
  };
  CHECK(model("mamba", "full").d_state == 16);
  CHECK(model("mamba", "full").gate_kernel == 0);
  CHECK(model("mamba-2x", "full").d_state == 32);
  CHECK(model("mamba-4x", "tiny").d_state == 64);
  CHECK(model("mamba-gs", "full").gate_kernel == 128);
  CHECK(model("mamba-gs", "tiny").gate_kernel == 128);
  const Settings pocket = resolve({}, {}).settings;
  CHECK(model("mamba-gs", "pocket").gate_kernel == pocket.data.lengths.back() / 4);
  const Resolved own = resolve({}, {assign("run.model", "mamba-2x"), assign("model.d_state", "5")});
  CHECK(own.settings.model.d_state == 5);  // the command line over the model's name
}

TEST_CASE("resolve: a family changes a preset, and its name can be replaced like any other") {
  const auto with = [](std::string_view model, std::string_view preset) {
    return resolve({}, {assign("run.model", model), assign("run.preset", preset)});
  };
  const Resolved pythia = with("pythia", "full");
  CHECK(pythia.settings.model.n_layer == 8);
  CHECK(pythia.origin_of("model.n_layer") == Origin::model);
  CHECK(pythia.settings.model.vocab_size == 50304);
  CHECK(pythia.settings.train.epochs == 30);  // the preset's own
  CHECK(with("pythia-160m", "full").settings.model.n_layer == 12);
  CHECK(with("pythia-160m", "pocket").settings.model.n_layer == 3);
  for (const std::string_view preset : {"pocket", "tiny", "full"}) {
    for (const std::string_view from : {"mamba-gs", "pythia", "pythia-160m", "rwkv-430m"}) {
      const Assignments file = read_toml(write_toml(with(from, preset).settings), "first.toml");
      for (const std::string_view to : {"mamba", "mamba-2x", "pythia", "rwkv"}) {
        CHECK(equal(resolve(file, {assign("run.model", to)}).settings, with(to, preset).settings));
        CHECK(equal(resolve(file, {assign("run.model", to), assign("run.preset", "tiny")}).settings,
                    with(to, "tiny").settings));
      }
    }
  }
  // A program's own family is trained where nothing names another.
  CHECK(equal(resolve({}, {}, "pythia").settings, with("pythia", "pocket").settings));
  CHECK(resolve({}, {}, "pythia").origin_of("run.model") == Origin::built_in);
  CHECK(equal(resolve({assign("run.model", "mamba")}, {}, "pythia").settings,
              resolve({}, {}).settings));
}

TEST_CASE("resolve: a name on the command line replaces what the file's name had set") {
  const Settings first = resolve({}, {assign("run.preset", "full")}).settings;
  const Assignments file = read_toml(write_toml(first), "first.toml");
  CHECK(equal(resolve(file, {}).settings, first));

  Settings wider = resolve(file, {assign("run.model", "mamba-2x")}).settings;
  CHECK(wider.model.d_state == 32);
  CHECK(different_settings(wider, first) ==
        std::vector<std::string_view>{"run.model", "model.d_state"});

  const Settings tiny = resolve(file, {assign("run.preset", "tiny")}).settings;
  CHECK(equal(tiny, resolve({}, {assign("run.preset", "tiny")}).settings));
  const Settings pocket = resolve({}, {}).settings;
  const Settings back =
      resolve(read_toml(write_toml(pocket), "pocket.toml"), {assign("run.preset", "full")})
          .settings;
  CHECK(equal(back, first));  // also the steps and the intervals that only pocket sets

  const Settings code = resolve({}, {assign("run.recipe", "paper-code")}).settings;
  const Assignments code_file = read_toml(write_toml(code), "code.toml");
  const Settings ours = resolve(code_file, {assign("run.recipe", "farsight")}).settings;
  CHECK(equal(ours, pocket));
  // The same name again changes nothing, and a file without a name only sets its values.
  CHECK(equal(resolve(code_file, {assign("run.recipe", "paper-code")}).settings, code));
  const Resolved part = resolve({assign("train.lr", "0.5")}, {assign("run.preset", "full")});
  CHECK(part.settings.train.lr == 0.5);
}

TEST_CASE("resolve: of steps and epochs the later one counts") {
  CHECK(resolve({}, {}).settings.train.steps > 0);
  const Settings epochs = resolve({}, {assign("train.epochs", "3")}).settings;
  CHECK(epochs.train.steps == 0);
  CHECK(epochs.train.epochs == 3);
  const Settings both =
      resolve({}, {assign("train.epochs", "3"), assign("train.steps", "9")}).settings;
  CHECK(both.train.steps == 9);
  CHECK(resolve({assign("train.steps", "9")}, {assign("train.epochs", "2")}).settings.train.steps ==
        0);
}

TEST_CASE("resolve: the two recipes of the paper differ in the switches they are about") {
  const auto with = [](std::string_view recipe) {
    return resolve({}, {assign("run.preset", "full"), assign("run.recipe", recipe)}).settings;
  };
  const Settings text = with("paper-text");
  const Settings code = with("paper-code");
  CHECK(text.train.clip_kind == ClipKind::norm);
  CHECK(code.train.clip_kind == ClipKind::value);
  CHECK(text.train.decay_scope == DecayScope::matrices);
  CHECK(code.train.decay_scope == DecayScope::all);
  CHECK(text.model.init == Init::standard);
  CHECK(code.model.init == Init::released);
  CHECK(text.checkpoint.best_by == BestBy::pair_accuracy);
  CHECK(code.checkpoint.best_by == BestBy::last);
  CHECK(text.data.examples_per_cell == 20000);
  CHECK(code.data.examples_per_cell == 100);
  CHECK(code.model.storage == Storage::f32);
  for (const std::string_view model : {"hyena", "rwkv"}) {
    const Settings narrow = resolve({}, {assign("run.preset", "full"), assign("run.model", model),
                                         assign("run.recipe", "paper-code")})
                                .settings;
    CHECK(narrow.model.storage == Storage::bf16);
    CHECK(narrow.run.dtype == DType::bf16);
  }
  // A file that a Hyena run wrote, and another model on the command line: f32 again.
  const Assignments file = {assign("run.model", "hyena"), assign("run.recipe", "paper-code"),
                            assign("model.storage", "bf16"), assign("run.dtype", "bf16")};
  CHECK(resolve(file, {assign("run.model", "mamba")}).settings.model.storage == Storage::f32);
  CHECK(resolve(file, {}).settings.model.storage == Storage::bf16);
}

TEST_CASE("resolve: every preset fits together with every model, task and recipe") {
  for (const NamedChoice& preset : preset_choices()) {
    CHECK(preset.help.size() > 10);
    for (const NamedChoice& model : model_choices()) {
      for (const NamedChoice& task : task_choices()) {
        for (const NamedChoice& recipe : recipe_choices()) {
          CHECK_NOTHROW(
              resolve({}, {assign("run.preset", preset.name), assign("run.model", model.name),
                           assign("run.task", task.name), assign("run.recipe", recipe.name)}));
        }
      }
    }
  }
  const Settings full = resolve({}, {assign("run.preset", "full")}).settings;
  CHECK(task_of(full, "shuffle").cells.size() == 26);
  CHECK(task_of(full, "last").model_vocabulary() == 20020);
}

TEST_CASE("resolve: what does not fit together is refused with its reason") {
  const auto refusal = [](Assignments flags, ExitCode expected) {
    ExitCode code = ExitCode::ok;
    const std::string message = error_of([&] { resolve({}, flags); }, &code);
    CHECK(code == expected);
    return message;
  };
  CHECK(mentions(refusal({assign("data.pairs", "1,64")}, ExitCode::data), "64"));
  CHECK(mentions(refusal({assign("data.lengths", "4"), assign("data.pairs", "2")}, ExitCode::data),
                 "4"));
  CHECK(mentions(refusal({assign("data.vocabulary", "8")}, ExitCode::data), "vocabulary"));
  CHECK(mentions(refusal({assign("data.vocabulary", "492"), assign("model.vocab_size", "400")},
                         ExitCode::data),
                 "model.vocab_size must be at least 512"));
  CHECK(
      mentions(refusal({assign("train.steps", "0"), assign("train.epochs", "0")}, ExitCode::usage),
               "all 0"));
  CHECK(mentions(refusal({assign("model.gate_layers", "0,1")}, ExitCode::usage), "no gate"));
  CHECK(mentions(
      refusal({assign("run.model", "mamba-gs"), assign("model.gate_layers", "7")}, ExitCode::usage),
      "there is no block 7"));
  CHECK(mentions(refusal({assign("run.model", "mamba-gs"), assign("model.gate_layers", "1,0")},
                         ExitCode::usage),
                 "ascending"));
  CHECK(mentions(
      refusal({assign("run.model", "pythia"), assign("model.gate_kernel", "4")}, ExitCode::usage),
      "a setting of Mamba"));
}

}  // namespace
}  // namespace farsight
