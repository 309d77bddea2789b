// Sets of examples in folders and in the release's form: what is written is what is read, and what
// is damaged is refused in a sentence.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "core/files.h"
#include "core/hash.h"
#include "core/json.h"
#include "data/audit.h"
#include "data/example_rules.h"
#include "data/example_text.h"
#include "data/frozen_set.h"
#include "data/released_jsonl.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

MqarTask small_task(const NamedTask& named) {
  TaskDescription d = named.description;
  if (!d.cells.empty()) d.cells = d.kind == TaskKind::copy ? "33x16 - 65x32" : "64x1 - 128x1";
  if (d.kind == TaskKind::key_retrieval) d.cells = "- 128x1";
  return make_task(named.name, d, {.vocabulary = 400, .lengths = {64, 128}, .pairs = {1, 2, 4}});
}

std::vector<Example> examples_of(const MqarTask& task, Split split, std::size_t cell, int count) {
  std::vector<Example> examples;
  for (int i = 0; i < count; i++) {
    examples.push_back(generate(task, split, 5, cell, static_cast<std::uint64_t>(i)));
    examples.back().pairs.clear();  // not stored: they follow from tokens and labels
  }
  return examples;
}

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

std::string refusal(const std::function<void()>& action, ExitCode expected) {
  ExitCode code = ExitCode::ok;
  const std::string message = error_of(action, &code);
  CHECK(code == expected);
  return message;
}

bool has(const std::string& text, std::string_view part) {
  INFO(text);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
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

TEST_CASE("released form: what is exported is imported, in all tasks and splits") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "set.jsonl";
  for (const NamedTask& named : named_tasks()) {
    CAPTURE(named.name);
    for (const Split split : {Split::train, Split::test}) {
      const MqarTask task = small_task(named);
      write_released_jsonl(path, task,
                           [&](std::size_t cell) { return examples_of(task, split, cell, 2); });
      const auto read = read_released_jsonl(path, task.description, split);
      REQUIRE(read.size() == 2 * task.cells.size());
      for (std::size_t i = 0; i < read.size(); i++) {
        const Example expected = examples_of(task, split, i / 2, 2)[i % 2];
        CHECK(read[i].cell == task.cells[i / 2]);
        CHECK(read[i].line == static_cast<std::int64_t>(i + 1));
        CHECK(read[i].example.tokens == expected.tokens);
        REQUIRE(read[i].example.labels.size() == expected.labels.size());
        for (std::size_t j = 0; j < expected.labels.size(); j++) {
          const Label& label = read[i].example.labels[j];
          CHECK(label.position == expected.labels[j].position);
          CHECK(label.target == expected.labels[j].target);
          CHECK((label.pair == kNoPair) == (expected.labels[j].pair == kNoPair));
        }
        CHECK(broken_rules(task, read[i].cell, split, read[i].example).empty());
      }
    }
  }
}

constexpr const char* kLine =
    R"({"ctx_length":16,"num_kv_pair":2,"key_len":1,"value_len":1,"V_id":{"5":10001,"11":10002},)"
    R"("input_ids":[7,10001,9,10002,7,30,31,32,33,34,9,35,36,37,38,39]})";

std::string imported(const std::string& text) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "set.jsonl";
  write_file_atomically(path, text);
  return refusal([&] { read_released_jsonl(path, {}, Split::test); }, ExitCode::corrupt);
}

std::string changed(std::string_view from, std::string_view to) {
  std::string line = kLine;
  const std::size_t at = line.find(from);
  REQUIRE(at != std::string::npos);
  line.replace(at, from.size(), to);
  return imported(fmt::format("{}\n\n{}\n", kLine, line));
}

TEST_CASE("released form: the worked example of the position task is read") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "set.jsonl";
  write_file_atomically(path, std::string(kLine));  // without a line break at its end
  const auto read = read_released_jsonl(path, {}, Split::test);
  REQUIRE(read.size() == 1);
  CHECK(read[0].cell == Cell{16, 2});
  CHECK(read[0].example.labels == std::vector<Label>{{5, 10001, 0}, {11, 10002, 1}});
  const MqarTask task = make_position_task(Placement::standard, 20'000, {{16, 2}});
  CHECK(broken_rules(task, {16, 2}, Split::test, read[0].example).empty());
}

TEST_CASE("released form: lines that are no examples are refused with line and field") {
  has(imported(""), "there is no example in it");
  has(imported("not json\n"), "line 1");
  has(changed("\"V_id\"", "\"v_id\""), "line 3");
  has(changed("\"ctx_length\":16", "\"ctx_length\":\"16\""),
      "line 3: ctx_length must be a whole number");
  has(changed("\"ctx_length\":16", "\"ctx_length\":15"),
      "input_ids has 16 tokens, ctx_length says 15");
  has(changed("\"ctx_length\":16", "\"ctx_length\":99999999999"), "ctx_length must be");
  has(changed("\"num_kv_pair\":2", "\"num_kv_pair\":3"), "V_id has 2 labels, and 3 pairs");
  has(changed("\"key_len\":1", "\"key_len\":2"), "key_len and value_len are 2 and 1");
  has(changed("\"11\":10002", "\"16\":10002"), "V_id: positions are whole numbers from 1 to 15");
  has(changed("\"11\":10002", "\"1x\":10002"), "got \"1x\"");
  has(changed("\"11\":10002", "\"11\":-1"), "V_id must be a whole number");
  has(changed("[7,10001", "[7,1.5"), "input_ids must be a whole number");
  has(changed("[7,10001", "[7,null"), "input_ids must be a whole number");
  has(changed("\"V_id\":{", "\"extra\":1,\"V_id\":{"), "extra");
  has(changed("\"input_ids\":[", "\"input_ids\":{},\"x\":["), "line 3");
}

TEST_CASE("example text: says what tokens are and what is asked, in colours only where wanted") {
  const MqarTask task = make_position_task(Placement::standard, 20'000, {{16, 2}});
  Example example;
  example.tokens = {7, 10001, 9, 10002, 7, 30, 31, 32, 33, 34, 9, 35, 36, 37, 38, 39};
  example.labels = {{5, 10001, 0}, {11, 10002, 1}};
  const std::string plain = example_text(task, {16, 2}, Split::test, example, {.columns = 80});
  has(plain, "task standard, test split, 16 tokens, 2 pairs");
  has(plain, " 0      k7 v10001     k9 v10002     q7     30     31     32\n");
  has(plain, "query at 4: 7 -> 10001, bound at 0, 4 tokens before\n");
  has(plain, "query at 10: 9 -> 10002, bound at 2, 8 tokens before\n");
  CHECK(plain.find('\x1b') == std::string::npos);
  const std::string coloured =
      example_text(task, {16, 2}, Split::test, example, {.colour = true, .columns = 40});
  has(coloured, "\x1b[36m      7\x1b[0m");
  has(coloured, "\x1b[32m  10001\x1b[0m");
  example.labels[0].target = 5;
  has(example_text(task, {16, 2}, Split::test, example, {}), "broken: the query at position 4");
  example.tokens.clear();
  has(example_text(task, {16, 2}, Split::test, example, {}), "broken: there are 0 tokens");
}

}  // namespace
}  // namespace farsight
