// Instructions for products of small matrices in a warp, and what moves their operands: fragments of
// mma.sync in bf16, ldmatrix and stmatrix between them and shared memory, copies from global memory in
// the background. Lane 4 r + q of a warp holds of an [8, 8] matrix the elements 2 q and 2 q + 1 of row r.
#pragma once

#include "cuda/device.cuh"

namespace farsight::cuda {

// ---- pairs of bf16 in a word -----------------------------------------------------------------------

__device__ inline float low_of(unsigned word) {
  return __uint_as_float(word << 16);
}
__device__ inline float high_of(unsigned word) {
  return __uint_as_float(word & 0xffff0000u);
}
__device__ inline unsigned pack(float low, float high) {
  unsigned both;  // one instruction for two elements
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
}

// ---- between [time][channel] and [channel][time] --------------------------------------------------

/// rows[0], rows[1]: eight channels of two steps; words[k]: both steps of channel k.
__device__ inline void words_of_channels(const uint4 (&rows)[2], unsigned (&words)[8]) {
  const unsigned first[4] = {rows[0].x, rows[0].y, rows[0].z, rows[0].w};
  const unsigned second[4] = {rows[1].x, rows[1].y, rows[1].z, rows[1].w};
#pragma unroll
  for (int k = 0; k < 4; k++) {
    words[2 * k] = __byte_perm(first[k], second[k], 0x5410);
    words[2 * k + 1] = __byte_perm(first[k], second[k], 0x7632);
  }
}
__device__ inline uint4 row_of_step(const unsigned (&words)[8], int step) {
  const unsigned select = step == 0 ? 0x5410 : 0x7632;
  return {__byte_perm(words[0], words[1], select), __byte_perm(words[2], words[3], select),
          __byte_perm(words[4], words[5], select), __byte_perm(words[6], words[7], select)};
}

// ---- products --------------------------------------------------------------------------------------

/// sum += a b: a row-major [16, 16], b column-major [16, 8]. Lane 4 r + q has of the sum columns 2 q
/// and 2 q + 1 of rows r and r + 8.
__device__ inline void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned b0,
                                    unsigned b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
/// The same with K = 8.
__device__ inline void multiply_add_half(float (&sum)[4], unsigned a0, unsigned a1, unsigned b) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a0), "r"(a1), "r"(b));
}

// ---- shared memory ---------------------------------------------------------------------------------

__device__ inline unsigned shared_address(const void* p) {
  return unsigned(__cvta_generic_to_shared(p));
}
/// Four 8 x 8 matrices; lane l gives the address of row l % 8 of matrix l / 8.
__device__ inline void load_matrices(unsigned (&x)[4], unsigned row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
               : "r"(row)
               : "memory");
}
__device__ inline void load_matrices(unsigned (&x)[4], const void* row) {
  load_matrices(x, shared_address(row));
}
/// The same, each transposed.
__device__ inline void load_transposed(unsigned (&x)[4], unsigned row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
               : "r"(row)
               : "memory");
}
/// Two, from the addresses of lanes 0 to 15, transposed.
__device__ inline void load_transposed(unsigned (&x)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(x[0]), "=r"(x[1])
               : "r"(shared_address(row))
               : "memory");
}
__device__ inline void store_matrices(unsigned row, const unsigned (&x)[4]) {
#if __CUDA_ARCH__ >= 900
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row),
               "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3])
               : "memory");
#else
  const unsigned lane = threadIdx.x % 32;
#pragma unroll
  for (unsigned matrix = 0; matrix < 4; matrix++) {
    const unsigned at =
        __shfl_sync(0xffffffffu, row, static_cast<int>(8 * matrix + lane / 4)) + lane % 4 * 4;
    asm volatile("st.shared.b32 [%0], %1;" ::"r"(at), "r"(x[matrix]) : "memory");
  }
#endif
}
/// An 8 x 8 matrix in registers, transposed.
__device__ inline unsigned transposed(unsigned x) {
  unsigned y;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(x));
  return y;
}

// ---- copies in the background ----------------------------------------------------------------------

/// kBytes to shared memory, zeros where there is nothing; `from` is then not read.
template <int kBytes>
__device__ inline void copy_ahead(void* to, const void* from, bool there) {
  const unsigned at = shared_address(to);
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(at), "l"(from), "r"(there ? 16 : 0)
                 : "memory");
  } else if constexpr (kBytes >= 4) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;"
                 :
                 : "r"(at), "l"(from), "n"(kBytes), "r"(there ? kBytes : 0)
                 : "memory");
  } else {  // the copy engine moves four bytes at least
    using Raw = typename Word<kBytes>::type;
    *static_cast<Raw*>(to) = there ? *static_cast<const Raw*>(from) : Raw{};
  }
}
/// Ends a stage's copies; there may be none.
__device__ inline void end_stage() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Until all of this thread's stages but the newest kLeft have come; a barrier must follow where other
/// threads read them.
template <int kLeft>
__device__ inline void await_stages() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

}  // namespace farsight::cuda
