// How likely a language model finds a continuation: for requests (context, continuation)
//
//   log_likelihood = sum_i log softmax(logits before continuation[i])[continuation[i]]
//   greedy         = every continuation[i] is the argmax there, the lowest id of equals
//
// The model's input is the last max_length + 1 of both, without the very last (lm-evaluation-harness,
// models/huggingface.py _loglikelihood_tokens).
//
// The score of a request depends on the request alone, bit by bit: not on what is scored beside it,
// in which order, or how many of it. Matrix products do not give that by themselves, for libraries
// choose the order of their sums by the number of rows, so everything that a product's number of rows
// depends on is fixed:
//   - a row is filled up behind its tokens to padded_length(), which its own length decides; models
//     are causal, and the filling is the same whatever else is there;
//   - on the CPU a row is alone in its pass; elsewhere every pass of a padded length has the same
//     number of rows, empty ones among them if need be, a multiple of 16 tokens altogether, so that
//     libraries have no remainder to treat otherwise;
//   - the head gets the scored positions in pieces of a fixed size.
// Other pass_tokens are other shapes, whose sums may differ in the last bits.
//
// The head, its softmax and the sums are in f32 (f64 under f64), whatever the model is computed in.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/model.h"

namespace farsight {

struct ScoreRequest {
  std::vector<std::int32_t> context, continuation;
};

struct ContinuationScore {
  double log_likelihood = 0;
  bool greedy = true;
};

struct ScorerOptions {
  std::int64_t max_length = 2048;
  /// Of one pass, filling included. 0: as the device likes it, on the CPU one row. A row always fits.
  std::int64_t pass_tokens = 0;
  /// Called before a pass, and at the end: tokens of requests that are queued, and of all. A GPU may
  /// be some passes behind.
  std::function<void(std::int64_t done, std::int64_t all)> progress = {};
};

/// In the order of the requests. Throws Error(data) for an empty context or continuation, an id that
/// the model has not, a continuation longer than max_length, a max_length longer than the model's.
std::vector<ContinuationScore> score_continuations(const Model& model,
                                                   std::span<const ScoreRequest> requests,
                                                   const ScorerOptions& options);

/// What rows of `length` tokens are filled up to: steps of an eighth of a power of two, at least 16;
/// not beyond `most`, if that is not 0.
std::int64_t padded_length(std::int64_t length, std::int64_t most);

}  // namespace farsight
