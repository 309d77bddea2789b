#include "eval/breakdown.h"

#include <bit>
#include <cstdint>
#include <map>

namespace farsight {
namespace {

constexpr int kPositionBins = 20;

Tally& tally_of(std::map<double, Bin>& bins, double begin, double end) {
  Bin& bin = bins[begin];
  bin.begin = begin;
  bin.end = end;
  return bin.pairs;
}

std::vector<Bin> values_of(const std::map<double, Bin>& bins) {
  std::vector<Bin> list;
  for (const auto& [begin, bin] : bins) {
    list.push_back(bin);
  }
  return list;
}

}  // namespace

Breakdown breakdown_of(const MqarTask& task, std::span<const PairAnswer> answers) {
  std::map<double, Bin> positions, distances;
  for (const PairAnswer& answer : answers) {
    if (answer.pair_key < 0 || answer.distance() < 1) continue;
    const std::int64_t length = task.cells[answer.cell].length;
    const std::int64_t share = std::int64_t{answer.pair_key} * kPositionBins / length;
    const double percent = 100.0 / kPositionBins;
    tally_of(positions, static_cast<double>(share) * percent,
             static_cast<double>(share + 1) * percent)
        .add(answer.right());
    const double power =
        static_cast<double>(std::bit_floor(static_cast<std::uint32_t>(answer.distance())));
    tally_of(distances, power, 2 * power).add(answer.right());
  }
  return {.by_position = values_of(positions), .by_distance = values_of(distances)};
}

std::vector<Ceiling> ceilings_of(const MqarTask& task, std::span<const PairAnswer> answers) {
  struct Sums {
    double pairs = 0, pair = 0, cases = 0, case_ = 0;
  };
  std::vector<Sums> sums(task.cells.size());
  for (std::size_t i = 0; i < answers.size(); i++) {
    const PairAnswer& answer = answers[i];
    Sums& cell = sums[answer.cell];
    cell.pairs += 1;
    cell.pair += answer.attainable;
    const bool first =
        i == 0 || answers[i - 1].cell != answer.cell || answers[i - 1].sample != answer.sample;
    if (!first) continue;
    cell.cases += 1;
    cell.case_ += answer.example_attainable;
  }
  std::vector<Ceiling> ceilings;
  for (const Sums& cell : sums) {
    if (cell.pairs == 0) {
      ceilings.emplace_back();
    } else {
      ceilings.push_back(
          {.pair = 100 * cell.pair / cell.pairs, .case_ = 100 * cell.case_ / cell.cases});
    }
  }
  return ceilings;
}

std::optional<SectionShares> section_shares(const MqarTask& task,
                                            std::span<const PairAnswer> answers) {
  if (!follows_layout(task) || layout_of(task, task.cells.front()).sections != 4) return {};
  std::vector<std::array<double, 5>> counts(task.cells.size());  // [cell][none, sections]
  for (const PairAnswer& answer : answers) {
    counts[answer.cell][static_cast<std::size_t>(answer.section + 1)] += 1;
  }
  SectionShares shares;
  double cells = 0;
  for (const std::array<double, 5>& cell : counts) {
    const double all = cell[0] + cell[1] + cell[2] + cell[3] + cell[4];
    if (all == 0) continue;
    cells += 1;
    shares.none += 100 * cell[0] / all;
    for (std::size_t i = 0; i < 4; i++) {
      shares.section[i] += 100 * cell[i + 1] / all;
    }
  }
  if (cells == 0) return {};
  shares.none /= cells;
  for (double& share : shares.section) {
    share /= cells;
  }
  return shares;
}

}  // namespace farsight
