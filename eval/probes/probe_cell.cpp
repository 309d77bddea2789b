#include "eval/probes/probe_cell.h"

#include <fmt/format.h>

#include <algorithm>

#include "eval/recall.h"

namespace farsight {
namespace {

/// One layer over all examples.
struct LayerSums {
  std::int64_t layer = 0;
  LayerTally tally{};
  DeltaTally delta{};
  double error = 0;
  Tensor matrix{};  // the sum so far
};

std::vector<std::int64_t> checked_layers(const Model& model, const ProbeOptions& options) {
  const std::int64_t count = layer_count(model);
  std::vector<std::int64_t> layers = options.layers;
  for (std::int64_t layer = 0; options.layers.empty() && layer < count; layer++) {
    layers.push_back(layer);
  }
  for (const std::int64_t layer : layers) {
    require(layer >= 0 && layer < count, ExitCode::data,
            "there is no layer {}: this model has layers 0 to {}", layer, count - 1);
  }
  return layers;
}

/// `matrix` gets a piece of rows added; normalised ones, if asked for.
void add_rows(const Tensor& matrix, std::int64_t first, const Tensor& rows, bool normalised) {
  const Tensor piece = normalised ? rows.to(DType::f32) : rows;
  if (normalised) normalise_rows(piece);
  const float* from = piece.data<float>();
  float* to = matrix.data<float>() + first * matrix.dim(1);
  for (std::int64_t i = 0; i < piece.elements(); i++) {
    to[i] += from[i];
  }
}

void look(const Mixing& mixing, const ExamplePlaces& places, const ProbeOptions& options,
          LayerSums& sums) {
  const std::int64_t T = places.length;
  const std::int64_t piece = std::clamp<std::int64_t>(options.piece_elements / T, 1, T);
  const auto rows_of = [&](std::int64_t row, bool absolute) {
    return weight_matrix(mixing,
                         {.absolute = absolute, .row = row, .rows = std::min(piece, T - row)})
        .to(Device::cpu)
        .to(DType::f32);
  };
  for (std::int64_t row = 0; row < T; row += piece) {
    const Tensor mass = rows_of(row, true);
    sums.tally.add(mass, row, places);
    if (!sums.matrix) continue;
    add_rows(sums.matrix, row, options.matrix.absolute ? mass : rows_of(row, false),
             options.matrix.row_normalised);
  }
}

}  // namespace

std::vector<LayerProbe> probe_cell(const Model& model, const MqarTask& task, std::size_t cell,
                                   const ProbeOptions& options) {
  constexpr std::int64_t kMostBytes = std::int64_t{8} << 30;
  check(cell < task.cells.size() && options.examples >= 1, "probe_cell: cell {} of {}", cell,
        task.cells.size());
  require(task.model_vocabulary() <= model.vocab_size, ExitCode::data,
          "task '{}' has {} token ids, the model only {}", task.name, task.model_vocabulary(),
          model.vocab_size);
  const std::int64_t T = task.cells[cell].length;
  std::vector<LayerSums> all;
  for (const std::int64_t layer : checked_layers(model, options)) {
    all.emplace_back().layer = layer;
  }
  if (options.matrices) {
    const std::int64_t bytes = static_cast<std::int64_t>(all.size()) * T * T * 4;
    require(bytes <= kMostBytes, ExitCode::data,
            "{} matrices of {} x {} would take {} GiB, at most {}: ask for fewer layers or a "
            "shorter cell; their quantities need no such memory",
            all.size(), T, T, bytes >> 30, kMostBytes >> 30);
    for (LayerSums& sums : all) {
      sums.matrix = Tensor::zeros({T, T}, DType::f32, Device::cpu, "probe.matrix");
    }
  }
  for (std::int64_t i = 0; i < options.examples; i++) {
    const Example example = generate(task, options.split, 0, cell, static_cast<std::uint64_t>(i));
    const ExamplePlaces places = places_of(example);
    const std::vector<TokenRole> roles =
        anatomy_of(task, task.cells[cell], example.tokens, example.labels).roles;
    const Tensor tokens = index_tensor(example.tokens, {1, T}, model.parameters->device());
    model.probe(tokens, [&](std::int64_t layer, const Mixing& mixing) {
      const auto found = std::find_if(all.begin(), all.end(),
                                      [&](const LayerSums& sums) { return sums.layer == layer; });
      if (found == all.end()) return;
      look(mixing, places, options, *found);
      if (const auto* scan = std::get_if<ScanInputs>(&mixing)) found->delta.add(*scan, roles);
      if (i == 0) found->error = reconstruction_error(mixing, options.checked_channels);
      if (options.done) options.done(i, layer);
    });
  }
  std::vector<LayerProbe> probes;
  for (LayerSums& sums : all) {
    LayerProbe& probe = probes.emplace_back();
    probe.layer = sums.layer;
    probe.quantities = sums.tally.means();
    probe.error = sums.error;
    if (!sums.delta.empty()) probe.delta = sums.delta.means();
    if (!sums.matrix) continue;
    for (float& x : sums.matrix.span<float>()) {
      x /= static_cast<float>(options.examples);
    }
    probe.matrix = sums.matrix;
  }
  return probes;
}

}  // namespace farsight
