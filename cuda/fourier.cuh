// Fourier transforms of real columns that lie side by side, by cuFFT: element i of column c is at
// i * columns + c. Plans are made on first use and kept; the same sizes give the same bits.
#pragma once

#include "cuda/device.cuh"

namespace farsight::cuda {

/// spectrum: [n / 2 + 1, columns] of real [n, columns]. On stream().
void fourier_forward(int n, int columns, float* real, float2* spectrum);

/// The inverse without its factor 1 / n; what is in `spectrum` is lost.
void fourier_inverse(int n, int columns, float2* spectrum, float* real);

}  // namespace farsight::cuda
