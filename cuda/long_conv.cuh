// What the kernels of the gated long convolution share: long_conv.cu has those that take any sizes and
// types, long_conv_matrix.cu and long_conv_matrix_dk.cu those on tensor cores, long_conv_fourier.cu those
// for long sequences.
#pragma once

#include "cuda/device.cuh"
#include "ops/long_conv.h"

namespace farsight::cuda {

/// Taps that are reached.
__host__ __device__ inline std::int64_t reached_taps(const LongConvArgs& a) {
  return a.K < a.T ? a.K : a.T;
}

/// Whether the tensor cores serve these arguments: bf16, not too long, whole blocks of channels that move
/// eight at once.
bool suits_matrix(const LongConvArgs& a);
void matrix_long_conv_forward(const LongConvArgs& a);
/// dv, dpre and dpost.
void matrix_long_conv_inputs(const LongConvArgs& a);
/// a.partial.
void matrix_long_conv_taps(const LongConvArgs& a);

/// The same three by Fourier transforms; they need a.fourier.
void fourier_long_conv_forward(const LongConvArgs& a);
void fourier_long_conv_inputs(const LongConvArgs& a);
void fourier_long_conv_taps(const LongConvArgs& a);

}  // namespace farsight::cuda
