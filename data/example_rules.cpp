#include "data/example_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/check.h"
#include "data/anatomy.h"
#include "data/other_tasks.h"

namespace farsight {
namespace {

using Ids = std::vector<std::int32_t>;

class Rules {
 public:
  Rules(const MqarTask& task, const Cell& cell, Split split, const Example& example)
      : task_(task), cell_(cell), split_(split), example_(example) {}

  std::vector<std::string> broken() {
    check_tokens();
    check_labels();
    if (!found_.empty()) return std::move(found_);  // the rest could not be read
    try {
      anatomy_ = anatomy_of(task_, cell_, example_.tokens, example_.labels);
    } catch (const Error& error) {
      add("{}", error.what());
      return std::move(found_);
    }
    check_answers();
    if (follows_layout(task_)) {
      layout_ = layout_of(task_, cell_, split_);
      check_label_places();
      check_slots();
      check_sampling();
      check_noise();
    } else {
      check_other();
    }
    check_filler();
    return std::move(found_);
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> text, const Args&... args) {
    if (found_.size() < kMostViolations) {
      found_.push_back(fmt::vformat(text, fmt::make_format_args(args...)));
    }
  }

  std::int32_t token(int position) const {
    return example_.tokens[static_cast<std::size_t>(position)];
  }
  Ids ids(int begin, int count) const {
    const auto first = example_.tokens.begin() + begin;
    return {first, first + count};
  }

  void check_tokens() {
    const auto expected = static_cast<std::size_t>(cell_.length);
    if (example_.tokens.size() != expected) {
      add("there are {} tokens, the cell says {}", example_.tokens.size(), expected);
    }
    const int vocabulary = task_.model_vocabulary();
    for (std::size_t i = 0; i < example_.tokens.size(); i++) {
      const std::int32_t id = example_.tokens[i];
      if (id < 0 || id >= vocabulary) {
        add("position {}: {} is no id of the task, which has 0 to {}", i, id, vocabulary - 1);
      }
    }
  }

  void check_labels() {
    const auto expected = static_cast<std::size_t>(labels_per_example(task_, cell_, split_));
    if (example_.labels.size() != expected) {
      add("there are {} labels, the cell and its split have {}", example_.labels.size(), expected);
    }
    int before = 0;
    for (const Label& label : example_.labels) {
      if (label.position <= before || label.position >= cell_.length) {
        add("a label at position {} after one at {}: labels ascend, from 1 to {}", label.position,
            before, cell_.length - 1);
      }
      before = label.position;
    }
  }

  void check_answers() {
    for (std::size_t i = 0; i < anatomy_.asked.size(); i++) {
      const Query& query = anatomy_.reading.queries[i];
      if (!anatomy_.asked[i]) {
        add("the query at position {} has a label that the context does not bind to its key",
            query.key);
      }
    }
    std::set<int> places;
    for (std::size_t i = 0; i < anatomy_.asked.size(); i++) {
      if (anatomy_.asked[i] && !places.insert(anatomy_.asked[i]->value).second) {
        add("the query at position {} asks for a pair that another one asks for",
            anatomy_.reading.queries[i].key);
      }
    }
  }

  /// Every value has its v labels side by side, and the closing one where the split has it.
  void check_label_places() {
    const auto each = static_cast<std::size_t>(layout_.labels_per_pair());
    for (std::size_t first = 0; first < example_.labels.size(); first += each) {
      for (std::size_t i = 0; i < each; i++) {
        const Label& label = example_.labels[first + i];
        const bool closing = i == static_cast<std::size_t>(layout_.value_length);
        const int pair = closing ? kNoPair : example_.labels[first].pair;
        const int position = example_.labels[first].position + static_cast<int>(i);
        if (label.position != position || label.pair != pair ||
            (closing && label.target != kSeparatorId)) {
          add("the label at position {} should be {} of the query whose first is at {}",
              label.position, closing ? "the closing 10" : "the next value token",
              example_.labels[first].position);
        }
      }
    }
  }

  void check_framed(int begin, bool is_query) {
    if (layout_.separators && !(token(begin) == kSeparatorId &&
                                token(begin + layout_.value_offset() - 1) == kValueSeparatorId &&
                                token(begin + layout_.slot() - 1) == kSeparatorId)) {
      add("position {}: a {} is framed 10 key 11 value 10", begin, is_query ? "query" : "pair");
    }
    for (const std::int32_t id : ids(begin + layout_.key_offset(), layout_.key_length)) {
      if (!task_.keys.contains(id)) add("position {}: {} is no key", begin, id);
    }
    if (is_query && !layout_.separators) return;
    const int past = layout_.consecutive_values ? layout_.sections - 1 : 0;
    for (const std::int32_t id : ids(begin + layout_.value_offset(), layout_.value_length)) {
      if (is_query ? id != kPlaceholderId
                   : id < task_.values.first || id > task_.values.last + past) {
        add("position {}: {} is no {}", begin, id, is_query ? "placeholder" : "value");
      }
    }
  }

  void check_slots() {
    for (const Query& query : anatomy_.reading.queries) {
      check_framed(query.key - layout_.key_offset(), true);
    }
    for (int section = 0; section < layout_.sections; section++) {
      int blocks = 0;
      for (int slot = 0; slot < layout_.pair_slots; slot++) {
        const int begin =
            layout_.pair_begin + section * layout_.section_length + layout_.slot() * slot;
        const bool pair = !layout_.shuffled || (layout_.separators && token(begin) == kSeparatorId);
        if (!pair) continue;
        blocks++;
        check_framed(begin, false);
        stored_.push_back({begin + layout_.key_offset(), begin + layout_.value_offset()});
      }
      const bool countable = !layout_.shuffled || layout_.separators;
      if (countable && blocks != layout_.stored()) {
        add("the context has {} pairs, the cell says {}", blocks, layout_.stored());
      }
    }
    if (!stored_.empty()) return;
    for (const auto& asked : anatomy_.asked) {
      if (asked) stored_.push_back(*asked);
    }
  }

  void check_sampling() {
    if (layout_.repeats) return;
    std::set<std::int32_t> keys, values;
    for (std::size_t i = 0; i < stored_.size(); i++) {
      const bool again = layout_.sections > 1 && i >= static_cast<std::size_t>(layout_.stored());
      for (const std::int32_t id : ids(stored_[i].key, layout_.key_length)) {
        if (!again && !keys.insert(id).second) add("the key token {} comes twice", id);
      }
      if (again && layout_.consecutive_values) continue;
      for (const std::int32_t id : ids(stored_[i].value, layout_.value_length)) {
        if (!values.insert(id).second) add("the value token {} comes twice", id);
      }
    }
  }

  void check_noise() {
    const auto last_of_key = [&](const Binding& place) {
      return token(place.key + layout_.key_length - 1);
    };
    if (layout_.shared_last_key) {
      for (const Binding& place : stored_) {
        if (last_of_key(place) != last_of_key(stored_.front())) {
          add("position {}: all keys end with the same token, this one does not", place.key);
        }
      }
    }
    if (layout_.decoys > 0) {
      // As many keys with an end are asked for as are not.
      std::multiset<std::int32_t> asked, all;
      for (const auto& place : anatomy_.asked) {
        if (place) asked.insert(last_of_key(*place));
      }
      for (const Binding& place : stored_) {
        all.insert(last_of_key(place));
      }
      for (const std::int32_t id : asked) {
        if (all.count(id) != 2 * asked.count(id)) {
          add("{} keys end with {}, of which {} are asked for: it must be half of them",
              all.count(id), id, asked.count(id));
        }
      }
    }
    const auto pairs = static_cast<std::size_t>(layout_.pairs);
    for (std::size_t i = pairs; i < stored_.size() && layout_.sections > 1; i++) {
      if (ids(stored_[i].key, layout_.key_length) !=
          ids(stored_[i - pairs].key, layout_.key_length)) {
        add("position {}: the keys of a section are those of the one before, in their order",
            stored_[i].key);
      }
      if (layout_.consecutive_values &&
          token(stored_[i].value) != token(stored_[i - pairs].value) + 1) {
        add("position {}: the value is that of the section before plus 1", stored_[i].value);
      }
    }
  }

  /// Tasks of data/other_tasks.h: what stands where the answer is asked for.
  void check_other() {
    const TaskKind kind = task_.description.kind;
    const bool told = kind == TaskKind::copy || kind == TaskKind::key_retrieval;
    for (const Label& label : example_.labels) {
      if (told && token(label.position) != label.target) {
        add("position {}: {} should be the answer before, {}", label.position,
            token(label.position), label.target);
      }
      const bool blank = kind == TaskKind::selective_copy;
      if (blank && token(label.position) != kPlaceholderId) {
        add("position {}: {} is no placeholder", label.position, token(label.position));
      }
    }
    if (kind == TaskKind::key_retrieval && anatomy_.asked.front()) {
      const int k = task_.description.key_length;
      const int query = anatomy_.reading.queries.front().key;
      if (ids(query, k) != ids(anatomy_.asked.front()->key, k)) {
        add("position {}: the query is not the key", query);
      }
    }
    if (kind == TaskKind::induction && token(example_.labels.front().position - 1) != kMarkId) {
      add("position {}: the query is not the mark", example_.labels.front().position - 1);
    }
  }

  void check_filler() {
    const bool blanks = task_.description.kind == TaskKind::selective_copy;
    for (int i = 0; i < cell_.length; i++) {
      if (anatomy_.roles[static_cast<std::size_t>(i)] != TokenRole::filler) continue;
      const std::int32_t id = token(i);
      if (!(task_.filler.contains(id) || (blanks && id == kBlankId))) {
        add("position {}: {} is neither filler ({} to {}) nor part of a pair or query", i, id,
            task_.filler.first, task_.filler.last);
      }
    }
  }

  const MqarTask& task_;
  const Cell& cell_;
  const Split split_;
  const Example& example_;
  MqarLayout layout_;
  Anatomy anatomy_;
  std::vector<Binding> stored_;  // in the order of sections and slots
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> broken_rules(const MqarTask& task, const Cell& cell, Split split,
                                      const Example& example) {
  return Rules(task, cell, split, example).broken();
}

}  // namespace farsight
