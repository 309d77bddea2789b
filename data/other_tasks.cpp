#include "data/other_tasks.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace farsight {
namespace {

std::int32_t& at(Example& example, int position) {
  return example.tokens[static_cast<std::size_t>(position)];
}

Example copy(const MqarTask& task, const Cell& cell, PhiloxSequence& random) {
  const int n = cell.pairs;
  Example example;
  example.tokens.resize(static_cast<std::size_t>(cell.length));
  at(example, n) = kMarkId;
  for (int i = 0; i < n; i++) {
    const std::int32_t id = task.values.draw(random);
    at(example, i) = id;
    at(example, n + 1 + i) = id;
    example.labels.push_back({n + 1 + i, id, i});
    example.pairs.push_back({i, i, n + i});
  }
  return example;
}

Example selective_copy(const MqarTask& task, const Cell& cell, PhiloxSequence& random) {
  const int n = cell.pairs;
  const int context = cell.length - n - 1;
  Example example;
  example.tokens.assign(static_cast<std::size_t>(cell.length), kBlankId);
  std::vector<int> places = sample_distinct(random, context, n);
  std::sort(places.begin(), places.end());
  at(example, context) = kSeparatorId;
  for (int i = 0; i < n; i++) {
    const int place = places[static_cast<std::size_t>(i)];
    const std::int32_t id = task.values.draw(random);
    at(example, place) = id;
    at(example, context + 1 + i) = kPlaceholderId;
    example.labels.push_back({context + 1 + i, id, i});
    example.pairs.push_back({place, place, context + i});
  }
  return example;
}

/// sample_distinct with a deck that is laid out in memory, for contexts that use up much of it: the
/// same numbers, in a third of the time.
std::vector<std::int32_t> sample_from_whole_deck(PhiloxSequence& random, int n, int count) {
  thread_local std::vector<std::int32_t> deck;  // in order between calls
  for (int card = static_cast<int>(deck.size()); card < n; card++) {
    deck.push_back(card);
  }
  std::vector<std::int32_t> drawn(static_cast<std::size_t>(count));
  std::vector<std::size_t> places(drawn.size());
  for (std::size_t i = 0; i < drawn.size(); i++) {
    places[i] = i + random.below(static_cast<std::uint32_t>(static_cast<std::size_t>(n) - i));
    std::swap(deck[i], deck[places[i]]);
    drawn[i] = deck[i];
  }
  for (std::size_t i = drawn.size(); i-- > 0;) {
    std::swap(deck[i], deck[places[i]]);
  }
  return drawn;
}

/// Different ids, as many as the context needs; with repeats, any.
std::vector<std::int32_t> context_ids(const MqarTask& task, int count, PhiloxSequence& random) {
  std::vector<std::int32_t> ids;
  if (task.description.sampling == IdSampling::distinct) {
    constexpr int kMostInMemory = 1 << 20;
    const int n = task.values.size();
    ids = n <= kMostInMemory ? sample_from_whole_deck(random, n, count)
                             : sample_distinct(random, n, count);
    for (std::int32_t& id : ids) {
      id += task.values.first;
    }
  } else {
    for (int i = 0; i < count; i++) {
      ids.push_back(task.values.draw(random));
    }
  }
  return ids;
}

int retrieval_context(const MqarTask& task, const Cell& cell) {
  return cell.length - task.description.key_length - 1 - task.description.value_length;
}

Example key_retrieval(const MqarTask& task, const Cell& cell, PhiloxSequence& random) {
  const int k = task.description.key_length;
  const int v = task.description.value_length;
  const int context = retrieval_context(task, cell);
  const int block = k + v + 4;
  const std::vector<std::int32_t> ids = context_ids(task, context - 4, random);
  const int begin = random.between(0, context - block);
  Example example;
  example.tokens.reserve(static_cast<std::size_t>(cell.length));
  const auto append = [&](auto first, int count) {
    example.tokens.insert(example.tokens.end(), first, first + count);
  };
  const auto key = ids.begin() + begin;
  append(ids.begin(), begin);
  example.tokens.push_back(kSeparatorId);
  append(key, k);
  example.tokens.insert(example.tokens.end(), {kSeparatorId, kValueSeparatorId});
  append(key + k, v);
  example.tokens.push_back(kValueSeparatorId);
  append(key + k + v, context - block - begin);
  append(key, k);
  example.tokens.push_back(kValueSeparatorId);
  append(key + k, v);
  for (int j = 0; j < v; j++) {
    example.labels.push_back({context + k + 1 + j, *(key + k + j), 0});
  }
  example.pairs.push_back({begin + 1, begin + k + 3, context});
  return example;
}

Example induction(const MqarTask& task, const Cell& cell, PhiloxSequence& random) {
  const int length = cell.length;
  Example example;
  for (int i = 0; i < length; i++) {
    example.tokens.push_back(task.filler.draw(random));
  }
  const int mark = random.between(0, length - 4);
  const std::int32_t next = task.values.draw(random);
  at(example, mark) = kMarkId;
  at(example, mark + 1) = next;
  at(example, length - 2) = kMarkId;
  example.labels.push_back({length - 1, next, 0});
  example.pairs.push_back({mark, mark + 1, length - 2});
  return example;
}

}  // namespace

Example generate_other(const MqarTask& task, const Cell& cell, PhiloxSequence& random) {
  switch (task.description.kind) {
    case TaskKind::recall:
      break;
    case TaskKind::copy:
      return copy(task, cell, random);
    case TaskKind::key_retrieval:
      return key_retrieval(task, cell, random);
    case TaskKind::selective_copy:
      return selective_copy(task, cell, random);
    case TaskKind::induction:
      return induction(task, cell, random);
  }
  fail(ExitCode::internal, "generate_other: task {} follows a layout", task.name);
}

int other_labels(const MqarTask& task, const Cell& cell) {
  return task.description.kind == TaskKind::key_retrieval ? task.description.value_length
                                                          : cell.pairs;
}

void require_other_ids(const MqarTask& task, const Cell& cell) {
  if (task.description.kind != TaskKind::key_retrieval) return;
  if (task.description.sampling != IdSampling::distinct) return;
  const int needed = retrieval_context(task, cell) - 4;
  require(needed <= task.values.size(), ExitCode::data,
          "task {}: {} tokens of which none comes twice need a vocabulary of at least {} ids, got "
          "{}; task.sampling = repeated needs fewer",
          task.name, cell.length, needed, task.values.size());
}

}  // namespace farsight
