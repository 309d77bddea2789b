// Products of a warpgroup, four warps side by side, by Hopper's asynchronous instructions (PTX ISA,
// "Asynchronous Warpgroup Level Matrix Instructions"; compute capability 9.0a only). The left operand
// and the sums are in registers, the right operand in shared memory.
//
// Registers: warp w of the group has rows 16 w ... 16 w + 15. Of its left operand [64, 16] a lane holds
// what mma.sync's m16n8k16 gives it; of its sums [64, 64] element i is row lane / 4 + i / 2 % 2 * 8,
// column i / 4 * 8 + lane % 4 * 2 + i % 2. So elements 8 j ... 8 j + 7, rounded, are the left operand of
// columns 16 j ... 16 j + 15.
//
// Shared memory: a tile has rows of 64 bf16, 128 bytes, and begins at a multiple of 1024 bytes. Piece p
// of 16 bytes of row r is at piece p ^ r % 8 of that row ("128-byte swizzle"): eight rows of one piece,
// which one load of the tensor core reads, lie in different banks.
#pragma once

#include "cuda/matrix.cuh"

namespace farsight::cuda::wgmma {

constexpr int kGroup = 128;  // threads
constexpr int kRow = 64;     // elements of a tile's row
constexpr int kSums = 32;    // of a thread, of [64, 64]

/// Which warpgroup of its block a thread is in, so that the compiler knows it to be one for the warp.
__device__ inline int group_of_thread() {
  return __shfl_sync(0xffffffffu, int(threadIdx.x) / kGroup, 0);
}

/// Where piece `piece` of row `row` of a tile is, in elements.
__device__ inline int swizzled(int row, int piece) {
  return row * kRow + ((piece ^ row % 8) * 8);
}

/// Describes a tile ("Matrix Descriptor Format"): its address, the 1024 bytes between groups of eight
/// rows, swizzle 1 (128 bytes), each without its four lowest bits. The third number, from one row of
/// such groups to the next, is not read for 64 elements of a row.
__device__ inline std::uint64_t describe(const bf16* tile) {
  constexpr std::uint64_t kBetweenGroups = 1024 >> 4, kSwizzle = 1;
  return (shared_address(tile) & 0x3ffff) >> 4 | std::uint64_t(1) << 16 | kBetweenGroups << 32 |
         kSwizzle << 62;
}
/// The same, `rows` of 128 bytes or `elements` of a row further on.
__device__ constexpr std::uint64_t rows_on(int rows) {
  return std::uint64_t(rows) * 128 >> 4;
}
__device__ constexpr std::uint64_t elements_on(int elements) {
  return std::uint64_t(elements) * 2 >> 4;
}

/// Before the first product, and wherever registers of one were written since the last.
__device__ inline void fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
/// Ends a group of products.
__device__ inline void end_group() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Until all groups but the newest kLeft are done.
template <int kLeft>
__device__ inline void await_groups() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kLeft) : "memory");
}
/// After await_groups: lets the compiler read these sums only from here on.
__device__ inline void settle(float (&sums)[kSums]) {
#pragma unroll
  for (int i = 0; i < kSums; i++) {
    asm volatile("" : "+f"(sums[i])::"memory");
  }
}
/// What this thread wrote to shared memory, or cp.async for it, is seen by products that other threads
/// start after the next barrier ("Async proxy").
__device__ inline void publish() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// The instruction, its 32 sums (constraint c) and what decides whether it adds to them. Where it does
// not, they are written only: what they held does not tie the product to earlier work.
#define FARSIGHT_WGMMA                                                      \
  "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "                   \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
#define FARSIGHT_SET "{\n.reg .pred add;\nsetp.ne.b32 add, 0, 0;\n" FARSIGHT_WGMMA
#define FARSIGHT_ADD "{\n.reg .pred add;\nsetp.eq.b32 add, 0, 0;\n" FARSIGHT_WGMMA
#define FARSIGHT_SUMS_8(c, i)                                                                 \
  c(sums[i]), c(sums[i + 1]), c(sums[i + 2]), c(sums[i + 3]), c(sums[i + 4]), c(sums[i + 5]), \
      c(sums[i + 6]), c(sums[i + 7])
#define FARSIGHT_SUMS(c) \
  FARSIGHT_SUMS_8(c, 0), FARSIGHT_SUMS_8(c, 8), FARSIGHT_SUMS_8(c, 16), FARSIGHT_SUMS_8(c, 24)
#define FARSIGHT_LEFT "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3])

/// sums = left B, or += (kAdd): B [16, 64] is the transpose of 16 columns of a tile's 64 rows.
template <bool kAdd>
__device__ inline void multiply(float (&sums)[kSums], const unsigned (&left)[4],
                                std::uint64_t columns) {
  if constexpr (kAdd) {
    asm volatile(FARSIGHT_ADD "{%32, %33, %34, %35}, %36, add, 1, 1, 0;\n}"
                 : FARSIGHT_SUMS("+f")
                 : FARSIGHT_LEFT, "l"(columns));
  } else {
    asm volatile(FARSIGHT_SET "{%32, %33, %34, %35}, %36, add, 1, 1, 0;\n}"
                 : FARSIGHT_SUMS("=f")
                 : FARSIGHT_LEFT, "l"(columns));
  }
}
/// The same with 16 columns of another tile as left operand.
template <bool kAdd>
__device__ inline void multiply(float (&sums)[kSums], std::uint64_t left, std::uint64_t columns) {
  if constexpr (kAdd) {
    asm volatile(FARSIGHT_ADD "%32, %33, add, 1, 1, 0, 0;\n}"
                 : FARSIGHT_SUMS("+f")
                 : "l"(left), "l"(columns));
  } else {
    asm volatile(FARSIGHT_SET "%32, %33, add, 1, 1, 0, 0;\n}"
                 : FARSIGHT_SUMS("=f")
                 : "l"(left), "l"(columns));
  }
}
/// sums += left B: B is 16 rows of a tile.
__device__ inline void multiply_add_rows(float (&sums)[kSums], const unsigned (&left)[4],
                                         std::uint64_t rows) {
  asm volatile(FARSIGHT_ADD "{%32, %33, %34, %35}, %36, add, 1, 1, 1;\n}"
               : FARSIGHT_SUMS("+f")
               : FARSIGHT_LEFT, "l"(rows));
}
#undef FARSIGHT_WGMMA
#undef FARSIGHT_SET
#undef FARSIGHT_ADD
#undef FARSIGHT_SUMS_8
#undef FARSIGHT_SUMS
#undef FARSIGHT_LEFT

/// sums = left (64 rows of a tile)^T; left: registers, or 64 rows of another tile.
__device__ inline void against_rows(const unsigned (&left)[4][4], std::uint64_t tile,
                                    float (&sums)[kSums]) {
  multiply<false>(sums, left[0], tile);
#pragma unroll
  for (int i = 1; i < 4; i++) {
    multiply<true>(sums, left[i], tile + elements_on(16 * i));
  }
}
__device__ inline void against_rows(std::uint64_t left, std::uint64_t tile, float (&sums)[kSums]) {
  multiply<false>(sums, left, tile);
#pragma unroll
  for (int i = 1; i < 4; i++) {
    multiply<true>(sums, left + elements_on(16 * i), tile + elements_on(16 * i));
  }
}
/// sums += left (64 rows of a tile).
__device__ inline void accumulate(const unsigned (&left)[4][4], std::uint64_t tile,
                                  float (&sums)[kSums]) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    multiply_add_rows(sums, left[i], tile + rows_on(16 * i));
  }
}
/// Sums, rounded, as a left operand.
__device__ inline void round_to_left(const float (&sums)[kSums], unsigned (&left)[4][4]) {
#pragma unroll
  for (int i = 0; i < 16; i++) {
    left[i / 4][i % 4] = pack(sums[2 * i], sums[2 * i + 1]);
  }
}

}  // namespace farsight::cuda::wgmma
