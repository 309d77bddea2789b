// Forward: rows x columns, a thread a vector of columns of one token. Floor: count rows read, count
// written.
//
// Backward without atomics: (1) (id, i) is sorted by id, stably (embedding_sort.cu);
// (2) a block a chunk of the sorted list adds up the rows of every run of equal ids, in the order of
// i: a run within the chunk goes to dw, one that crosses its ends to `partial`; (3) the block of the
// chunk in which a crossing run begins adds its parts up. Floor: count rows of dy read, the distinct
// rows of dw read and written, and dw zeroed first where it is not added to.
//
// What the CPU refuses (an id outside the vocabulary) cannot be refused here without waiting for the
// device: whoever makes `ids` checks them on the host. Such a token is neither read nor written.
#include "ops/embedding.h"

#include "cuda/device.cuh"
#include "cuda/embedding_sort.cuh"

namespace farsight::cuda {
namespace {

using Entry = EmbeddingEntry;

constexpr int kChunk = int(kEmbeddingChunk);
constexpr int kTogether = 8;  // rows whose loads are under way at once

// ---- forward -------------------------------------------------------------------------------------------

template <int V>
__global__ void __launch_bounds__(RowGrid::kThreads)
    look_up(const __grid_constant__ EmbeddingArgs a, unsigned column_blocks) {
  const RowPlace at = row_place(column_blocks);
  const std::int64_t d = at.column * V;
  if (at.row >= a.count || d >= a.D) return;
  const std::int64_t id = a.ids[at.row];
  if (id < 0 || id >= a.V) return;
  float x[V];
  load_elements<V>(static_cast<const float*>(a.w) + id * a.D + d, x);
  store_elements<V>(static_cast<float*>(a.y) + at.row * a.D + d, x);
}

// ---- backward: the sums ---------------------------------------------------------------------------------

template <int V>
__global__ void __launch_bounds__(RowGrid::kThreads)
    sum_runs(const __grid_constant__ EmbeddingArgs a) {
  __shared__ Entry entries[kChunk + 2];  // one of either neighbour at the ends
  const Entry* sorted = reinterpret_cast<const Entry*>(a.order);
  const std::int64_t begin = std::int64_t(blockIdx.x) * kChunk;
  const int count = int(min(std::int64_t(kChunk), a.count - begin));
  const Entry nobody{~0u, 0};
  for (int e = threadIdx.x; e < count + 2; e += blockDim.x) {
    const std::int64_t at = begin + e - 1;
    entries[e] = at >= 0 && at < a.count ? sorted[at] : nobody;
  }
  __syncthreads();
  for (std::int64_t d = std::int64_t(threadIdx.x) * V; d < a.D; d += std::int64_t(blockDim.x) * V) {
    float sum[V] = {};
    bool whole = entries[0].id != entries[1].id;  // the run begins in this chunk
    for (int first = 1; first <= count; first += kTogether) {
      float dy[kTogether][V];
#pragma unroll
      for (int s = 0; s < kTogether; s++) {
        const std::int64_t row = entries[min(first + s, count)].i;
        load_elements<V>(static_cast<const float*>(a.dy) + row * a.D + d, dy[s]);
      }
#pragma unroll
      for (int s = 0; s < kTogether; s++) {
        const int e = first + s;
        if (e > count) break;
#pragma unroll
        for (int k = 0; k < V; k++) {
          sum[k] += dy[s][k];
        }
        const unsigned id = entries[e].id;
        const bool ends = entries[e + 1].id != id;
        if (!ends && e < count) continue;
        if (id >= a.V) {
          // not in the vocabulary
        } else if (whole && ends) {
          put_elements<V>(static_cast<float*>(a.dw) + id * a.D + d, sum, true);
        } else {
          const std::int64_t part = std::int64_t(blockIdx.x) * 2 + (whole ? 1 : 0);
          store_elements<V>(static_cast<float*>(a.partial) + part * a.D + d, sum);
        }
        whole = true;
#pragma unroll
        for (int k = 0; k < V; k++) {
          sum[k] = 0;
        }
      }
    }
  }
}

/// The run that begins in this block's chunk and goes on in the next: its parts are [chunk, 1] and
/// [c, 0] of every chunk c that begins with the same id.
template <int V>
__global__ void __launch_bounds__(RowGrid::kThreads)
    join_runs(const __grid_constant__ EmbeddingArgs a, std::int64_t chunks) {
  const Entry* sorted = reinterpret_cast<const Entry*>(a.order);
  const std::int64_t chunk = blockIdx.x, begin = chunk * kChunk, next = begin + kChunk;
  if (next >= a.count) return;
  const unsigned id = sorted[next - 1].id;
  const bool begins_here = begin == 0 || sorted[begin - 1].id != id;
  if (id >= a.V || sorted[next].id != id || !begins_here) return;
  std::int64_t last = chunk;
  for (bool more = true; more;) {
    const std::int64_t c = last + 1 + threadIdx.x;
    const int found = __syncthreads_count(c < chunks && sorted[c * kChunk].id == id);
    last += found;
    more = found == int(blockDim.x);
  }
  const float* partial = static_cast<const float*>(a.partial);
  for (std::int64_t d = std::int64_t(threadIdx.x) * V; d < a.D; d += std::int64_t(blockDim.x) * V) {
    float sum[V];
    load_elements<V>(partial + (chunk * 2 + 1) * a.D + d, sum);
#pragma unroll 8
    for (std::int64_t c = chunk + 1; c <= last; c++) {
      float part[V];
      load_elements<V>(partial + c * 2 * a.D + d, part);
#pragma unroll
      for (int k = 0; k < V; k++) {
        sum[k] += part[k];
      }
    }
    put_elements<V>(static_cast<float*>(a.dw) + id * a.D + d, sum, true);
  }
}

}  // namespace

void embedding_forward(const EmbeddingArgs& a) {
  if (a.type != DType::f32) unsupported("embedding_forward", "f64");
  if (a.count == 0 || a.D == 0) return;
  if (moves_together<4, float>(a.D, a.w, a.y)) {
    const RowGrid grid(a.count, a.D / 4);
    look_up<4><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
  } else {
    const RowGrid grid(a.count, a.D);
    look_up<1><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
  }
  launched("embedding_forward");
}

void embedding_backward(const EmbeddingArgs& a) {
  if (a.type != DType::f32) unsupported("embedding_backward", "f64");
  if (a.dw == nullptr) return;
  if (!a.dw_add) {
    cudaMemsetAsync(a.dw, 0, static_cast<std::size_t>(a.V * a.D) * sizeof(float), stream());
  }
  if (a.count == 0 || a.D == 0) return launched("embedding_backward, zero");
  sort_tokens(a);
  const int chunks = blocks_for(a.count, kChunk);
  const bool together = moves_together<4, float>(a.D, a.dy, a.dw, a.partial);
  if (together) {
    sum_runs<4><<<chunks, RowGrid::kThreads, 0, stream()>>>(a);
    join_runs<4><<<chunks, RowGrid::kThreads, 0, stream()>>>(a, chunks);
  } else {
    sum_runs<1><<<chunks, RowGrid::kThreads, 0, stream()>>>(a);
    join_runs<1><<<chunks, RowGrid::kThreads, 0, stream()>>>(a, chunks);
  }
  launched("embedding_backward, sums");
}

}  // namespace farsight::cuda
