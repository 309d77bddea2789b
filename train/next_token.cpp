#include "train/next_token.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "core/check.h"
#include "core/philox.h"

namespace farsight {
namespace {

/// The least weight that top_k leaves.
double least_of_top_k(const std::vector<double>& weights, std::int64_t k) {
  const auto count = static_cast<std::int64_t>(weights.size());
  if (k <= 0 || k >= count) return 0;
  std::vector<double> sorted = weights;
  std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end(), std::greater<>());
  return sorted[static_cast<std::size_t>(k - 1)];
}

/// Takes the weight of all but the heaviest that together have `share` of the total.
void keep_share(std::vector<double>& weights, double share) {
  if (share >= 1) return;
  std::vector<std::size_t> order(weights.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return weights[a] > weights[b]; });
  const double wanted = share * std::accumulate(weights.begin(), weights.end(), 0.0);
  double sum = 0;
  for (const std::size_t token : order) {
    const bool enough = sum > 0 && sum >= wanted;
    sum += weights[token];
    if (enough) weights[token] = 0;
  }
}

}  // namespace

std::int32_t next_token(std::span<const float> logits, const Sampling& sampling, const Draw& draw) {
  check(!logits.empty(), "next_token: there are no logits");
  const auto most = std::max_element(logits.begin(), logits.end());
  if (sampling.temperature <= 0) return static_cast<std::int32_t>(most - logits.begin());
  std::vector<double> weights;
  for (const float l : logits) {
    const double below = static_cast<double>(l) - static_cast<double>(*most);
    weights.push_back(std::exp(below / sampling.temperature));
  }
  const double least = least_of_top_k(weights, sampling.top_k);
  for (double& weight : weights) {
    if (weight < least) weight = 0;
  }
  keep_share(weights, sampling.top_p);
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  const Random4 r =
      philox4x32(philox_key(draw.seed, hash_name("generate")), draw.sample, draw.index);
  double rest = uniform_double(r.v[0], r.v[1]) * total;
  std::int32_t last = 0;  // that has a weight: rounding may leave a rest behind it
  for (std::size_t token = 0; token < weights.size(); token++) {
    if (weights[token] == 0) continue;
    last = static_cast<std::int32_t>(token);
    if ((rest -= weights[token]) < 0) break;
  }
  return last;
}

}  // namespace farsight
