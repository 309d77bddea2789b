// How much an operation has to do at the least, and the time below which no kernel of a GPU can go.
//
// The counts are those of a bf16 step with f32 parameters: 2 bytes an activation, 4 a parameter, a
// residual or a gradient of a weight; whatever is kept for the backward or computed twice is not
// needed and not counted.
#pragma once

#include <cstdint>

namespace farsight::bench {

/// Of one pass over one operation.
struct Work {
  double bytes = 0;         ///< read and written at least once
  double flops = 0;         ///< by the tensor cores; a multiply-add counts two
  double exps = 0;          ///< by the special function units
  double instructions = 0;  ///< of one lane, where a known count is what limits
};

/// What the device reaches, measured, and two rates that follow from its clock.
struct GpuCeilings {
  double copy_gb_per_s = 0;     ///< read and written bytes of a copy within the device
  double gemm_tflop_per_s = 0;  ///< 8192 x 8192 x 8192 in bf16, random data, by ops/linear
  /// 16 exps and 4 warps' instructions a clock on each of the 132 multiprocessors of an H100 or
  /// H200, at the 1.755 GHz that they hold under load.
  double exps_per_s = 16 * 132 * 1.755e9;
  double instructions_per_s = 4 * 32 * 132 * 1.755e9;
};

struct Floor {
  double ms = 0;
  const char* limit = "";  ///< "bytes", "products", "exps", "issue"
};
/// The longest of what each ceiling asks for: they can overlap each other, at best.
Floor floor_of(const Work& work, const GpuCeilings& ceilings);

/// Forward and backward of an operation.
struct Works {
  Work forward, backward;
};

// Sizes as in the operations' headers; `rows` are tokens of all sequences together.
Works scan_work(std::int64_t rows, std::int64_t D, std::int64_t N, bool gate);
/// Sequences of T tokens: what taps would read before the first one is nothing to do.
Works conv_work(std::int64_t rows, std::int64_t T, std::int64_t D, std::int64_t K);
/// Sequences of T tokens, kernels as long, both gates; products as the formula has them.
Works long_conv_work(std::int64_t rows, std::int64_t T, std::int64_t D);
Works wkv_work(std::int64_t rows, std::int64_t D, bool gate);
Works token_shift_work(std::int64_t rows, std::int64_t D, std::int64_t mixes);
/// Causal, sequences of T tokens, `heads` heads of 64 dims.
Works attention_work(std::int64_t rows, std::int64_t T, std::int64_t heads);
/// Two addends and two affine outputs.
Works add_layer_norm_pair_work(std::int64_t rows, std::int64_t D);
/// One causal head of D dims.
Works wide_attention_work(std::int64_t rows, std::int64_t T, std::int64_t D);
Works dropout_work(std::int64_t rows, std::int64_t D);
Works gelu_work(std::int64_t rows, std::int64_t D);
Works add_rms_norm_work(std::int64_t rows, std::int64_t D);
/// Ids drawn uniformly from a vocabulary of V.
Works embedding_work(std::int64_t rows, std::int64_t V, std::int64_t D);
/// R rows out of `rows`.
Works gather_rows_work(std::int64_t rows, std::int64_t D, std::int64_t R);
Works linear_work(std::int64_t rows, std::int64_t K, std::int64_t N, bool dx, bool dw);
Works linear_cross_entropy_work(std::int64_t R, std::int64_t D, std::int64_t V);
Work gradient_norm_work(std::int64_t parameters);
Work adamw_work(std::int64_t parameters);

}  // namespace farsight::bench
