// The rules of the tasks as checks: our own examples keep them all, and each kind of damage is named.
#include <doctest/doctest.h>

#include <string>

#include "data/audit.h"
#include "data/example_rules.h"
#include "data/other_tasks.h"

namespace farsight {
namespace {

/// A text that has this part.
struct Contains {
  std::string part;
  friend bool operator==(const std::string& text, const Contains& expected) {
    return text.find(expected.part) != std::string::npos;
  }
};

MqarTask task_named(std::string_view name, std::string cells = "") {
  TaskDescription d = find_task(name)->description;
  if (!cells.empty()) d.cells = std::move(cells);
  return make_task(name, d, {.vocabulary = 400, .lengths = {128}, .pairs = {4}});
}

MqarTask any_task(const NamedTask& named) {
  switch (named.description.kind) {
    case TaskKind::copy:
      return task_named(named.name, "33x16");
    case TaskKind::key_retrieval:
      return task_named(named.name, "128x1");
    default:
      return task_named(named.name, named.description.cells.empty() ? "" : "128x4");
  }
}

TEST_CASE("example rules: what every named task generates breaks none of them") {
  for (const NamedTask& named : named_tasks()) {
    const MqarTask task = named.description.kind == TaskKind::induction
                              ? task_named(named.name, "64x1")
                              : any_task(named);
    CAPTURE(named.name);
    for (const Split split : {Split::train, Split::valid, Split::test}) {
      for (std::uint64_t sample = 0; sample < 30; sample++) {
        const Example example = generate(task, split, 3, 0, sample);
        const auto broken = broken_rules(task, task.cells[0], split, example);
        const std::string first = broken.empty() ? "" : broken.front();
        CHECK(first == "");
      }
    }
  }
}

/// What is said of an example of the task after `damage`.
template <class Damage>
std::string said_of(std::string_view name, const Damage& damage, Split split = Split::test) {
  const MqarTask task = task_named(name, find_task(name)->description.cells.empty() ? "" : "128x4");
  Example example = generate(task, split, 3, 0, 0);
  damage(example);
  std::string all;
  for (const std::string& sentence : broken_rules(task, task.cells[0], split, example)) {
    all += sentence + "\n";
  }
  return all;
}

std::int32_t& token(Example& e, int position) {
  return e.tokens[static_cast<std::size_t>(position)];
}

TEST_CASE("example rules: each kind of damage is named") {
  CHECK(said_of("standard", [](Example& e) { e.tokens.pop_back(); }) ==
        Contains("there are 127 tokens, the cell says 128"));
  CHECK(said_of("standard", [](Example& e) { e.tokens[9] = 420; }) ==
        Contains("position 9: 420 is no id of the task"));
  CHECK(said_of("standard", [](Example& e) { e.tokens[9] = -3; }) == Contains("-3 is no id"));
  CHECK(said_of("standard", [](Example& e) { e.labels.pop_back(); }) ==
        Contains("there are 3 labels, the cell and its split have 4"));
  CHECK(said_of("standard", [](Example& e) { std::swap(e.labels[0], e.labels[1]); }) ==
        Contains("labels ascend"));
  CHECK(said_of("standard", [](Example& e) { e.labels[0].position = 0; }) ==
        Contains("labels ascend, from 1 to 127"));
  CHECK(said_of("standard", [](Example& e) { e.labels[1].target++; }) ==
        Contains("does not bind to its key"));
  CHECK(said_of("standard", [](Example& e) { token(e, e.pairs[0].query_key)++; }) != std::string());
  CHECK(said_of("standard", [](Example& e) { token(e, e.pairs[2].pair_key) = 300; }) ==
        Contains("300 is no key"));
  CHECK(said_of("standard", [](Example& e) { token(e, e.pairs[1].pair_key) = token(e, 0); }) ==
        Contains("comes twice"));
  CHECK(said_of("last", [](Example& e) { e.tokens[3] = 5; }) ==
        Contains("position 3: 5 is neither filler (20 to 419)"));
  CHECK(said_of("k2v2", [](Example& e) { token(e, e.pairs[1].pair_value - 1) = 30; }) ==
        Contains("a pair is framed 10 key 11 value 10"));
  CHECK(said_of("k2v2", [](Example& e) { token(e, e.pairs[1].query_key + 3) = 30; }) ==
        Contains("30 is no placeholder"));
  CHECK(said_of("k2v2-shuffle", [](Example& e) { token(e, e.pairs[1].pair_key - 1) = 30; }) ==
        Contains("the context has 3 pairs, the cell says 4"));
  CHECK(said_of("ngram-robustness", [](Example& e) { token(e, e.pairs[3].pair_key + 1)++; }) ==
        Contains("all keys end with the same token"));
  CHECK(said_of("ngram-robustness-text", [](Example& e) {
          token(e, e.pairs[5].pair_key + 1) = token(e, e.pairs[5].pair_key + 1) == 30 ? 31 : 30;
        }) == Contains("it must be half of them"));
  CHECK(said_of("position-robustness", [](Example& e) {
          token(e, e.pairs[5].pair_key) = token(e, e.pairs[5].pair_key) == 30 ? 31 : 30;
        }) == Contains("the keys of a section are those of the one before"));
  CHECK(said_of("position-robustness-code", [](Example& e) {
          token(e, e.pairs[5].pair_value)++;
        }) == Contains("that of the section before plus 1"));
}

TEST_CASE("example rules: the closing separator is labelled in the training split alone") {
  const auto drop = [](Example& e) {
    std::erase_if(e.labels, [](const Label& label) { return label.pair == kNoPair; });
  };
  CHECK(said_of("k2v2", drop, Split::train) ==
        Contains("there are 8 labels, the cell and its split have 12"));
  CHECK(said_of(
            "k2v2", [](Example& e) { e.labels[2].target = 11; }, Split::train) ==
        Contains("should be the closing 10"));
  CHECK(said_of("k2v2", [](Example& e) { e.labels[1].pair = kNoPair; }) != std::string());
}

TEST_CASE("example rules: tasks without a layout are checked too") {
  const MqarTask task = task_named("selective-copy");
  Example example = generate(task, Split::test, 0, 0, 0);
  example.labels[1].target++;
  CHECK_FALSE(broken_rules(task, task.cells[0], Split::test, example).empty());
  const MqarTask retrieval = task_named("key-retrieval", "128x1");
  Example moved = generate(retrieval, Split::test, 0, 0, 0);
  moved.labels[0].position = 3;
  const auto broken = broken_rules(retrieval, retrieval.cells[0], Split::test, moved);
  REQUIRE(broken.size() == 1);
  CHECK(broken[0] == Contains{"there is no room for a key before it"});
  const MqarTask copy = task_named("copy", "33x16");
  Example text = generate(copy, Split::test, 0, 0, 0);
  text.tokens[20] = text.tokens[20] == 30 ? 31 : 30;
  CHECK_FALSE(broken_rules(copy, copy.cells[0], Split::test, text).empty());
}

TEST_CASE("audit: broken examples are counted, named and left out of the shares") {
  const MqarTask task = task_named("shuffle");
  std::vector<Example> examples;
  for (std::uint64_t i = 0; i < 10; i++) {
    examples.push_back(generate(task, Split::test, 0, 0, i));
  }
  examples[3].tokens[0] = 12345;
  const CellAudit audit = audit_cell(task, task.cells[0], Split::test, examples);
  CHECK(audit.examples == 10);
  CHECK(audit.broken == 1);
  CHECK(audit.queries == 9 * 4);
  REQUIRE(audit.violations.size() >= 1);
  CHECK(audit.violations[0] ==
        "example 3: position 0: 12345 is no id of the task, which has 0 to 419");
  const std::string text = audit_text(task, std::span(&audit, 1));
  CHECK(text.find("broken: cell 128x4, example 3: position 0") != std::string::npos);
  CHECK(text.find("ceiling, mean over cells") != std::string::npos);
}

}  // namespace
}  // namespace farsight
