// Sets of examples in folders: what is written is what is read, and what is damaged is refused in a
// sentence.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/files.h"
#include "core/hash.h"
#include "core/json.h"
#include "data/audit.h"
#include "data/frozen_set.h"
#include "tests/set_examples.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

void write_set(const fs::path& folder, const MqarTask& task, Split split = Split::test) {
  write_frozen_set(folder, {.task = task, .split = split, .seed = 5, .origin = "generated"},
                   [&](std::size_t cell) { return examples_of(task, split, cell, 3); });
}

TEST_CASE("frozen set: every named task comes back as it was written, rules and seeds included") {
  const TemporaryFolder folder;
  for (const NamedTask& named : named_tasks()) {
    CAPTURE(named.name);
    for (const Split split : {Split::train, Split::test}) {
      const MqarTask task = small_task(named);
      const fs::path path = folder.path() / fmt::format("{}-{}", named.name, split_name(split));
      write_set(path, task, split);
      const FrozenSet set(path);
      CHECK(set.header().split == split);
      CHECK(set.header().seed == 5);
      CHECK(set.task().name == task.name);
      CHECK(set.task().cells == task.cells);
      CHECK(set.task().places == task.places);
      CHECK(set.task().model_vocabulary() == task.model_vocabulary());
      for (std::size_t cell = 0; cell < task.cells.size(); cell++) {
        const std::vector<Example> stored = set.read(cell);
        CHECK(stored == examples_of(task, split, cell, 3));
        // The rules came along: the set's task generates the same, and finds nothing broken.
        CHECK(examples_of(set.task(), split, cell, 3) == stored);
        CHECK(audit_cell(set.task(), task.cells[cell], split, stored).broken == 0);
      }
    }
  }
}

TEST_CASE("frozen set: its batches are those of the generator") {
  const MqarTask task = small_task(*find_task("shuffle"));
  const std::vector<Example> examples = examples_of(task, Split::test, 1, 7);
  const std::vector<Batch> made = batches_of(1, examples, 200);
  const std::vector<Batch> expected = evaluation_batches(task, Split::test, 1, 7, 200);
  CHECK(made == expected);
  CHECK(batches_of(0, {}, 100).empty());
}

/// What reading says after the manifest's text was changed.
std::string changed_manifest(std::string_view from, std::string_view to) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "set";
  write_set(path, small_task(*find_task("standard")));
  std::string text = read_file(path / "manifest.json");
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  write_file_atomically(path / "manifest.json", text);
  return refusal(
      [&] {
        const FrozenSet set(path);
        set.read(0);
      },
      ExitCode::corrupt);
}

TEST_CASE("frozen set: a manifest that is not one is refused, naming the member") {
  has(changed_manifest("farsight recall set", "something else"),
      "expected \"farsight recall set\"");
  has(changed_manifest("\"format_version\": 1", "\"format_version\": 2"),
      "reads format_version 1, the set has 2");
  has(changed_manifest("\"split\": \"test\"", "\"split\": \"tset\""),
      "expected train, valid or test");
  has(changed_manifest("\"placement\": \"standard\"", "\"placement\": \"everywhere\""),
      "expected one of standard, last, shuffle");
  has(changed_manifest("\"seed\"", "\"sead\""), "sead");
  has(changed_manifest("\"examples\": 3", "\"examples\": 4"), "must be an I32 tensor of [4, 64]");
  has(changed_manifest("\"examples\": 3", "\"examples\": 0"), "manifest.json");
  has(changed_manifest("\"file\": \"cell-64x1", "\"file\": \"../cell-64x1"),
      "expected cell-64x1.safetensors");
  has(changed_manifest("\"xxh3\": \"", "\"xxh3\": \"0"), "not those that the manifest");
  has(changed_manifest("\"length\": 64", "\"length\": 4000000000"), "manifest.json");
  has(changed_manifest("\"keys\": [", "\"keys\": [ -"), "manifest.json");
}

TEST_CASE("frozen set: a damaged, shortened or missing file is refused") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "set";
  write_set(path, small_task(*find_task("standard")));
  const fs::path file = path / "cell-64x1.safetensors";
  const std::string bytes = read_file(file);
  const FrozenSet set(path);
  std::string damaged = bytes;
  damaged[damaged.size() - 5] ^= 1;
  write_file_atomically(file, damaged);
  has(refusal([&] { set.read(0); }, ExitCode::corrupt), "XXH3");
  write_file_atomically(file, bytes.substr(0, bytes.size() - 4));
  has(refusal([&] { set.read(0); }, ExitCode::corrupt), "the manifest says");
  fs::remove(file);
  has(refusal([&] { set.read(0); }, ExitCode::corrupt), "it is not there");
  has(refusal([&] { FrozenSet(folder.path() / "nothing"); }, ExitCode::storage),
      "it has no manifest.json");
}

/// Writes another number over a tensor of a set's first cell, and the hash that the manifest needs.
void patch(const fs::path& set, std::string_view tensor, std::size_t index, std::int32_t value) {
  const fs::path file = set / "cell-64x1.safetensors";
  std::string bytes = read_file(file);
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  const Json json = Json::parse(std::string_view(bytes).substr(8, header), "header");
  const auto begin =
      static_cast<std::size_t>(json.at(tensor).at("data_offsets").at(std::size_t{0}).as_int());
  std::memcpy(bytes.data() + 8 + header + begin + index * sizeof value, &value, sizeof value);
  const std::string before = hex(xxh3_of_file(file));
  write_file_atomically(file, bytes);
  std::string manifest = read_file(set / "manifest.json");
  manifest.replace(manifest.find(before), before.size(), hex(xxh3_of_file(file)));
  write_file_atomically(set / "manifest.json", manifest);
}

TEST_CASE("frozen set: numbers that no example can have are refused, whatever the hash says") {
  const TemporaryFolder folder;
  const MqarTask task = small_task(*find_task("standard"));
  int number = 0;
  const auto said_of = [&](std::string_view tensor, std::size_t index, std::int32_t value) {
    const fs::path path = folder.path() / fmt::format("set{}", number++);
    write_set(path, task);
    patch(path, tensor, index, value);
    return refusal([&] { FrozenSet(path).read(0); }, ExitCode::corrupt);
  };
  has(said_of("tokens", 64 + 3, -1), "example 1: tokens are ids from 0 to 419, got -1");
  has(said_of("tokens", 64 + 3, 420), "got 420");
  has(said_of("label_positions", 1, 0), "example 1: positions of labels ascend");
  has(said_of("label_positions", 1, 64), "positions of labels ascend");
  has(said_of("label_targets", 1, -5), "targets of labels are ids");
  has(said_of("label_pairs", 1, -2), "pair is -1 or");
}

TEST_CASE("frozen set: what could not be read again is not written") {
  const TemporaryFolder folder;
  const MqarTask task = small_task(*find_task("standard"));
  const fs::path path = folder.path() / "set";
  const auto said_of = [&](const std::function<void(Example&)>& damage) {
    const auto write = [&] {
      write_frozen_set(path, {.task = task, .split = Split::test, .seed = 0, .origin = "hostile"},
                       [&](std::size_t cell) {
                         std::vector<Example> examples = examples_of(task, Split::test, cell, 3);
                         damage(examples[1]);
                         return examples;
                       });
    };
    const std::string said = refusal(write, ExitCode::data);
    CHECK(folder.entries() == 0);  // no half of it either
    return said;
  };
  has(said_of([](Example& e) { e.tokens[3] = -1; }), "example 1 of cell 64x1: tokens are ids");
  has(said_of([](Example& e) { e.labels[0].position = 0; }), "positions of labels ascend");
  has(said_of([](Example& e) { e.labels[0].target = 420; }), "targets of labels are ids");
  has(said_of([](Example& e) { e.labels[0].pair = -2; }), "pair is -1 or");
}

TEST_CASE("frozen set: a folder that is there is never overwritten") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "set";
  write_set(path, small_task(*find_task("standard")));
  has(refusal([&] { write_set(path, small_task(*find_task("last"))); }, ExitCode::usage),
      "never overwritten");
  CHECK(FrozenSet(path).task().name == "standard");
  // What fails leaves nothing behind.
  const fs::path broken = folder.path() / "broken";
  CHECK_THROWS(write_frozen_set(
      broken,
      {.task = small_task(*find_task("last")), .split = Split::test, .seed = 0, .origin = ""},
      [](std::size_t) -> std::vector<Example> { fail(ExitCode::data, "no"); }));
  CHECK_FALSE(fs::exists(broken));
}

}  // namespace
}  // namespace farsight
