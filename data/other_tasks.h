// Recall tasks that are not key-value pairs with later queries: the same Example, other rules.
// With L tokens, m = kMarkId, ids drawn from 20 .. V+19:
//
//   copy            d0 .. dn-1 m d0 .. dn-1          L = 2n + 1; di is predicted from the token
//                                                    before it in the second text, that is, given
//                                                    what went before
//   key-retrieval   .. 10 key 10 11 value 11 .. key 11 value
//                                                    the framed pair anywhere; the value at the end
//                                                    predicted token by token like a copy; no id
//                                                    twice but in the query and its answer
//   selective-copy  b d0 b b d1 b .. 10 12 12        n data tokens in order at random places among
//                                                    blanks b = kBlankId; predicted in parallel
//                                                    from 10 and the placeholders but the last
//   induction       .. m x .. m .                    x is predicted from the second mark; the first
//                                                    one anywhere before
//
// Copying follows the authors' code (custom_dataset/Copy_ywj.py under tmp_code/state-space-model of
// ZetangForward/Global_Mamba), whose ids are 2 to 4,097 and whose mark is 4,099; copying token by
// token given the truth is right as a whole exactly when greedy generation is. Selective copying
// and induction heads: Gu & Dao, "Mamba" (2023), section 4.1. `pairs` of a cell are the tokens to
// copy, each a pair of its own, or 1.
#pragma once

#include "data/mqar.h"

namespace farsight {

inline constexpr std::int32_t kMarkId = 13;
inline constexpr std::int32_t kBlankId = 14;

/// Of a task that follows no layout (follows_layout): everything but its kind's labels is drawn
/// from `random`.
Example generate_other(const MqarTask& task, const Cell& cell, PhiloxSequence& random);
int other_labels(const MqarTask& task, const Cell& cell);

/// Throws Error(data) where the task's ids do not suffice for the cell.
void require_other_ids(const MqarTask& task, const Cell& cell);

}  // namespace farsight
