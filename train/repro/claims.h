// What a reproduction has to show, as data, and whether it does: acceptance bands around the
// numbers of the paper's tables, which are ours, and the order relations that the paper claims.
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/report/document.h"
#include "train/repro/trial.h"

namespace farsight {

/// least <= accuracy of `trial` (minus that of `minus`) <= most, in percent (points).
struct Condition {
  Trial trial;
  std::optional<Trial> minus{};
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  bool strict = false;  ///< more than `least`, not equal to it
};

struct Claim {
  std::string name;       ///< "T3 GS"
  std::string table;      ///< "3"
  std::string statement;  ///< what holds if it passes
  std::vector<Condition> conditions{};
  /// Without these nothing is claimed: a model that has learned no task carries nothing anywhere.
  std::vector<Condition> premises{};
};

/// Bands around the numbers of Tables 1 to 4, for the paper's models and sizes.
std::span<const Claim> acceptance_bands();
/// The paper's own claims that are orders, not heights: what smaller models can show too.
std::span<const Claim> order_claims();

/// The accuracy of a trial, or nothing where there is none yet.
using Accuracies = std::function<std::optional<double>(const Trial&)>;

/// missing: a number that it needs is not there.
Verdict judge(const Condition& condition, const Accuracies& accuracies);

/// none: a premise does not hold, so there is nothing to judge; fail: one of the conditions fails;
/// missing: none fails, but one is missing, or a premise is.
Verdict judge(const Claim& claim, const Accuracies& accuracies);

/// Of one number in a table: every condition on it alone, of all bands. none: there is no such
/// condition; missing: the number is not there.
Verdict judge(const Trial& trial, const Accuracies& accuracies);

/// "at least 98", "70 to 99", "at least 8 above mamba k2v2 → ngram-robustness"
std::string describe(const Condition& condition);
/// The same with the numbers: "mamba standard → last 15.44, at most 40".
std::string describe(const Condition& condition, const Accuracies& accuracies);

}  // namespace farsight
