// The attention-like matrix of a layer (equation 5 of "Revealing and Mitigating the Local Pattern
// Shortcuts of Mamba"): how much of source position s is in what the layer's operation gives at
// target position t. y[t] = sum_s W_c[t,s] x[s] holds exactly for every channel c; which operation,
// which x, and what of it lies outside W is said in its header (ops/weight_matrix.h lists them).
// Shown is the mean over all channels (Pythia: heads)
//
//   M[t,s] = mean_c |W_c[t,s]|        or signed: mean_c W_c[t,s]
//   row-normalised: M[t,s] / sum_s' |M[t,s']|
//
// The paper does not say how it reduced the channels, nor whether it normalised: these are ours.
#pragma once

#include <functional>
#include <vector>

#include "models/model.h"
#include "ops/weight_matrix.h"

namespace farsight {

struct MatrixOptions {
  bool absolute = true;
  bool row_normalised = false;
};

/// M [T, T] of `layer`, f32 (f64) on the CPU, for tokens [1, T]. Throws Error(data) where the model
/// has no such layer.
Tensor attention_matrix(const Model& model, const Tensor& tokens, std::int64_t layer,
                        const MatrixOptions& options = {});

/// The same for several layers after one forward pass, each given to `each` as soon as it is there:
/// two layers' tensors are never alive at once. `layers` ascending; empty: all.
void attention_matrices(const Model& model, const Tensor& tokens,
                        const std::vector<std::int64_t>& layers, const MatrixOptions& options,
                        const std::function<void(std::int64_t layer, const Tensor& matrix)>& each);

/// A part of M of what a probe is shown, on the device that computes.
Tensor weight_matrix(const Mixing& mixing, const MatrixPart& part);

/// Channels of an operation; of attention, heads.
std::int64_t matrix_channels(const Mixing& mixing);

/// How well the matrices say what the operation does: over `channels` channels evenly spread (all, if
/// it has no more),
///   || y - W x || / || y ||,    y: the operation's own output, without what lies outside W,
/// with W in the operation's type (f32 for bf16) and its product with x in f64. Of sequences beyond
/// 4096 tokens, over 32 stretches of 64 rows, the first and the last among them.
double reconstruction_error(const Mixing& mixing, std::int64_t channels);
/// The same of other matrices than weight_matrix() gives: a test of the test.
using MatrixSource = std::function<Tensor(const MatrixPart& part)>;
double reconstruction_error(const Mixing& mixing, std::int64_t channels, const MatrixSource& W);

/// Divides every row of M [rows, T] by the sum of its absolute values; a row of zeros stays.
void normalise_rows(const Tensor& matrix);

/// Layers that the model shows.
std::int64_t layer_count(const Model& model);

}  // namespace farsight
