#include "data/oracle.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/check.h"
#include "core/parallel.h"
#include "data/matching.h"
#include "data/other_tasks.h"

namespace farsight {
namespace {

using Ids = std::vector<std::int32_t>;
using Tokens = std::span<const std::int32_t>;

Ids ids_at(Tokens tokens, int begin, int count) {
  const auto first = tokens.begin() + begin;
  return {first, first + count};
}

bool all_within(const IdRange& range, const Ids& ids) {
  return std::all_of(ids.begin(), ids.end(), [&](std::int32_t id) { return range.contains(id); });
}

/// The places of an example's context, by the key that they bind.
class Context {
 public:
  Context(const MqarLayout& layout, Tokens tokens, std::span<const Binding> places)
      : layout_(layout), tokens_(tokens) {
    for (const Binding& place : places) {
      places_[key_at(place.key)].push_back(place);
    }
  }

  Ids key_at(int position) const { return ids_at(tokens_, position, layout_.key_length); }
  std::vector<Binding> places_of(const Ids& key) const {
    const auto found = places_.find(key);
    return found == places_.end() ? std::vector<Binding>() : found->second;
  }
  std::vector<std::size_t> numbered_values(const std::vector<Binding>& places) const {
    std::map<Ids, std::size_t> numbers;
    std::vector<std::size_t> result;
    for (const Binding& place : places) {
      const Ids value = ids_at(tokens_, place.value, layout_.value_length);
      result.push_back(numbers.emplace(value, numbers.size()).first->second);
    }
    return result;
  }

 private:
  MqarLayout layout_;
  Tokens tokens_;
  std::map<Ids, std::vector<Binding>> places_;
};

/// Whether a pair can stand in a slot: always where each slot holds one.
bool holds_pair(const MqarTask& task, const MqarLayout& layout, Tokens tokens,
                const Binding& place) {
  if (!layout.shuffled) return true;
  if (layout.separators) {
    return tokens[static_cast<std::size_t>(place.key - layout.key_offset())] == kSeparatorId;
  }
  return all_within(task.keys, ids_at(tokens, place.key, layout.key_length)) &&
         all_within(task.values, ids_at(tokens, place.value, layout.value_length));
}

/// Where the slot of a label's query begins.
int slot_begin(const MqarLayout& layout, const Label& label) {
  const int begin = label.position - layout.value_offset();
  const int from = begin - layout.query_begin;
  const bool fits =
      from >= 0 && from % layout.slot() == 0 && from / layout.slot() < layout.query_slots;
  require(fits, ExitCode::corrupt,
          "the label at position {} belongs to no query: queries are {} tokens long and begin at "
          "{}, and their value comes {} tokens later",
          label.position, layout.slot(), layout.query_begin, layout.value_offset());
  return begin;
}

/// Queries and places as the layout has them; the groups of equal keys.
std::vector<EqualKeys> find_queries(const MqarLayout& layout, const Context& context,
                                    std::span<const Label> labels, std::vector<Query>& queries) {
  std::map<Ids, EqualKeys> by_key;
  const auto v = static_cast<std::size_t>(layout.value_length);
  for (std::size_t i = 0; i < labels.size();) {
    if (labels[i].pair == kNoPair) {
      i++;
      continue;
    }
    Query query{.key = slot_begin(layout, labels[i]) + layout.key_offset(),
                .pair = labels[i].pair,
                .first_label = i,
                .labels = std::min(v, labels.size() - i),
                .places = {}};
    const Ids key = context.key_at(query.key);
    query.places = context.places_of(key);
    EqualKeys& group = by_key[key];
    if (group.queries.empty()) group.value_of = context.numbered_values(query.places);
    group.queries.push_back(queries.size());
    queries.push_back(std::move(query));
    i += v;
  }
  std::vector<EqualKeys> groups;
  for (auto& [key, group] : by_key) {
    groups.push_back(std::move(group));
  }
  return groups;
}

/// The one place that the rules of data/other_tasks.h leave for the value of label `index`; a
/// position of -1 where the tokens break them.
Binding other_place(const MqarTask& task, const Cell& cell, Tokens tokens, std::size_t index) {
  const int i = static_cast<int>(index);
  const auto find = [&](auto test) {
    const auto at = std::find_if(tokens.begin(), tokens.end(), test);
    return at == tokens.end() ? -1 : static_cast<int>(at - tokens.begin());
  };
  switch (task.description.kind) {
    case TaskKind::recall:
      break;
    case TaskKind::copy:
      return {i, i};
    case TaskKind::selective_copy: {
      int left = i;
      const int at = find([&](std::int32_t id) { return id != kBlankId && left-- == 0; });
      return {at, at};
    }
    case TaskKind::key_retrieval: {
      const int mark = find([](std::int32_t id) { return id == kSeparatorId; });
      const int value = mark + task.description.key_length + 3;
      const bool fits = mark >= 0 && value + task.description.value_length <= cell.length;
      return fits ? Binding{mark + 1, value} : Binding{-1, -1};
    }
    case TaskKind::induction: {
      const int mark = find([](std::int32_t id) { return id == kMarkId; });
      return {mark, mark < 0 || mark + 1 >= cell.length ? -1 : mark + 1};
    }
  }
  fail(ExitCode::internal, "other_place: task {} follows a layout", task.name);
}

Reading read_other(const MqarTask& task, const Cell& cell, Tokens tokens,
                   std::span<const Label> labels) {
  const bool retrieval = task.description.kind == TaskKind::key_retrieval;
  const std::size_t each =
      retrieval ? static_cast<std::size_t>(task.description.value_length) : std::size_t{1};
  Reading reading;
  for (std::size_t i = 0; i < labels.size(); i += each) {
    Query query{.key = labels[i].position - 1,
                .pair = labels[i].pair,
                .first_label = i,
                .labels = std::min(each, labels.size() - i),
                .places = {}};
    if (retrieval) query.key -= task.description.key_length;
    require(query.key >= 0, ExitCode::corrupt,
            "the label at position {} belongs to no query: there is no room for a key before it",
            labels[i].position);
    const Binding place = other_place(task, cell, tokens, i / each);
    if (place.value >= 0) query.places.push_back(place);
    query.probability = place.value >= 0 ? 1 : 0;
    if (place.value < 0) reading.all_right = 0;
    reading.queries.push_back(std::move(query));
  }
  return reading;
}

}  // namespace

std::vector<Binding> bindings_of(const MqarTask& task, const Cell& cell, Tokens tokens) {
  if (!follows_layout(task)) return {};
  const MqarLayout layout = layout_of(task, cell);
  std::vector<Binding> places;
  for (int section = 0; section < layout.sections; section++) {
    for (int slot = 0; slot < layout.pair_slots; slot++) {
      const int begin = layout.pair_begin + section * layout.section_length + layout.slot() * slot;
      const Binding place = {begin + layout.key_offset(), begin + layout.value_offset()};
      if (holds_pair(task, layout, tokens, place)) places.push_back(place);
    }
  }
  return places;
}

Reading read_example(const MqarTask& task, const Cell& cell, Tokens tokens,
                     std::span<const Label> labels) {
  check(tokens.size() == static_cast<std::size_t>(cell.length),
        "read_example: an example of this cell has {} tokens, got {}", cell.length, tokens.size());
  if (!follows_layout(task)) return read_other(task, cell, tokens, labels);
  const MqarLayout layout = layout_of(task, cell);
  Reading reading;
  const Context context(layout, tokens, bindings_of(task, cell, tokens));
  const std::vector<EqualKeys> groups = find_queries(layout, context, labels, reading.queries);
  const bool ordered = order_tells(task, layout, groups);
  reading.exact = !ordered || can_match(groups);
  if (ordered && reading.exact) {
    reading.all_right = answer_by_order(task, layout, groups, reading.queries);
    return reading;
  }
  for (const EqualKeys& group : groups) {
    if (group.places() == 0) {
      reading.all_right = 0;
    } else if (layout.sections > 1) {
      for (const std::size_t query : group.queries) {
        reading.queries[query].probability = 1;  // the value of any section is accepted
      }
    } else {
      reading.all_right *= answer_alike(group, reading.queries);
    }
  }
  return reading;
}

Ceiling ceiling_of(const MqarTask& task, const Cell& cell, std::span<const Example> examples) {
  if (examples.empty()) return {};
  std::vector<Ceiling> shares(examples.size());
  parallel_for(static_cast<std::int64_t>(examples.size()), [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    const Reading reading = read_example(task, cell, examples[at].tokens, examples[at].labels);
    double right = 0;
    for (const Query& query : reading.queries) {
      right += query.probability;
    }
    const auto queries = std::max<std::size_t>(1, reading.queries.size());
    shares[at] = {right / static_cast<double>(queries), reading.all_right};
  });
  Ceiling sum{.pair = 0, .case_ = 0};
  for (const Ceiling& share : shares) {
    sum.pair += share.pair;
    sum.case_ += share.case_;
  }
  const double percent = 100.0 / static_cast<double>(examples.size());
  return {.pair = percent * sum.pair, .case_ = percent * sum.case_};
}

Ceiling ceiling_of(const MqarTask& task, Split split, std::uint64_t seed, std::size_t cell,
                   std::int64_t examples) {
  std::vector<Example> all(static_cast<std::size_t>(examples));
  parallel_for(examples, [&](std::int64_t i) {
    const auto sample = static_cast<std::uint64_t>(i);
    all[sample] = generate(task, split, seed, cell, sample);
  });
  return ceiling_of(task, task.cells[cell], all);
}

}  // namespace farsight
