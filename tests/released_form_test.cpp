// Sets of examples in the release's form: what is exported is imported, and lines that are no examples
// are refused in a sentence.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <string>

#include "core/files.h"
#include "data/example_rules.h"
#include "data/released_jsonl.h"
#include "tests/set_examples.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

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

}  // namespace
}  // namespace farsight
