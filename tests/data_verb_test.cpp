// farsight data: sets are made, shown, audited, exported and imported, and what cannot be is refused.
#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/files.h"
#include "core/json.h"
#include "data/frozen_set.h"
#include "tests/temporary_folder.h"
#include "train/data_verb.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

/// On a grid of two lengths, in milliseconds.
DataOutcome data(Words words, bool settings = true) {
  if (settings) {
    words.insert(words.end(), {"--preset", "pocket", "--data.lengths", "64,128", "--data.pairs",
                               "1,4", "--data.vocabulary", "200", "--model.vocab_size", "300",
                               "--data.test_examples_per_cell", "5"});
  }
  return data_outcome(words);
}

bool has(const std::string& text, std::string_view part) {
  INFO(text);
  const bool found = text.find(part) != std::string::npos;
  CHECK_MESSAGE(found, part);
  return found;
}

std::string refusal(const std::function<void()>& action, ExitCode expected) {
  ExitCode code = ExitCode::ok;
  const std::string message = error_of(action, &code);
  CHECK(code == expected);
  return message;
}

TEST_CASE("data verb: a set is made, audited, exported, imported and is the same") {
  const TemporaryFolder folder;
  const std::string made = (folder.path() / "made").string();
  const std::string back = (folder.path() / "back").string();
  const std::string lines = (folder.path() / "set.jsonl").string();
  for (const char* task : {"shuffle", "k2v2", "position-robustness", "ngram-robustness-text"}) {
    CAPTURE(task);
    fs::remove_all(made);
    fs::remove_all(back);
    const std::string name = task;
    // The n-gram sets have cells of their own, up to 512 tokens.
    has(data({"make", "--task", name, "--to", made, "--examples", "2"}).text, "task " + name);
    CHECK(data({"audit", "--data", made}).code == ExitCode::ok);
    data({"export", "--data", made, "--to", lines}, false);
    has(data({"import", "--task", name, "--from", lines, "--to", back}).text, "test split");
    const FrozenSet first{fs::path(made)}, second{fs::path(back)};
    CHECK(first.task().cells == second.task().cells);
    CHECK(second.header().origin == "imported from set.jsonl");
    for (std::size_t cell = 0; cell < first.task().cells.size(); cell++) {
      const auto a = first.read(cell), b = second.read(cell);
      REQUIRE(a.size() == b.size());
      for (std::size_t i = 0; i < a.size(); i++) {
        CHECK(a[i].tokens == b[i].tokens);
      }
    }
    CHECK(data({"audit", "--data", back}).code == ExitCode::ok);
  }
}

TEST_CASE("data verb: the training split of block tasks keeps its closing label") {
  const TemporaryFolder folder;
  const std::string made = (folder.path() / "made").string();
  const std::string back = (folder.path() / "back").string();
  const std::string lines = (folder.path() / "set.jsonl").string();
  data({"make", "--task", "k2v2", "--split", "train", "--to", made, "--examples", "2"});
  data({"export", "--data", made, "--to", lines}, false);
  data({"import", "--task", "k2v2", "--split", "train", "--from", lines, "--to", back});
  CHECK(FrozenSet(fs::path(back)).read(0)[0].labels == FrozenSet(fs::path(made)).read(0)[0].labels);
  CHECK(data({"audit", "--data", back}).code == ExitCode::ok);
  has(refusal(
          [&] {
            data({"import", "--task", "k2v2", "--from", lines, "--to", back + "2"});
          },
          ExitCode::corrupt),
      "line 1: V_id has 3 labels, and 1 pairs of 2 value tokens have 2");
}

TEST_CASE("data verb: an audit that finds broken rules says so and exits with 4") {
  const TemporaryFolder folder;
  const std::string lines = (folder.path() / "set.jsonl").string();
  const std::string set = (folder.path() / "set").string();
  // A key that no pair of the context has.
  write_file_atomically(
      lines, R"({"ctx_length":16,"num_kv_pair":1,"key_len":1,"value_len":1,"V_id":{"5":150},)"
             R"("input_ids":[7,150,30,31,8,30,31,32,33,34,35,36,37,38,39,40]})");
  has(refusal(
          [&] {
            data({"import", "--task", "standard", "--from", lines, "--to", set});
          },
          ExitCode::corrupt),
      "line 1: this is no example of the task standard");
  data({"import", "--task", "standard", "--from", lines, "--to", set, "--unchecked"});
  const DataOutcome audit = data({"audit", "--data", set});
  CHECK(audit.code == ExitCode::corrupt);
  has(audit.text, "broken: cell 16x1, example 0: the query at position 4");
  const Json json = Json::parse(data({"audit", "--data", set, "--json"}).text, "audit");
  CHECK(json.at("cells").at(std::size_t{0}).at("broken").as_int() == 1);
  has(data({"show", "--data", set}).text, "broken: the query at position 4");
  CHECK(data({"show", set}).text == data({"show", "--data", set}).text);
}

TEST_CASE("data verb: not even --unchecked takes what could not be read again") {
  const TemporaryFolder folder;
  const std::string lines = (folder.path() / "set.jsonl").string();
  const std::string set = (folder.path() / "set").string();
  const auto said_of = [&](const std::string& second) {
    const std::string good = R"({"ctx_length":8,"num_kv_pair":1,"key_len":1,"value_len":1,)"
                             R"("V_id":{"5":150},"input_ids":[7,150,30,31,7,150,30,31]})";
    write_file_atomically(lines, good + "\n" + second + "\n");
    std::string said = refusal(
        [&] {
          data({"import", "--task", "standard", "--split", "train", "--from", lines, "--to", set,
                "--unchecked"});
        },
        ExitCode::corrupt);
    CHECK(!fs::exists(set));
    return said;
  };
  const std::string head = R"({"ctx_length":8,"num_kv_pair":1,"key_len":1,"value_len":1,)";
  has(said_of(head + R"("V_id":{"5":150},"input_ids":[7,150,30,31,7,9999,30,31]})"),
      "line 2: tokens are ids from 0 to");
  has(said_of(head + R"("V_id":{"5":9999},"input_ids":[7,150,30,31,7,150,30,31]})"),
      "line 2: targets of labels are ids from 0 to");
  has(said_of(head + R"("V_id":{"5":150,"6":30},"input_ids":[7,150,30,31,7,150,30,31]})"),
      "V_id of line 1 lacks the closing <SEP> and that of line 2 has it");
}

TEST_CASE("data verb: show prints the example that is asked for") {
  const std::string one =
      data({"show", "--task", "last", "--cell", "128x4", "--example", "3"}).text;
  has(one, "task last, test split, 128 tokens, 4 pairs");
  CHECK(one.find('\x1b') == std::string::npos);  // a test writes to no terminal
  CHECK(one != data({"show", "--task", "last", "--cell", "128x4", "--example", "4"}).text);
}

TEST_CASE("data verb: what is misspelt, missing or contradictory is refused in a sentence") {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "set").string();
  const auto usage_error = [](const Words& words) {
    return refusal([&] { data_outcome(words); }, ExitCode::usage);
  };
  has(usage_error({"adit"}), "there is no verb 'adit'; did you mean 'audit'?");
  has(usage_error({"make"}), "farsight data make needs --to");
  has(usage_error({"make", "--too", path}), "there is no option '--too'");
  has(usage_error({"show", "--task", "shufle"}), "did you mean 'shuffle'?");
  has(usage_error({"make", "--to", path, "--split", "tests"}),
      "a split is one of train, valid, test");
  has(usage_error({"show", "--cell", "64x3"}), "has no cell '64x3'; it has");
  data({"make", "--task", "shuffle", "--to", path});
  has(usage_error({"show", "--data", path, "--task", "last"}), "leave out --task");
  has(usage_error({"audit", "--data", path, "--split", "test"}), "leave out --split");
  has(usage_error({"show", "--data", path, "--example", "5"}), "--example must be below 5, got 5");
  has(refusal(
          [&] {
            data({"make", "--task", "shuffle", "--to", path});
          },
          ExitCode::usage),
      "never overwritten");
  has(refusal(
          [&] {
            data_outcome(Words{"audit", "--data", "/nowhere"});
          },
          ExitCode::storage),
      "has no manifest.json");
  CHECK(fs::exists(path));
  for (const char* verb : {"make", "show", "audit", "export", "import"}) {
    has(data_outcome(Words{verb, "--help"}).text, std::string("usage: farsight data ") + verb);
  }
  has(data_outcome({}).text, "usage: farsight data VERB");
}

}  // namespace
}  // namespace farsight
