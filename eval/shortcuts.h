// Shortcut indices: how much of what a model can do rests on something else than finding the asked
// key, 0 (nothing) to 1 (all of it). Each compares answers with those that a reader gives who uses
// the shortcut alone. `home` is the task that the model was trained on; A means the share of right
// answers, E that of answers with the value of another pair. Queries that a perfect reader cannot
// be sure of (data/oracle.h) are left out, so that ambiguous data look like no shortcut.
//
//   position         1 - A_out / A_home
//     A_out: on the tasks that differ from home in the placement alone, over the pairs that lie
//     outside of the tokens where home has its pairs in that cell, mean over those cells; A_home: on
//     home, mean over the same cells. A reader of home's places has none of them: 1.
//
//   last key token   sum (A_home - A_noise) / sum (A_home - A_home g)
//     A_noise: on n-gram robustness, where all KV keys of an example end alike, or those of a pair
//     and its decoy; g = 1/KV, or 1/2: what is left to a reader who compares the last token alone.
//     Sums over the cells with g < 1; A_home of the same cell where home has it, else home's mean.
//
//   anchor token     sum E / sum (1 - 1/KV)
//     On home, over the cells of at least 2 pairs. A value stands behind its anchor: <SEP_KV>, or
//     without separators any key. A reader who takes the value behind an anchor, whatever the key,
//     answers with another pair's in (KV - 1)/KV of the queries: 1.
//
// Values are clamped to 0 .. 1. Without the tasks that one needs, or where A_home is below
// kLeastAccuracy, there is no index: of what a model cannot do nothing is a shortcut.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "eval/answers.h"

namespace farsight {

inline constexpr double kLeastAccuracy = 0.05;

struct ShortcutIndices {
  std::optional<double> position, anchor, last_key_token;
};

/// What a model answered on a task.
struct TaskAnswers {
  MqarTask task;
  std::vector<PairAnswer> answers;
};

/// `tested` has the home task among others, of any number and order.
ShortcutIndices shortcut_indices(const MqarTask& home, std::span<const TaskAnswers> tested);

}  // namespace farsight
