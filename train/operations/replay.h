// `farsight replay FOLDER`: runs a step again that a run left behind because its loss or gradient was
// not finite (train/operations/step_bundle.h), looking at every value as it is made, and says where the
// first bad one appears, what went into it, and whether double precision would have held it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/batches.h"
#include "models/model.h"

namespace farsight {

inline constexpr std::string_view kReplayHelp =
    "runs a step again whose loss or gradient was not finite, and explains it";
int run_replay_verb(std::span<const std::string> words);

/// What a tensor holds.
struct ValueCount {
  std::int64_t values = 0, nan = 0, infinite = 0;
  std::int64_t first_bad = -1;  ///< index in row-major order; -1: none
  double largest = 0;           ///< of the finite ones, by size
  std::int64_t bad() const { return nan + infinite; }
};
ValueCount count_values(const Tensor& tensor);

/// One operation's output, or the gradient of it.
struct SeenValue {
  std::string name;  ///< "layer 3, selective_scan"
  bool backward = false;
  std::vector<std::int64_t> shape;
  ValueCount count;
};

struct Replay {
  double loss = 0, gradient_norm = 0;
  std::vector<SeenValue> seen;  ///< up to the first that is not finite, which is the last here
  std::vector<SeenValue> bad_parameters;  ///< before the step
  bool finite() const;
  const SeenValue* first_bad() const;
};

/// Computes loss and gradients, and moves nothing.
Replay replay(const Model& model, const GlobalBatch& batch);

}  // namespace farsight
