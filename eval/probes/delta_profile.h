// How long a step Mamba takes at each kind of token (docs/probes.md): the mean of dt over all
// channels and over the positions that have a role, of one layer.
//
//   dt[t] = softplus(q[t] s[t] + bias)         as the scan takes it
//   plain: softplus(q[t] + bias)               as it would be without the factor s of global selection
//
// A large step forgets what was and takes in what is; a small one keeps. The two are the same where
// no gate is a factor of q.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "data/anatomy.h"
#include "ops/selective_scan.h"

namespace farsight {

inline constexpr std::array kRoles = {TokenRole::filler,      TokenRole::key,
                                      TokenRole::value,       TokenRole::query,
                                      TokenRole::placeholder, TokenRole::separator};

/// By role; NaN where an example has no such token.
struct DeltaProfile {
  std::array<double, kRoles.size()> mean{}, plain{};
};

class DeltaTally {
 public:
  /// One example: `roles` of its tokens.
  void add(const ScanInputs& in, const std::vector<TokenRole>& roles);
  DeltaProfile means() const;
  bool empty() const { return examples_ == 0; }

 private:
  std::array<double, kRoles.size()> sums_{}, plain_{};
  std::array<std::int64_t, kRoles.size()> tokens_{};
  std::int64_t examples_ = 0;
};

}  // namespace farsight
