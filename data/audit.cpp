#include "data/audit.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/check.h"
#include "core/parallel.h"
#include "data/anatomy.h"
#include "data/example_rules.h"

namespace farsight {
namespace {

using Ids = std::vector<std::int32_t>;

double percent(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

Ids targets_of(const Example& example, const Query& query) {
  Ids targets;
  for (std::size_t i = 0; i < query.labels; i++) {
    targets.push_back(example.labels[query.first_label + i].target);
  }
  return targets;
}

/// How often each run of `count` filler tokens that could be a key was seen, read from the left.
class FillerSeen {
 public:
  FillerSeen(const Example& example, const Anatomy& anatomy, int count)
      : example_(example), anatomy_(anatomy), count_(count) {}

  /// Whether `key` stands in the filler before `end`; ends must not decrease.
  bool has(const Ids& key, int end) {
    for (; next_ + count_ <= end; next_++) {
      const auto role = anatomy_.roles.begin() + next_;
      const bool filler =
          std::all_of(role, role + count_, [](TokenRole r) { return r == TokenRole::filler; });
      const auto token = example_.tokens.begin() + next_;
      if (filler) seen_.insert(Ids(token, token + count_));
    }
    return seen_.contains(key);
  }

 private:
  const Example& example_;
  const Anatomy& anatomy_;
  int count_;
  int next_ = 0;
  std::set<Ids> seen_;
};

/// One example's share of the audit.
CellAudit audit_example(const MqarTask& task, const Cell& cell, Split split,
                        const Example& example) {
  CellAudit audit{.cell = cell, .violations = broken_rules(task, cell, split, example)};
  audit.examples = 1;
  if (!audit.violations.empty()) {
    audit.broken = 1;
    return audit;
  }
  const Anatomy anatomy = anatomy_of(task, cell, example.tokens, example.labels);
  const std::vector<Query>& queries = anatomy.reading.queries;
  audit.queries = static_cast<std::int64_t>(queries.size());
  audit.inexact = anatomy.reading.exact ? 0 : 1;
  audit.ceiling = {.pair = 0, .case_ = anatomy.reading.all_right};
  for (const Query& query : queries) {
    audit.ceiling.pair += query.probability;
  }
  if (!follows_layout(task)) return audit;

  const MqarLayout layout = layout_of(task, cell);
  std::map<Ids, std::vector<Ids>> labels_of;  // of each key
  const auto key_of = [&](const Query& query) {
    const auto first = example.tokens.begin() + query.key;
    return Ids(first, first + layout.key_length);
  };
  for (const Query& query : queries) {
    labels_of[key_of(query)].push_back(targets_of(example, query));
  }
  FillerSeen filler(example, anatomy, layout.key_length);
  for (const Query& query : queries) {
    const Ids key = key_of(query);
    const std::vector<Ids>& labels = labels_of[key];
    const bool differ = std::any_of(labels.begin(), labels.end(),
                                    [&](const Ids& other) { return other != labels.front(); });
    audit.repeated += labels.size() > 1 ? 1 : 0;
    audit.contradictory += differ ? 1 : 0;
    audit.met_in_filler += filler.has(key, query.key) ? 1 : 0;
    const std::size_t pairs = labels.size() * static_cast<std::size_t>(layout.sections);
    audit.lookalikes += query.places.size() > pairs ? 1 : 0;
  }
  audit.contradictory_examples = audit.contradictory > 0 ? 1 : 0;
  return audit;
}

}  // namespace

CellAudit audit_cell(const MqarTask& task, const Cell& cell, Split split,
                     std::span<const Example> examples) {
  std::vector<CellAudit> each(examples.size());
  parallel_for(static_cast<std::int64_t>(examples.size()), [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    each[at] = audit_example(task, cell, split, examples[at]);
  });
  CellAudit sum{.cell = cell};
  sum.ceiling = {.pair = 0, .case_ = 0};
  for (std::size_t i = 0; i < each.size(); i++) {
    const CellAudit& one = each[i];
    sum.examples += one.examples;
    sum.queries += one.queries;
    sum.repeated += one.repeated;
    sum.contradictory += one.contradictory;
    sum.contradictory_examples += one.contradictory_examples;
    sum.met_in_filler += one.met_in_filler;
    sum.lookalikes += one.lookalikes;
    sum.inexact += one.inexact;
    sum.broken += one.broken;
    if (one.broken == 0) {
      sum.ceiling.pair += one.ceiling.pair;
      sum.ceiling.case_ += one.ceiling.case_;
    }
    for (const std::string& sentence : one.violations) {
      if (sum.violations.size() >= kMostViolations) break;
      sum.violations.push_back(fmt::format("example {}: {}", i, sentence));
    }
  }
  const std::int64_t whole = sum.examples - sum.broken;
  sum.ceiling.pair =
      sum.queries == 0 ? 0 : 100.0 * sum.ceiling.pair / static_cast<double>(sum.queries);
  sum.ceiling.case_ = whole == 0 ? 0 : 100.0 * sum.ceiling.case_ / static_cast<double>(whole);
  return sum;
}

Ceiling mean_ceiling(std::span<const Ceiling> cells) {
  if (cells.empty()) return {};
  Ceiling sum{.pair = 0, .case_ = 0};
  for (const Ceiling& cell : cells) {
    sum.pair += cell.pair;
    sum.case_ += cell.case_;
  }
  const double count = static_cast<double>(cells.size());
  return {.pair = sum.pair / count, .case_ = sum.case_ / count};
}

std::string audit_text(const MqarTask& task, std::span<const CellAudit> cells) {
  std::string text = fmt::format(
      "task {}: shares in percent of queries, except * of examples\n\n"
      "{:>11} {:>8} {:>9} {:>9} {:>8} {:>9} {:>9} {:>10} {:>8} {:>8} {:>7}\n",
      task.name, "cell", "examples", "queries", "key twice", "contra-", "examples", "key in",
      "lookalike", "ceiling", "ceiling", "broken");
  text +=
      fmt::format("{:>11} {:>8} {:>9} {:>9} {:>8} {:>9} {:>9} {:>10} {:>8} {:>8} {:>7}\n", "", "",
                  "", "", "dictory", "with it*", "filler", "of pair", "pair", "case*", "rules");
  std::vector<Ceiling> ceilings;
  bool inexact = false;
  for (const CellAudit& c : cells) {
    text += fmt::format(
        "{:>11} {:>8} {:>9} {:>9.3f} {:>8.3f} {:>9.1f} {:>9.3f} {:>10.3f} {:>8.3f} {:>8.2f} "
        "{:>7}\n",
        cell_name(c.cell), c.examples, c.queries, percent(c.repeated, c.queries),
        percent(c.contradictory, c.queries),
        percent(c.contradictory_examples, c.examples - c.broken),
        percent(c.met_in_filler, c.queries), percent(c.lookalikes, c.queries), c.ceiling.pair,
        c.ceiling.case_, c.broken);
    ceilings.push_back(c.ceiling);
    inexact = inexact || c.inexact > 0;
  }
  const Ceiling mean = mean_ceiling(ceilings);
  text += fmt::format("\nceiling, mean over cells: pair {:.3f} %, case {:.2f} %\n\n", mean.pair,
                      mean.case_);
  text +=
      "key twice       another query of the example asks for the same key\n"
      "contradictory   and its label differs: no reader of the tokens can have both right but by\n"
      "                luck\n"
      "key in filler   the key stands in the filler before its query\n"
      "lookalike       the context binds the key in a place that is not one of the pairs asked "
      "for\n"
      "ceiling         what a perfect reader has right in expectation (docs/metrics.md)\n";
  if (inexact) {
    text += "Some examples have so many equal keys that their ceiling is a near lower bound.\n";
  }
  for (const CellAudit& c : cells) {
    for (const std::string& sentence : c.violations) {
      text += fmt::format("broken: cell {}, {}\n", cell_name(c.cell), sentence);
    }
  }
  return text;
}

}  // namespace farsight
