#include "ops/weight_matrix.h"

#include <algorithm>

#include "core/tensor.h"

namespace farsight {
namespace {

/// On CUDA a block sums a share of the channels of a tile of 64 x 64 entries; an H100 runs about 500
/// of them at once. The cut depends on the sizes of the whole matrix alone, so that its bits do not
/// depend on the rows asked for.
std::int64_t shares_of(std::int64_t T, std::int64_t channels) {
  constexpr std::int64_t kTile = 64, kBlocks = 528, kSmallest = 16;
  const std::int64_t tiles = (T + kTile - 1) / kTile, triangle = tiles * (tiles + 1) / 2;
  const std::int64_t most = std::max<std::int64_t>(1, channels / kSmallest);
  return std::clamp<std::int64_t>((kBlocks + triangle - 1) / triangle, 1, most);
}

}  // namespace

MatrixArgs matrix_args(const char* op, const MatrixPart& part, std::int64_t T,
                       std::int64_t channels, const Tensor& like, Tensor& m, Tensor& partial) {
  const std::int64_t rows = part.rows < 0 ? T - part.row : part.rows;
  const std::int64_t count = part.channels < 0 ? channels - part.channel : part.channels;
  check(T >= 1 && part.row >= 0 && rows >= 1 && part.row + rows <= T,
        "{}: rows must lie within the sequence's {}, got {} from {} on", op, T, rows, part.row);
  check(part.channel >= 0 && count >= 1 && part.channel + count <= channels,
        "{}: channels must lie within the layer's {}, got {} from {} on", op, channels, count,
        part.channel);
  const DType wide = accumulator_of(like.dtype());
  const std::int64_t shares = shares_of(T, count);
  m = Tensor::empty({rows, T}, wide, like.device(), "weight_matrix");
  if (like.device() == Device::cuda) {
    partial = Tensor::empty({shares, rows, T}, wide, like.device(), "weight_matrix.partial");
  }
  return {.m = m.ptr(),
          .partial = partial.ptr(),
          .T = T,
          .row = part.row,
          .rows = rows,
          .channel = part.channel,
          .channels = count,
          .shares = shares,
          .absolute = part.absolute,
          .type = wide};
}

}  // namespace farsight
