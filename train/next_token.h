// The choice of the next token from its logits.
#pragma once

#include <cstdint>
#include <span>

namespace farsight {

struct Sampling {
  double temperature = 0;  ///< 0: the most likely token, the first of equals
  std::int64_t top_k =
      0;             ///< only the k most likely can be drawn, and what equals the last; 0: all
  double top_p = 1;  ///< of those, the most likely that together have this share, at least one
};

/// Which of many draws: equal ones give equal tokens, whatever is drawn beside them.
struct Draw {
  std::uint64_t seed = 0;
  std::uint64_t sample = 0;  ///< the row of the batch
  std::uint64_t index = 0;   ///< tokens made before
};

/// A token with probability softmax(logits / temperature) among those that top_k and top_p leave
/// (Fan et al., 2018; Holtzman et al., 2020, section 3.1). logits: [V], finite or -inf.
std::int32_t next_token(std::span<const float> logits, const Sampling& sampling, const Draw& draw);

}  // namespace farsight
