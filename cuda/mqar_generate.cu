// One warp an example. The draws of pairs and slots depend on one another, so one lane makes them:
// for the largest example of the paper's grid (512 tokens, 128 pairs) 384 draws of some 200 to 700
// clocks, an estimated 0.1 ms. All examples of a batch of 65,536 tokens are made in that time: 132
// multiprocessors hold 4,000 warps. What is plain work is shared by the lanes, and filler needs no
// order: the k-th empty position takes the k-th word that does not refuse.
#include "cuda/device.cuh"
#include "ops/mqar_generate.h"

namespace farsight::cuda {
namespace {

constexpr int kLanes = 32;
constexpr unsigned kAll = 0xffffffffu;

__device__ unsigned lanes_before(int lane) {
  return (1u << lane) - 1u;
}

/// Labels by ascending position: of the slots that ask, in their order.
__device__ void write_labels(const MqarGenerateArgs& a, const MqarEntry& entry,
                             const MqarScratch& scratch, int lane) {
  const MqarLayout& layout = entry.layout;
  std::int64_t next = entry.first_label;
  for (int begin = 0; begin < layout.query_slots; begin += kLanes) {
    const int slot = begin + lane;
    const int pair = slot < layout.query_slots ? scratch.asked[slot] : -1;
    const unsigned asking = __ballot_sync(kAll, pair >= 0);
    if (pair >= 0) {
      const int before = __popc(asking & lanes_before(lane));
      for (int i = 0; i < layout.labels_per_pair(); i++) {
        const MqarLabel label = label_at(layout, scratch, slot, i);
        const std::int64_t at = next + before * layout.labels_per_pair() + i;
        a.label_rows[at] = entry.first_token + label.row;
        a.targets[at] = label.target;
      }
    }
    next += __popc(asking) * layout.labels_per_pair();
  }
}

/// Into every position of `tokens` still empty, from word `next` of the sequence on.
__device__ void write_filler(const MqarLayout& layout, const IdRange& filler,
                             const PhiloxSequence& random, std::uint64_t next, std::int32_t* tokens,
                             int lane) {
  const std::uint32_t size = static_cast<std::uint32_t>(filler.size());
  for (int begin = 0; begin < layout.length; begin += kLanes) {
    const int position = begin + lane;
    const bool empty = position < layout.length && tokens[position] == kEmpty;
    unsigned waiting = __ballot_sync(kAll, empty);
    while (waiting != 0) {
      // Those that wait ask one word each. Behind a word that refused, all ask again.
      const bool waits = (waiting >> lane & 1u) != 0;
      const BelowDraw draw =
          below_from(random.word(next + __popc(waiting & lanes_before(lane))), size);
      const unsigned refused = __ballot_sync(kAll, waits && draw.refused);
      const unsigned served = refused == 0 ? waiting : waiting & lanes_before(__ffs(refused) - 1);
      if (served >> lane & 1u) tokens[position] = filler.first + static_cast<int>(draw.value);
      next += __popc(served) + (refused == 0 ? 0 : 1);
      waiting &= ~served;
    }
  }
}

__global__ void __launch_bounds__(kLanes)
    make_examples(const __grid_constant__ MqarGenerateArgs a) {
  extern __shared__ std::uint64_t own_scratch[];
  const int lane = threadIdx.x;
  for (std::int64_t i = a.labels + blockIdx.x * kLanes + lane; i < a.R;
       i += std::int64_t(gridDim.x) * kLanes) {
    a.label_rows[i] = -1;
    a.targets[i] = -1;
  }
  const MqarEntry& entry = a.entries[blockIdx.x];
  const MqarLayout layout = entry.layout;
  std::int32_t* tokens = a.tokens + entry.first_token;
  for (int i = lane; i < layout.length; i += kLanes) {
    tokens[i] = kEmpty;
    if (a.positions != nullptr) a.positions[entry.first_token + i] = i;
  }
  if (layout.pairs == 0) return;

  const MqarScratch scratch(
      a.scratch == nullptr ? own_scratch : a.scratch + blockIdx.x * a.scratch_words, layout);
  PhiloxSequence random(entry.key, entry.item);
  prepare_draws(layout, a.slot_sums, scratch, lane, kLanes);
  __syncwarp();
  if (lane == 0) draw_pairs(layout, a.ids, a.slot_sums, scratch, random);
  const std::uint64_t next = __shfl_sync(kAll, random.drawn(), 0);
  __syncwarp();
  place_pairs(layout, scratch, tokens, lane, kLanes);
  __syncwarp();
  write_labels(a, entry, scratch, lane);
  write_filler(layout, a.ids.filler, random, next, tokens, lane);
}

}  // namespace

void mqar_generate(const MqarGenerateArgs& a) {
  const std::int64_t shared = a.scratch == nullptr ? a.scratch_words * 8 : 0;
  make_examples<<<static_cast<unsigned>(a.count), kLanes, static_cast<std::size_t>(shared),
                  stream()>>>(a);
  launched("mqar_generate");
}

}  // namespace farsight::cuda
