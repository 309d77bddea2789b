// (id, i) sorted by id, stably, eight bits at a time: every block counts the digits of its piece, then
// moves it to its places, which follow from all the counts.
#include "cuda/embedding_sort.cuh"

#include "cuda/device.cuh"

namespace farsight::cuda {
namespace {

using Entry = EmbeddingEntry;

constexpr int kSortThreads = 256;  // one a digit
constexpr int kSortWarps = kSortThreads / 32;
constexpr int kDigits = kEmbeddingDigits;
static_assert(kSortThreads == kDigits);

/// One pass of the sort, by eight bits of the id. Block k has the k-th piece of the list, a warp the
/// k-th piece of that; counts is [blocks][kDigits].
struct SortPass {
  const Entry* from;  // null: the tokens themselves
  Entry* to;
  int* counts;
  int shift, piece;  // piece: of a warp, a multiple of 32

  __device__ Entry entry_at(const EmbeddingArgs& a, int i) const {
    if (from != nullptr) return from[i];
    const std::int64_t id = a.ids[i];
    return {id >= 0 && id < a.V ? unsigned(id) : unsigned(a.V), i};
  }
  __device__ unsigned digit_of(const Entry& entry) const {
    return entry.id >> shift & (kDigits - 1);
  }
};

/// Meets this warp's piece in order, 32 entries at a time. body(entry, there, digit, rank, same): the
/// lanes with the same digit and how many of them come before this one.
template <class Body>
__device__ inline void for_each_entry(const EmbeddingArgs& a, const SortPass& pass,
                                      const Body& body) {
  const int warp = int(blockIdx.x) * kSortWarps + int(threadIdx.x / 32), lane = threadIdx.x % 32;
  const int count = int(a.count), begin = int(min(std::int64_t(warp) * pass.piece, a.count));
  const int end = min(count - begin, pass.piece) + begin;
  for (int base = begin; base < end; base += 32) {
    const bool there = base + lane < end;
    const Entry entry = there ? pass.entry_at(a, base + lane) : Entry{};
    const unsigned digit = there ? pass.digit_of(entry) : kDigits;
    const unsigned same = __match_any_sync(0xffffffffu, digit);
    body(entry, there, digit, __popc(same & ((1u << lane) - 1)), __popc(same));
    __syncwarp();
  }
}

__device__ inline void clear_counts(int (&counts)[kSortWarps][kDigits]) {
  for (int warp = 0; warp < kSortWarps; warp++) {
    counts[warp][threadIdx.x] = 0;
  }
  __syncthreads();
}

__global__ void __launch_bounds__(kSortThreads)
    count_digits(const __grid_constant__ EmbeddingArgs a, const __grid_constant__ SortPass pass) {
  __shared__ int counts[kSortWarps][kDigits];
  clear_counts(counts);
  for_each_entry(a, pass, [&](const Entry&, bool there, unsigned digit, int rank, int same) {
    if (there && rank == 0) counts[threadIdx.x / 32][digit] += same;
  });
  __syncthreads();
  int mine = 0;
  for (int warp = 0; warp < kSortWarps; warp++) {
    mine += counts[warp][threadIdx.x];
  }
  pass.counts[blockIdx.x * kDigits + threadIdx.x] = mine;
}

/// The sum of x over the threads before this one.
__device__ inline int sum_before(int x) {
  __shared__ int sums[kSortThreads];
  const int me = threadIdx.x;
  int sum = x;
  for (int step = 1; step < kSortThreads; step *= 2) {
    sums[me] = sum;
    __syncthreads();
    if (me >= step) sum += sums[me - step];
    __syncthreads();
  }
  return sum - x;
}

/// Ordered by digit, then by block, then by warp, then as they stand: stable.
__global__ void __launch_bounds__(kSortThreads)
    move_entries(const __grid_constant__ EmbeddingArgs a, const __grid_constant__ SortPass pass) {
  __shared__ int places[kSortWarps][kDigits];
  clear_counts(places);
  for_each_entry(a, pass, [&](const Entry&, bool there, unsigned digit, int rank, int same) {
    if (there && rank == 0) places[threadIdx.x / 32][digit] += same;
  });
  int before = 0, all = 0;  // this thread's digit: in earlier blocks, in every block
#pragma unroll 8
  for (int block = 0; block < int(gridDim.x); block++) {
    const int count = pass.counts[block * kDigits + threadIdx.x];
    before += block < int(blockIdx.x) ? count : 0;
    all += count;
  }
  int place = sum_before(all) + before;
  for (int warp = 0; warp < kSortWarps; warp++) {
    const int count = places[warp][threadIdx.x];
    places[warp][threadIdx.x] = place;
    place += count;
  }
  __syncthreads();
  for_each_entry(a, pass, [&](const Entry& entry, bool there, unsigned digit, int rank, int same) {
    int& next = places[threadIdx.x / 32][there ? digit : 0];
    const int mine = next + rank;
    __syncwarp();
    if (!there) return;
    pass.to[mine] = entry;
    if (rank == 0) next += same;
  });
}

}  // namespace

void sort_tokens(const EmbeddingArgs& a) {
  constexpr std::int64_t kPiece = 128;  // of a warp; longer where there would be too many blocks
  Entry* halves[2] = {reinterpret_cast<Entry*>(a.order),
                      reinterpret_cast<Entry*>(a.order) + a.count};
  const std::int64_t most = kEmbeddingSortBlocks * kSortWarps;
  const std::int64_t piece = ((a.count + most - 1) / most + 31) / 32 * 32;
  SortPass pass{.from = nullptr, .counts = a.order + 4 * a.count, .shift = 0};
  pass.piece = int(piece > kPiece ? piece : kPiece);
  const int blocks = blocks_for(a.count, std::int64_t(pass.piece) * kSortWarps);
  int passes = 1;
  while (a.V >> 8 * passes != 0) {
    passes++;
  }
  for (int left = passes; left > 0; left--) {
    pass.to = halves[(left - 1) % 2];
    count_digits<<<blocks, kSortThreads, 0, stream()>>>(a, pass);
    move_entries<<<blocks, kSortThreads, 0, stream()>>>(a, pass);
    launched("embedding_backward, order");
    pass.from = pass.to;
    pass.shift += 8;
  }
}

}  // namespace farsight::cuda
