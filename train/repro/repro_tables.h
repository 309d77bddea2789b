// Tables of a reproduction: the paper's beside ours, and claims with their verdicts.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/report/document.h"
#include "train/repro/claims.h"
#include "train/repro/exhibits.h"
#include "train/repro/outcomes.h"

namespace farsight {

/// One of the paper's tables with ours beside its numbers: "98.02 ± 0.41", below it "paper 99.72,
/// ceiling 99.91".
Table comparison(const ExhibitTable& exhibit, const Outcomes& outcomes);

/// Claims with their verdicts and the numbers that decide.
Table judged(std::string caption, std::span<const Claim> claims, const Outcomes& outcomes);

/// The means over seeds as claims ask for them.
Accuracies accuracies_of(const Outcomes& outcomes);

/// What a table does not say by itself.
std::vector<Block> remarks(const ExhibitTable& exhibit, const Outcomes& outcomes);

/// "pass", "fail", "missing"; "not judged" of a claim whose premise does not hold.
std::string_view verdict_words(Verdict verdict);

}  // namespace farsight
