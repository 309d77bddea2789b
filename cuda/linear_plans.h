// How cuBLASLt computes a product: descriptors and the algorithm, kept by everything that the choice
// depends on.
//
// The heuristic's first algorithm is taken, which is the same on every machine of a kind. With
// FARSIGHT_TUNE=1 its first dozen are timed when a large product is met, and the fastest is written to a
// file of the device, so that the next run takes the same one: it starts at once and computes the same
// bits as the run before, but not those of another machine's choices, nor of runs that choose at the same
// time. Only algorithms that sum in f32 and in a fixed order are candidates.
//   FARSIGHT_TUNE=1    time, keep and use choices
//   FARSIGHT_CACHE     the file's folder; else $XDG_CACHE_HOME/farsight, else ~/.cache/farsight
#pragma once

#include <cublasLt.h>

#include <cstdint>

#include "cuda/linear_kernels.cuh"

namespace farsight::cuda {

/// Row-major C = A B is column-major C^T = B^T A^T: cuBLAS's first operand is our B.
struct Plan {
  bool found = false;  // else: plain tiles
  cublasLtMatmulDescOpaque_t product = {};
  cublasLtMatrixLayoutOpaque_t first = {}, second = {}, result = {};
  cublasLtMatmulAlgo_t algorithm = {};
};

/// The plan of this product; makes it, and may measure on the product's own operands.
const Plan& plan_for(const Product& p);

/// Queues the product.
void multiply_by(const Plan& plan, const Product& p);

}  // namespace farsight::cuda
