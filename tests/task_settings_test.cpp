// Tasks in settings: named, changed, declared by a file, and as a run's config.toml keeps them.
#include <doctest/doctest.h>

#include "core/files.h"
#include "tests/tiny_run.h"
#include "train/task.h"
#include "train/toml.h"

namespace farsight {
namespace {

Assignments assigned(const Flags& flags) {
  Assignments result;
  for (const auto& [name, text] : flags) {
    const Setting& setting = setting_named(name);
    result.push_back({&setting, parse_value(setting, text, name), name});
  }
  return result;
}

Settings settings_from(const Flags& flags) {
  return resolve({}, assigned(flags)).settings;
}

template <class Body>
std::string message_of(const Body& body, ExitCode* code = nullptr) {
  try {
    body();
  } catch (const Error& error) {
    if (code != nullptr) *code = error.code();
    return error.what();
  }
  return "nothing was refused";
}

bool holds(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != std::string::npos;
  if (!found) MESSAGE("missing '", part, "' in: ", text);
  return found;
}

std::string written(const TemporaryFolder& folder, const std::string& text) {
  const std::string path = (folder.path() / "mine.toml").string();
  write_file_atomically(path, text);
  return path;
}

TEST_CASE("task settings: a name sets the whole description") {
  for (const NamedTask& named : named_tasks()) {
    const Settings settings =
        settings_from({{"run.task", std::string(named.name)}, {"run.preset", "full"}});
    CHECK(settings.task == named.description);
    CHECK(own_task_name(settings) == named.name);
    CHECK(own_task(settings).name == named.name);
  }
}

TEST_CASE("task settings: every named task has cells at pocket, and a batch of them") {
  for (const NamedTask& named : named_tasks()) {
    INFO(named.name);
    const Settings settings = settings_from({{"run.task", std::string(named.name)}});
    const TrainLoader loader = loader_of(settings);
    const GlobalBatch batch = loader.at(0);
    CHECK(batch.labels > 0);
    CHECK(loader.task().model_vocabulary() <= settings.model.vocab_size);
    const bool trained = loader.task().name.find("length") == std::string::npos &&
                         named.name != "density" && named.name != "dispersion";
    if (trained) CHECK(longest_length(settings) <= 64);
    for (const std::string& name : test_tasks_of(settings)) {
      CHECK(!task_of(settings, name).cells.empty());
    }
  }
}

TEST_CASE("task settings: a changed task is called a variant, or as it is told") {
  const Settings changed = settings_from({{"run.task", "k2v2"}, {"task.value_length", "3"}});
  CHECK(own_task_name(changed) == "k2v2-variant");
  CHECK(test_tasks_of(changed) ==
        std::vector<std::string>{"k2v2-variant", "k1v1", "k1v2", "k2v2", "ngram-robustness"});
  CHECK(task_of(changed, "k2v2-variant").description.value_length == 3);
  CHECK(task_of(changed, "k2v2").description.value_length == 2);
  CHECK(default_folder(changed) == "runs/k2v2-variant-mamba-pocket-seed42");
  const Settings named =
      settings_from({{"run.task", "k2v2"}, {"task.value_length", "3"}, {"task.name", "k2v3"}});
  CHECK(own_task(named).name == "k2v3");
  const Settings same = settings_from({{"run.task", "k2v2"}, {"task.value_length", "2"}});
  CHECK(own_task_name(same) == "k2v2");
  for (const char* bad : {"k1v1", "a/b", "..", "a b", ""}) {
    const std::string message = message_of([&] {
      settings_from({{"run.task", "k2v2"}, {"task.name", bad}});
    });
    CHECK((message == "nothing was refused") == (std::string_view(bad).empty()));
  }
}

TEST_CASE("task settings: a file declares a task, and the run's settings need it no more") {
  const TemporaryFolder folder;
  const std::string path = written(folder,
                                   "[run]\ntask = \"k2v2\"\n[task]\nname = \"far\"\n"
                                   "placement = \"last\"\nnoise = \"equal-pairs\"\n"
                                   "query_power = 1\ncells = \"64x1 - 128x2\"\n"
                                   "[data]\nfiller = \"zero\"\n");
  const Settings settings = settings_from({{"run.task", path}, {"train.lr", "0.5"}});
  CHECK(settings.run.task == "k2v2");
  CHECK(settings.train.lr == 0.5);
  CHECK(settings.data.filler == FillWith::zero);
  const MqarTask task = own_task(settings);
  CHECK(task.name == "far");
  CHECK(task.cells == std::vector<Cell>{{64, 1}, {128, 2}});
  CHECK(task.places == std::vector<std::size_t>{0, 2});
  CHECK(task.description.placement == Placement::last);
  CHECK(task.filler.last == kEmpty);

  const Settings again = resolve(read_toml(write_toml(settings), "config.toml"), {}).settings;
  CHECK(different_settings(settings, again).empty());
  CHECK(again.task == settings.task);

  const Settings other = settings_from({{"run.task", "standard"}});
  CHECK(task_of(other, path).cells == task.cells);
  CHECK(task_of(other, path).name == "far");
  CHECK(task_of(other, "standard").filler.last != kEmpty);
}

TEST_CASE("task settings: without a name to start from, a file starts from standard") {
  const TemporaryFolder folder;
  const std::string path = written(folder, "[task]\nvalue_length = 2\n");
  const Settings settings = settings_from({{"run.task", path}});
  CHECK(settings.run.task == "standard");
  CHECK(settings.task.value_length == 2);
  CHECK(!settings.task.separators);
}

TEST_CASE("task settings: a file with what it must not have is refused with its line") {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& text) {
    ExitCode code = ExitCode::ok;
    const std::string path = written(folder, text);
    const std::string message = message_of([&] { settings_from({{"run.task", path}}); }, &code);
    CHECK(code != ExitCode::internal);
    return message;
  };
  CHECK(holds(refused("[task]\nplacment = \"last\"\n"), "did you mean 'placement'?"));
  CHECK(holds(refused("[task]\nplacement = \"lst\"\n"), "did you mean 'last'?"));
  CHECK(holds(refused("[tsk]\nplacement = \"last\"\n"), "did you mean 'task'?"));
  CHECK(holds(refused("[task]\nkey_length = 0\n"), "mine.toml, line 2: task.key_length must be"));
  CHECK(holds(refused("[task]\nkey_length = \"two\"\n"), "an integer"));
  CHECK(holds(refused("[task]\nquery_power = nan\n"), "task.query_power"));
  CHECK(holds(refused("[train]\nlr = 1\n"), "train.lr belongs into a settings file"));
  CHECK(holds(refused("[run]\nmodel = \"pythia\"\n"), "run.model belongs into a settings file"));
  CHECK(holds(refused("[run]\ntask = \"other.toml\"\n"), "starts from a named task"));
  CHECK(holds(refused("[run]\ntask = \"k4v9\"\n"), "did you mean 'k4v8'?"));
  CHECK(holds(refused("[task]\ncells = \"64x99\"\n"), "length 64 with 99 pairs"));
  CHECK(holds(refused("[task]\ncells = \"64 4\"\n"), "LENGTHxPAIRS"));
  CHECK(holds(refused("[task]\nkey_length = 2\nkey_length = 3\n"), "mine.toml"));
  CHECK(holds(refused("[task\n"), "is not TOML"));
  CHECK(holds(refused(std::string(3, '\0')), "mine.toml"));
  CHECK(holds(refused("[task]\nnoise = \"equal-pairs\"\n"), "keys of at least 2 tokens"));
  CHECK(holds(refused("[data]\nvocabulary = 200\n"), "model.vocab_size must be at least 220"));
  CHECK(holds(message_of([] { settings_from({{"run.task", "nowhere.toml"}}); }), "nowhere.toml"));
}

TEST_CASE("task settings: another task than the file's drops the file's description") {
  const Settings old = settings_from({{"run.task", "k4v8-shuffle"}, {"train.lr", "0.25"}});
  const Assignments file = read_toml(write_toml(old), "config.toml");
  const Settings kept = resolve(file, {}).settings;
  CHECK(kept.task == old.task);
  CHECK(kept.data.lengths == Integers{64});
  const Settings moved = resolve(file, assigned({{"run.task", "last"}})).settings;
  CHECK(moved.task == find_task("last")->description);
  CHECK(moved.data.lengths == Integers{16, 32, 64});
  CHECK(moved.train.lr == 0.25);
}

TEST_CASE("task settings: a run on another variant is another run") {
  const Settings a = settings_from({{"run.task", "k1v2"}});
  Settings b = a;
  b.data.separator_target = false;
  CHECK(different_settings(a, b) == std::vector<std::string_view>{"data.separator_target"});
  b = a;
  b.task.noise = Noise::equal_pairs;
  CHECK(different_settings(a, b) == std::vector<std::string_view>{"task.noise"});
}

TEST_CASE("task settings: tasks without a layout are made on the host, and nowhere else") {
  const Flags device = {{"run.task", "copy"}, {"data.generate_on", "device"}};
  CHECK(holds(message_of([&] { loader_of(settings_from(device)); }), "are made on the host"));
  CHECK(loader_of(settings_from({{"run.task", "copy"}})).at(0).labels > 0);
  const Settings blocks = settings_from({{"run.task", "k2v2"}, {"data.generate_on", "device"}});
  CHECK(!loader_of(blocks).at(0).plans.empty());
}

TEST_CASE("task settings: a name that is no task is refused with the nearest") {
  const Settings settings = settings_from({});
  ExitCode code = ExitCode::ok;
  CHECK(holds(message_of([&] { task_of(settings, "k2v22"); }, &code), "did you mean 'k2v2'?"));
  CHECK(code == ExitCode::usage);
}

TEST_CASE("training: every kind of task trains, and blocks with and without their separator") {
  for (const char* task : {"k1v2", "k2v2-shuffle", "ngram-robustness-text", "position-robustness",
                           "copy", "selective-copy", "induction"}) {
    for (const char* target : {"true", "false"}) {
      const TemporaryFolder folder;
      TinyRun run(tiny_flags({{"run.task", task},
                              {"data.lengths", "32,48"},
                              {"data.separator_target", target},
                              {"train.steps", "4"},
                              {"run.out", (folder.path() / "run").string()}}));
      CHECK_MESSAGE(!run.train().empty(), task);
      CHECK(run.state.step == 4);
    }
  }
}

}  // namespace
}  // namespace farsight
