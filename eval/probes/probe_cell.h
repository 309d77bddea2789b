// A model's layers on the examples of a cell: their matrices, averaged, and what the matrices say.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "eval/probes/attention_matrix.h"
#include "eval/probes/delta_profile.h"
#include "eval/probes/layer_quantities.h"

namespace farsight {

struct ProbeOptions {
  Split split = Split::test;
  std::int64_t examples = 20;          ///< of the cell, from the first on
  std::vector<std::int64_t> layers{};  ///< ascending; empty: all
  bool matrices = false;               ///< keep the mean over examples of `matrix`
  MatrixOptions matrix{};
  std::int64_t checked_channels = 4;      ///< of the first example, for LayerProbe::error
  std::int64_t piece_elements = 1 << 24;  ///< of a matrix, at once: rows times T
  std::function<void(std::int64_t example, std::int64_t layer)> done{};  ///< told after each
};

struct LayerProbe {
  std::int64_t layer = 0;
  LayerQuantities quantities{};
  std::optional<DeltaProfile> delta{};  ///< Mamba's
  double error = 0;                     ///< reconstruction_error, of the first example
  Tensor matrix{};                      ///< [T, T] f32 on the CPU, if it was asked for
};

/// In the order of layers. Memory: a piece of rows of one matrix, and the means that are kept.
/// Throws Error(data) for a layer that is not there, ids that the model has not, a longer sequence
/// than it takes, and matrices whose means would take more than 8 GiB.
std::vector<LayerProbe> probe_cell(const Model& model, const MqarTask& task, std::size_t cell,
                                   const ProbeOptions& options = {});

}  // namespace farsight
