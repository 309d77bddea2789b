// Which of several places a query asks for, where the same key is bound more than once: the
// posterior of data/oracle.h.
#pragma once

#include <cstddef>
#include <vector>

#include "data/mqar.h"

namespace farsight {

struct Query;

/// The queries of one key, and the values that its places bind as numbers: equal values, equal
/// number.
struct EqualKeys {
  std::vector<std::size_t> queries;   ///< indices of Reading::queries
  std::vector<std::size_t> value_of;  ///< [places]
  std::size_t places() const { return value_of.size(); }
  /// How many different values there are.
  std::size_t values() const;
};

/// Every query asks for any place with the same probability, different queries for different ones.
/// Sets the answers; returns the probability that all of them are right.
double answer_alike(const EqualKeys& group, std::vector<Query>& queries);

/// Whether only the order in which slots were drawn can tell the places of equal keys apart.
bool order_tells(const MqarTask& task, const MqarLayout& layout,
                 const std::vector<EqualKeys>& groups);

/// Whether the ways to match places and queries of equal keys are few enough to be summed.
bool can_match(const std::vector<EqualKeys>& groups);

/// The posterior of the contiguous placement, summed over all those ways. Sets the answers; returns
/// the probability that all are right. For groups of which order_tells and can_match hold.
double answer_by_order(const MqarTask& task, const MqarLayout& layout,
                       const std::vector<EqualKeys>& groups, std::vector<Query>& queries);

}  // namespace farsight
