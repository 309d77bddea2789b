// Checkpoints that were damaged, and saves that are cut off: nothing wrong is ever loaded.
#include <doctest/doctest.h>

#include "tests/failing_calls.h"
#include "tests/trained_model.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFiles[] = {"config.json", "model.safetensors", "optimizer.safetensors",
                                  "state.json", "manifest.json"};

TEST_CASE("checkpoint: a changed byte in any file is noticed and the file named") {
  const TemporaryFolder run;
  const Trained saved(1);
  save_checkpoint(run.path(), saved.model, saved.optimizer, {.step = 1});
  for (const char* name : kFiles) {
    const fs::path path = run / "step-00000001" / name;
    const std::string good = read_plainly(path);
    const bool manifest = std::string_view(name) == "manifest.json";
    const std::size_t stride = manifest ? 1 : good.size() / 40 + 1;
    for (std::size_t at = 0; at < good.size(); at += stride) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 7)));
      write_plainly(path, bad);
      ExitCode code = ExitCode::ok;
      const std::string message = load_error(run / "step-00000001", &code);
      INFO(name, ", byte ", at, ": ", message);
      CHECK(code == ExitCode::corrupt);
      CHECK(mentions(message, manifest ? "step-00000001" : name));
    }
    write_plainly(path, good);
    CHECK(load_error(run / "step-00000001").empty());
  }
}

TEST_CASE("checkpoint: a file cut short, longer, gone or no file is noticed and named") {
  const TemporaryFolder run;
  const Trained saved(1);
  save_checkpoint(run.path(), saved.model, saved.optimizer, {.step = 1});
  for (const char* name :
       {"config.json", "model.safetensors", "optimizer.safetensors", "state.json"}) {
    const fs::path path = run / "step-00000001" / name;
    const std::string good = read_plainly(path);
    const auto check_named = [&](const char* what) {
      ExitCode code = ExitCode::ok;
      const std::string message = load_error(run / "step-00000001", &code);
      INFO(name, " ", what, ": ", message);
      CHECK((code == ExitCode::corrupt || code == ExitCode::storage));
      CHECK(mentions(message, name));
    };
    for (const std::size_t length : {std::size_t{0}, std::size_t{7}, good.size() - 1}) {
      write_plainly(path, good.substr(0, length));
      check_named("cut short");
    }
    write_plainly(path, good + '\0');
    check_named("longer");
    fs::remove(path);
    check_named("gone");
    fs::create_directory(path);
    check_named("a folder");
    fs::remove(path);
    write_plainly(path, good);
  }
}

TEST_CASE("checkpoint: a manifest reaches nothing outside its folder") {
  const TemporaryFolder run;
  const Trained saved(1);
  save_checkpoint(run.path(), saved.model, saved.optimizer, {.step = 1});
  const fs::path path = run / "step-00000001" / "manifest.json";
  const std::string good = read_plainly(path);
  for (const char* name : {"../latest", "/etc/hostname", "..", ""}) {
    Json manifest = Json::parse(good, "manifest.json");
    manifest["files"][name] = Json::object({{"bytes", 1}, {"xxh3", "0"}});
    write_plainly(path, manifest.dump());
    ExitCode code = ExitCode::ok;
    const std::string message = load_error(run / "step-00000001", &code);
    INFO(message);
    CHECK(code == ExitCode::corrupt);
  }
  for (const char* text : {"", "[]", "null", "{\"files\":{}}", "{\"format\":1,\"files\":{}}",
                           "{\"format\":\"farsight-checkpoint-1\",\"files\":{}}"}) {
    write_plainly(path, text);
    ExitCode code = ExitCode::ok;
    const std::string message = load_error(run / "step-00000001", &code);
    INFO(std::string(text), ": ", message);
    CHECK(code == ExitCode::corrupt);
  }
}

TEST_CASE("checkpoint: a folder that is none is one sentence") {
  const TemporaryFolder folder;
  write_plainly(folder / "latest", "../elsewhere\n");
  ExitCode code = ExitCode::ok;
  CHECK(mentions(error_of([&] { pointed_checkpoint(folder.path(), "latest"); }, &code), "latest"));
  CHECK(code == ExitCode::corrupt);
  CHECK(mentions(load_error(folder / "nowhere", &code), "nowhere"));
  CHECK(code == ExitCode::data);
  CHECK(mentions(load_error(folder / "latest", &code), "latest"));
  CHECK(code == ExitCode::data);
  CHECK(mentions(load_error(folder.path(), &code), "model.safetensors"));
  CHECK(code == ExitCode::storage);
  CHECK(mentions(error_of([&] { checkpoint_config(folder.path()); }, &code), "no checkpoint"));
  CHECK(code == ExitCode::data);
}

/// A run with one checkpoint, and a save of a second one that is made to fail.
struct Save {
  TemporaryFolder parent;
  Trained first{1}, second{2};
  int runs = 0;
  ~Save() { file_calls() = system_file_calls(); }
  fs::path run() const { return parent / std::to_string(runs); }
  void prepare() {
    file_calls().fsync = [](int) { return 0; };  // real ones would take a minute, and prove nothing
    runs++;
    fs::create_directory(run());
    save_checkpoint(run(), first.model, first.optimizer, {.step = 1});
  }
  void save() const { save_checkpoint(run(), second.model, second.optimizer, {.step = 2}); }
  /// `latest` names the whole old or the whole new one.
  void check_loadable() const {
    Trained loaded(3);
    const TrainState state =
        load_checkpoint(pointed_checkpoint(run(), "latest"), loaded.model, loaded.optimizer);
    const Trained& expected = state.step == 1 ? first : second;
    CHECK(parameter_hash(loaded.model) == parameter_hash(expected.model));
    CHECK(same_moments(loaded, expected));
    CHECK(load_error(run() / "step-00000001").empty());
    fs::remove_all(run());
  }
};

TEST_CASE("checkpoint: a full disk at any point of a save leaves the old one") {
  Save test;
  fail_everywhere([&] { test.prepare(); }, [&] { test.save(); },
                  [&](bool failed) {
                    const auto latest = pointed_checkpoint(test.run(), "latest");
                    if (!failed) CHECK(latest.filename() == "step-00000002");
                    test.check_loadable();
                  });
}

TEST_CASE("checkpoint: a process that dies at any point of a save leaves the old one") {
  Save test;
  die_everywhere([&] { test.prepare(); }, [&] { test.save(); }, [&] { test.check_loadable(); });
}

}  // namespace
}  // namespace farsight
