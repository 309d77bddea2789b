#include "data/matching.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "data/oracle.h"

namespace farsight {
namespace {

constexpr std::int64_t kMostWays = 5040;  // 7!, or twelve keys that came twice

/// The answer is the value of greatest probability.
void set_answer(const EqualKeys& group, const std::vector<double>& probability, Query& query) {
  const auto best = std::max_element(probability.begin(), probability.end());
  const auto value = static_cast<std::size_t>(best - probability.begin());
  const auto place = std::find(group.value_of.begin(), group.value_of.end(), value);
  query.best = static_cast<std::size_t>(place - group.value_of.begin());
  query.probability = *best;
}

class Matching {
 public:
  Matching(const MqarTask& task, const MqarLayout& layout, const std::vector<EqualKeys>& groups,
           std::vector<Query>& queries)
      : task_(task), layout_(layout), groups_(groups), queries_(queries) {
    slot_of_pair_.assign(static_cast<std::size_t>(layout.pairs), 0);
    for (const EqualKeys& group : groups_) {
      weights_.emplace_back(group.queries.size(), std::vector<double>(group.values(), 0.0));
    }
  }

  double solve() {
    visit(0);
    for (std::size_t g = 0; g < groups_.size(); g++) {
      for (std::size_t i = 0; i < groups_[g].queries.size(); i++) {
        for (double& weight : weights_[g][i]) {
          weight /= total_;
        }
        set_answer(groups_[g], weights_[g][i], queries_[groups_[g].queries[i]]);
      }
    }
    double most = 0;
    for (const auto& [answers, weight] : together_) {
      most = std::max(most, weight);
    }
    return most / total_;
  }

 private:
  std::size_t pair_at(const Binding& place) const {
    const int begin = place.key - layout_.key_offset() - layout_.pair_begin;
    return static_cast<std::size_t>(begin / layout_.slot());
  }

  int slot_of(const Query& query) const {
    return (query.key - layout_.key_offset() - layout_.query_begin) / layout_.slot();
  }

  /// Tries all ways of the groups from g on.
  void visit(std::size_t g) {
    if (g == groups_.size()) {
      add();
      return;
    }
    std::vector<std::size_t> way(groups_[g].places());
    std::iota(way.begin(), way.end(), std::size_t{0});
    do {
      for (std::size_t i = 0; i < way.size(); i++) {
        const Query& query = queries_[groups_[g].queries[i]];
        slot_of_pair_[pair_at(query.places[way[i]])] = slot_of(query);
      }
      ways_.push_back(way);
      visit(g + 1);
      ways_.pop_back();
    } while (std::next_permutation(way.begin(), way.end()));
  }

  void add() {
    // The weights of the slots themselves are the same in every way.
    double left = static_cast<double>(
        task_.query_slots.sums()[static_cast<std::size_t>(layout_.query_slots)]);
    double log_probability = 0;
    for (const int slot : slot_of_pair_) {
      log_probability -= std::log(left);
      left -= static_cast<double>(task_.query_slots.weight(slot));
    }
    if (total_ == 0) reference_ = log_probability;
    const double weight = std::exp(log_probability - reference_);
    total_ += weight;
    std::vector<std::size_t> answers;
    for (std::size_t g = 0; g < groups_.size(); g++) {
      for (std::size_t i = 0; i < ways_[g].size(); i++) {
        const std::size_t value = groups_[g].value_of[ways_[g][i]];
        weights_[g][i][value] += weight;
        answers.push_back(value);
      }
    }
    together_[answers] += weight;
  }

  const MqarTask& task_;
  const MqarLayout& layout_;
  const std::vector<EqualKeys>& groups_;
  std::vector<Query>& queries_;
  std::vector<int> slot_of_pair_;
  std::vector<std::vector<std::size_t>> ways_;             // [group][query] its place
  std::vector<std::vector<std::vector<double>>> weights_;  // [group][query][value]
  std::map<std::vector<std::size_t>, double> together_;    // of the answers to all queries
  double total_ = 0, reference_ = 0;
};

}  // namespace

std::size_t EqualKeys::values() const {
  return value_of.empty() ? 0 : *std::max_element(value_of.begin(), value_of.end()) + 1;
}

double answer_alike(const EqualKeys& group, std::vector<Query>& queries) {
  const std::size_t m = group.places();
  std::vector<double> left(group.values(), 0.0);
  for (const std::size_t value : group.value_of) {
    left[value] += 1;
  }
  std::vector<double> share = left;
  for (double& s : share) {
    s /= static_cast<double>(m);
  }
  // Every answer takes one place of its value, so the likeliest ones together are found greedily.
  double together = 1;
  for (std::size_t i = 0; i < group.queries.size(); i++) {
    set_answer(group, share, queries[group.queries[i]]);
    if (i >= m) {  // more questions than places: not all can be right together
      together = 0;
      continue;
    }
    double& most = *std::max_element(left.begin(), left.end());
    together *= most / static_cast<double>(m - i);
    most -= 1;
  }
  return together;
}

bool order_tells(const MqarTask& task, const MqarLayout& layout,
                 const std::vector<EqualKeys>& groups) {
  const bool contiguous = !layout.shuffled && layout.sections == 1 && layout.decoys == 0;
  std::size_t queries = 0;
  bool whole = true, ambiguous = false;
  for (const EqualKeys& group : groups) {
    queries += group.queries.size();
    whole = whole && group.queries.size() == group.places();
    ambiguous = ambiguous || group.values() > 1;
  }
  return contiguous && task.description.query_power != 1.0 && whole && ambiguous &&
         queries == static_cast<std::size_t>(layout.pairs);
}

bool can_match(const std::vector<EqualKeys>& groups) {
  std::int64_t ways = 1;
  for (const EqualKeys& group : groups) {
    for (std::size_t i = 2; i <= group.places() && ways <= kMostWays; i++) {
      ways *= static_cast<std::int64_t>(i);
    }
  }
  return ways <= kMostWays;
}

double answer_by_order(const MqarTask& task, const MqarLayout& layout,
                       const std::vector<EqualKeys>& groups, std::vector<Query>& queries) {
  return Matching(task, layout, groups, queries).solve();
}

}  // namespace farsight
