// Bits that flip in a checkpoint, files that are cut or of another step, and what fails or changes while a
// checkpoint is written in the background (crash_counts.h).
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <random>

#include "core/safetensors.h"
#include "tests/crash_counts.h"
#include "tests/tiny_run.h"
#include "tests/trained_model.h"
#include "train/checkpoint_manifest.h"
#include "train/operations/checkpoint_writer.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFiles[] = {"model.safetensors", "optimizer.safetensors", "manifest.json",
                                  "config.json", "state.json"};

/// What verifying says; empty if it finds nothing. Throws nothing else.
std::string complaint(const fs::path& checkpoint) {
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { verify_checkpoint(checkpoint); }, &code);
  if (!message.empty()) CHECK(code == ExitCode::corrupt);
  return message;
}

/// The tensor that has this byte; empty: none, it is of the header.
std::string tensor_at(const SafetensorsFile& file, std::uint64_t byte) {
  for (const StoredTensor& tensor : file.tensors()) {
    if (byte >= tensor.begin && byte < tensor.end) return tensor.name;
  }
  return {};
}

TEST_CASE("crash: every flipped bit of a checkpoint is noticed, its file and its tensor named") {
  const int wanted = crash_count("FARSIGHT_FLIPS", 1000);
  const TemporaryFolder run;
  const Trained saved(1);
  {
    const NoSync quick;
    save_checkpoint(run.path(), saved.model, saved.optimizer, {.step = 1});
  }
  const fs::path folder = run / "step-00000001";
  REQUIRE(complaint(folder).empty());
  std::vector<std::uint64_t> sizes;
  std::uint64_t all = 0;
  for (const char* name : kFiles) {
    sizes.push_back(fs::file_size(folder / name));
    all += sizes.back();
  }
  const SafetensorsFile model(folder / "model.safetensors");
  const SafetensorsFile optimizer(folder / "optimizer.safetensors");
  std::mt19937_64 random(11);
  int noticed = 0, named = 0;
  for (int i = 0; i < wanted; i++) {
    std::uint64_t at = random() % all;
    std::size_t file = 0;
    while (at >= sizes[file]) {
      at -= sizes[file++];
    }
    const fs::path path = folder / kFiles[file];
    const auto flip = [&, bit = random() % 8] {
      std::fstream stream(path, std::ios::binary | std::ios::in | std::ios::out);
      stream.seekg(static_cast<std::streamoff>(at));
      const int byte = stream.get() ^ (1 << bit);
      stream.seekp(static_cast<std::streamoff>(at));
      stream.put(static_cast<char>(byte));
    };
    flip();
    const std::string message = complaint(folder);
    flip();
    noticed += message.empty() ? 0 : 1;
    const bool tensors = file < 2;
    const std::string tensor = tensors ? tensor_at(file == 0 ? model : optimizer, at) : "";
    const bool right = mentions(message, kFiles[file]) &&
                       mentions(message, tensors && tensor.empty() ? "header" : tensor);
    named += right ? 1 : 0;
    if (!right) MESSAGE(std::string(kFiles[file]), " byte ", at, ": ", message);
  }
  CHECK(noticed == wanted);
  CHECK(named == wanted);
  CHECK(complaint(folder).empty());
  say(fmt::format("{} of {} flipped bits noticed, {} named by file and tensor", noticed, wanted,
                  named));
}

TEST_CASE("crash: a file of a checkpoint cut short, or that of another step, is noticed") {
  const NoSync quick;
  const TemporaryFolder run;
  const Trained first(1), second(2);
  save_checkpoint(run.path(), first.model, first.optimizer, {.step = 1});
  save_checkpoint(run.path(), second.model, second.optimizer, {.step = 2, .tokens = 7});
  int cut = 0, swapped = 0;
  for (const char* name : kFiles) {
    const fs::path path = run / "step-00000002" / name;
    const std::string good = read_plainly(path), other = read_plainly(run / "step-00000001" / name);
    for (std::size_t length = 0; length < good.size(); length += 4096) {
      write_plainly(path, good.substr(0, length));
      CHECK(mentions(complaint(run / "step-00000002"), name));
      cut++;
    }
    write_plainly(path, other);
    const bool same = good == other;  // config.json
    CHECK(complaint(run / "step-00000002").empty() == same);
    swapped += same ? 0 : 1;
    write_plainly(path, good);
  }
  fs::rename(run / "step-00000001", run / "step-00000003");  // a whole one under another's name
  CHECK(mentions(complaint(run / "step-00000003"), "step-00000001"));
  say(fmt::format("{} truncations and {} files of another step noticed", cut, swapped + 1));
}

// ---- in the background -----------------------------------------------------------------------------

TEST_CASE("crash: what fails while training goes on reaches the loop, and the old one stays") {
  const TemporaryFolder run;
  const Trained model(1);
  CheckpointWriter writer(run.path(), model.model, model.optimizer, {});
  {
    const NoSync quick;
    writer.save({.step = 1}, true);
    writer.finish();
    file_calls().write = [](int, const void*, std::size_t) {
      errno = ENOSPC;
      return ssize_t{-1};
    };
    writer.save({.step = 2}, false);
    ExitCode code = ExitCode::ok;
    const std::string message = error_of([&] { writer.finish(); }, &code);
    CHECK(code == ExitCode::storage);
    CHECK(mentions(message, "No space left"));
    CHECK(mentions(message, "free there"));
  }
  CHECK(pointed_checkpoint(run.path(), "latest").filename() == checkpoint_name(1));
  CHECK(pointed_checkpoint(run.path(), "best").filename() == checkpoint_name(1));
  CHECK(run.entries() == 3);  // nothing of the second is left
  writer.save({.step = 3}, false);
  writer.finish();
  CHECK(pointed_checkpoint(run.path(), "latest").filename() == checkpoint_name(3));
}

TEST_CASE(
    "crash: whoever might end the process is held off while a checkpoint is written, no longer") {
  const NoSync quick;
  const Trained model(1);
  const auto held = std::make_shared<int>();
  for (const bool in_background : {true, false}) {
    for (const bool fails : {false, true}) {
      const TemporaryFolder run;
      CheckpointWriter writer(run.path(), model.model, model.optimizer, {.async = in_background});
      writer.hold_while_writing([&] { return held; });
      std::atomic<long> least = 100;
      file_calls().fsync = [&](int) {
        least = std::min(least.load(), held.use_count());
        if (!fails) return 0;
        errno = EIO;
        return -1;
      };
      const std::string message = error_of([&] {
        writer.save({.step = 1}, false);
        writer.finish();
      });
      CHECK(message.empty() != fails);
      CHECK(least == 2);
      CHECK(held.use_count() == 1);
    }
  }
}

TEST_CASE("crash: a checkpoint holds the parameters of its step, whatever they become meanwhile") {
  const NoSync quick;
  const TemporaryFolder run;
  Trained model(1);
  const std::string before = parameter_hash(model.model);
  CheckpointWriter writer(run.path(), model.model, model.optimizer, {});
  writer.save({.step = 1}, false);
  fill(model.model.parameters->values(), Distribution::uniform(1), 5, "others");
  writer.finish();
  Trained loaded(2);
  load_checkpoint(run / checkpoint_name(1), loaded.model, loaded.optimizer);
  CHECK(parameter_hash(loaded.model) == before);
}

}  // namespace
}  // namespace farsight
