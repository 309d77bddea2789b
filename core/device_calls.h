// The GPU as everything above cuda/ sees it: whether there is one, and how its memory is filled and
// copied. No CUDA header is needed here: the runtime (cuda/memory.cpp) hands in a table of functions
// when a GPU is selected.
#pragma once

#include <cstdint>
#include <string>

#include "core/dtype.h"

namespace farsight {

/// A block of rows: `bytes` in each, `stride` bytes from one to the next.
struct ByteRows {
  void* address = nullptr;
  std::int64_t stride = 0;
};

/// Everything is ordered on the one stream that computes; only `download`, `wait`,
/// `synchronize` and `elapsed_ms` wait.
struct DeviceCalls {
  /// Every byte of `rows` rows becomes `value`.
  void (*fill)(ByteRows to, unsigned char value, std::int64_t bytes, std::int64_t rows) = nullptr;
  /// Within the device.
  void (*copy)(ByteRows to, ByteRows from, std::int64_t bytes, std::int64_t rows) = nullptr;
  /// Within the device, each element converted (f32 and bf16).
  void (*convert)(ByteRows to, DType to_type, ByteRows from, DType from_type, std::int64_t columns,
                  std::int64_t rows) = nullptr;
  /// From the host, which may reuse its bytes at once.
  void (*upload)(void* to, const void* from, std::int64_t bytes) = nullptr;
  /// To the host, when everything before has been computed.
  void (*download)(void* to, const void* from, std::int64_t bytes) = nullptr;
  void (*synchronize)() = nullptr;
  /// Moments on the device's own clock, numbered from 0: `mark` puts one behind everything queued so
  /// far, `elapsed_ms` waits for the later of two and gives the milliseconds between them.
  void (*mark)(int moment) = nullptr;
  double (*elapsed_ms)(int from, int to) = nullptr;

  /// Host memory that the device writes to by itself; never given back.
  void* (*pinned)(std::int64_t bytes) = nullptr;
  /// To such memory, in its turn; `wait` with the number that this returns waits for its arrival.
  std::uint64_t (*fetch)(void* to, const void* from, std::int64_t bytes) = nullptr;
  void (*wait)(std::uint64_t fetched) = nullptr;

  // Large copies to such memory, of what is there when everything queued so far is done, beside what
  // is queued later: it must not change what they read before `hold_for_copies`, from which on the
  // device's own queue waits for them. `wait_for_copies` waits on the host, on any thread.
  void (*copy_out)(void* to, const void* from, std::int64_t bytes) = nullptr;
  void (*hold_for_copies)() = nullptr;
  void (*wait_for_copies)() = nullptr;

  // Launches between these two are not computed but kept, with their arguments, as a graph that one
  // call starts again. Nothing may be waited for or uploaded in between.
  bool (*begin_graph)() = nullptr;  ///< false: launches are waited for (FARSIGHT_SYNC)
  void* (*end_graph)() = nullptr;  ///< null: something in between cannot be kept
  void (*start_graph)(void* graph) = nullptr;
  void (*release_graph)(void* graph) = nullptr;
};

/// Throws Error(device) while no GPU is selected.
const DeviceCalls& device_calls();
void set_device_calls(const DeviceCalls& calls);

// ---- defined in cuda/runtime.cpp -------------------------------------------------------------------

#if FARSIGHT_CUDA
/// Whether this build can compute on this machine's (first visible) GPU; if not, `why` is a sentence.
bool gpu_available(std::string* why = nullptr);
/// GPUs that CUDA shows this process, whether or not they can be used.
int gpu_count();
/// Makes Device::cuda usable: streams, arena, memory calls. Throws Error(device) with the sentence
/// of gpu_available. Calling it again changes nothing.
void select_gpu();
/// "NVIDIA H100 80GB HBM3"; only after select_gpu().
std::string gpu_name();
#else
inline bool gpu_available(std::string* why = nullptr) {
  if (why != nullptr) *why = "this build has no CUDA";
  return false;
}
inline int gpu_count() {
  return 0;
}
void select_gpu();
inline std::string gpu_name() {
  return {};
}
#endif

}  // namespace farsight
