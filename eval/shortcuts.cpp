#include "eval/shortcuts.h"

#include <algorithm>
#include <map>
#include <utility>

#include "eval/mqar_metrics.h"

namespace farsight {
namespace {

using CellKey = std::pair<int, int>;  // length, pairs
using Shares = std::map<CellKey, Tally>;

CellKey key_of(const Cell& cell) {
  return {cell.length, cell.pairs};
}

double share(const Tally& tally) {
  return tally.percent() / 100;
}

/// `counts` says of an answer whether it counts, `is` what is counted; cell by cell.
template <class Counts, class Is>
void add_shares(const TaskAnswers& tested, const Counts& counts, const Is& is, Shares& shares) {
  for (const PairAnswer& answer : tested.answers) {
    const Cell& cell = tested.task.cells[answer.cell];
    if (answer.attainable == 1.0 && counts(cell, answer)) {
      shares[key_of(cell)].add(is(answer));
    }
  }
}

bool right(const PairAnswer& answer) {
  return answer.right();
}

/// Right answers of home by cell.
Shares accuracy_of(const TaskAnswers& tested) {
  Shares shares;
  add_shares(
      tested, [](const Cell&, const PairAnswer&) { return true; }, right, shares);
  return shares;
}

double mean(const Shares& shares) {
  double sum = 0;
  for (const auto& [cell, tally] : shares) {
    sum += share(tally);
  }
  return shares.empty() ? 0 : sum / static_cast<double>(shares.size());
}

double clamped(double index) {
  return std::clamp(index, 0.0, 1.0);
}

/// Alike but for the placement, the noise and the law of queries.
bool same_pairs(const TaskDescription& a, const TaskDescription& b) {
  return a.kind == TaskKind::recall && b.kind == TaskKind::recall && a.key_length == b.key_length &&
         a.value_length == b.value_length && a.separators == b.separators;
}

std::optional<double> position_index(const MqarTask& home, const Shares& at_home,
                                     std::span<const TaskAnswers> tested) {
  const auto outside = [&](const Cell& cell, const PairAnswer& answer) {
    const MqarLayout layout = layout_of(home, cell);
    const int end = layout.pair_begin + layout.slot() * layout.pair_slots;
    return answer.pair_key >= 0 && (answer.pair_key < layout.pair_begin || answer.pair_key >= end);
  };
  Shares out;
  for (const TaskAnswers& other : tested) {
    const TaskDescription& d = other.task.description;
    const bool moved = same_pairs(d, home.description) && d.noise == Noise::none &&
                       d.placement != home.description.placement;
    if (moved) add_shares(other, outside, right, out);
  }
  Shares there, here;  // in the cells that both have
  for (const auto& [cell, tally] : out) {
    const auto same = at_home.find(cell);
    if (same == at_home.end()) continue;
    there[cell] = tally;
    here[cell] = same->second;
  }
  if (there.empty() || mean(here) < kLeastAccuracy) return {};
  return clamped(1 - mean(there) / mean(here));
}

std::optional<double> last_key_index(const MqarTask& home, const Shares& at_home,
                                     std::span<const TaskAnswers> tested) {
  if (home.description.key_length < 2 || mean(at_home) < kLeastAccuracy) return {};
  double lost = 0, most = 0;
  for (const TaskAnswers& other : tested) {
    const TaskDescription& d = other.task.description;
    const bool decoys = d.noise == Noise::equal_pairs;
    if (!same_pairs(d, home.description) || !(decoys || d.noise == Noise::shared_last_key)) {
      continue;
    }
    for (const auto& [cell, tally] : accuracy_of(other)) {
      const double left = decoys ? 0.5 : 1.0 / cell.second;
      const auto same = at_home.find(cell);
      const double reference = same == at_home.end() ? mean(at_home) : share(same->second);
      if (left == 1.0) continue;
      lost += reference - share(tally);
      most += reference * (1 - left);
    }
  }
  if (most == 0) return {};
  return clamped(lost / most);
}

std::optional<double> anchor_index(const Shares& at_home, const TaskAnswers& tested) {
  if (mean(at_home) < kLeastAccuracy) return {};
  Shares shares;
  add_shares(
      tested, [](const Cell& cell, const PairAnswer&) { return cell.pairs > 1; },
      [](const PairAnswer& answer) { return answer.source == Source::other; }, shares);
  double wrong = 0, most = 0;
  for (const auto& [cell, tally] : shares) {
    wrong += share(tally);
    most += 1 - 1.0 / cell.second;
  }
  if (most == 0) return {};
  return clamped(wrong / most);
}

}  // namespace

ShortcutIndices shortcut_indices(const MqarTask& home, std::span<const TaskAnswers> tested) {
  const auto own = std::find_if(tested.begin(), tested.end(),
                                [&](const TaskAnswers& t) { return t.task.name == home.name; });
  const bool recalls =
      home.description.kind == TaskKind::recall && home.description.noise == Noise::none;
  if (own == tested.end() || !recalls) return {};
  const Shares at_home = accuracy_of(*own);
  return {.position = position_index(home, at_home, tested),
          .anchor = anchor_index(at_home, *own),
          .last_key_token = last_key_index(home, at_home, tested)};
}

}  // namespace farsight
