// What a GPU computes together with those of other ranks: NCCL, found when the program runs. Where
// there is none everything else works.
//
//   DeviceRanks ranks(id, rank, world);      // the same id on all ranks
//   ranks.all_reduce(slice, count, DType::f32);     // queued, behind everything computed so far
//   ...                                      // computing goes on beside it
//   ranks.join();                            // what is computed from here on sees the sums
//
// Collectives run on a stream of their own, in the order of the calls, which is the same on all
// ranks. They wait for the others' part without end: whoever watches the others calls abort().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/dtype.h"

namespace farsight {

/// Whether NCCL is there and new enough; if not, `why` is a sentence that says what to install.
bool nccl_available(std::string* why = nullptr);
/// "2.28.9", only where it is available.
std::string nccl_version();

class DeviceRanks {
 public:
  using Id = std::array<std::byte, 128>;
  /// Made by one rank, for all.
  static Id new_id();

  /// Waits for all ranks, at most `seconds`. After select_gpu(). Throws Error(device) with what NCCL
  /// says, Error(peer) when the others do not come.
  DeviceRanks(const Id& id, int rank, int world, double seconds);
  DeviceRanks(const DeviceRanks&) = delete;
  DeviceRanks& operator=(const DeviceRanks&) = delete;
  ~DeviceRanks();

  /// In place; f32 and f64.
  void all_reduce(void* values, std::int64_t count, DType type);
  /// In place, of `count` elements a rank: the rank's own part of `values` becomes the sum.
  void reduce_scatter(void* values, std::int64_t count, DType type);
  /// In place: every part becomes that of its rank.
  void all_gather(void* values, std::int64_t count, DType type);
  void broadcast(void* values, std::int64_t count, DType type, int root);
  /// What is queued for computing from here on waits for all collectives so far.
  void join();

  /// A sentence when NCCL has noticed that something failed. From any thread.
  std::optional<std::string> failure() const;
  /// Ends what is queued, whatever it waits for; nothing works afterwards. From any thread, returns
  /// at once.
  void abort();

  struct State;

 private:
  std::shared_ptr<State> state_;
};

/// Which of this host's GPUs this process takes; before select_gpu(). Throws Error(device) if there
/// are not so many.
void choose_gpu(int index);
/// No two GPUs have the same; after select_gpu().
std::string gpu_identity();

}  // namespace farsight
