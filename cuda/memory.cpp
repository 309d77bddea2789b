// Device memory for core: segments of the arena, fills and copies. Everything goes through the
// compute stream, so a block that was released is reusable at once.
#include <cstring>
#include <mutex>

#include "core/arena.h"
#include "core/device_calls.h"
#include "cuda/convert.cuh"
#include "cuda/runtime.h"

namespace farsight::cuda {
namespace {

// Large, because every cudaMalloc waits for the device; plain memory, because a peer GPU can only
// reach such.
constexpr std::int64_t kSegmentBytes = std::int64_t{256} << 20;

std::size_t size(std::int64_t bytes) {
  return static_cast<std::size_t>(bytes);
}

void* allocate_segment(std::int64_t bytes) {
  void* address = nullptr;
  if (cudaMalloc(&address, size(bytes)) == cudaSuccess) return address;
  static_cast<void>(cudaGetLastError());  // the arena explains it better
  return nullptr;
}
void release_segment(void* address, std::int64_t) {
  succeeded(cudaFree(address), "cudaFree");
}

void fill(ByteRows to, unsigned char value, std::int64_t bytes, std::int64_t rows) {
  if (bytes == 0 || rows == 0) return;
  const cudaError_t status = rows == 1 ? cudaMemsetAsync(to.address, value, size(bytes), stream())
                                       : cudaMemset2DAsync(to.address, size(to.stride), value,
                                                           size(bytes), size(rows), stream());
  succeeded(status, "cudaMemsetAsync");
}

void copy(ByteRows to, ByteRows from, std::int64_t bytes, std::int64_t rows) {
  if (bytes == 0 || rows == 0) return;
  const cudaError_t status =
      rows == 1 ? cudaMemcpyAsync(to.address, from.address, size(bytes), cudaMemcpyDeviceToDevice,
                                  stream())
                : cudaMemcpy2DAsync(to.address, size(to.stride), from.address, size(from.stride),
                                    size(bytes), size(rows), cudaMemcpyDeviceToDevice, stream());
  succeeded(status, "cudaMemcpyAsync");
}

/// Page-locked memory on the way up. From pageable memory cudaMemcpyAsync would wait for everything
/// computed before; from here it does not, and the host goes on at once. Two halves: one is filled
/// while the other may still be read.
class Staging {
 public:
  void upload(void* to, const void* from, std::int64_t bytes) {
    const std::lock_guard lock(mutex_);
    if (memory_ == nullptr) prepare();
    std::byte* target = static_cast<std::byte*>(to);
    const std::byte* source = static_cast<const std::byte*>(from);
    while (bytes > 0) {
      const std::int64_t piece = bytes < kHalf ? bytes : kHalf;
      if (used_ + piece > kHalf) change_half();
      std::byte* place = memory_ + half_ * kHalf + used_;
      std::memcpy(place, source, size(piece));
      succeeded(cudaMemcpyAsync(target, place, size(piece), cudaMemcpyHostToDevice, stream()),
                "cudaMemcpyAsync");
      used_ += (piece + 63) / 64 * 64;
      source += piece;
      target += piece;
      bytes -= piece;
    }
  }

 private:
  static constexpr std::int64_t kHalf = std::int64_t{4} << 20;

  void prepare() {
    void* address = nullptr;
    succeeded(cudaHostAlloc(&address, size(2 * kHalf), cudaHostAllocDefault), "cudaHostAlloc");
    memory_ = static_cast<std::byte*>(address);
    for (cudaEvent_t& event : read_) {
      succeeded(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
    }
  }

  void change_half() {
    succeeded(cudaEventRecord(read_[half_], stream()), "cudaEventRecord");
    half_ = 1 - half_;
    used_ = 0;
    // An event that was never recorded counts as done.
    succeeded(cudaEventSynchronize(read_[half_]), "cudaEventSynchronize");
  }

  std::mutex mutex_;
  std::byte* memory_ = nullptr;
  cudaEvent_t read_[2] = {};
  int half_ = 0;
  std::int64_t used_ = 0;
};

void upload(void* to, const void* from, std::int64_t bytes) {
  static Staging staging;
  staging.upload(to, from, bytes);
}

void synchronize() {
  succeeded(cudaStreamSynchronize(stream()), "cudaStreamSynchronize");
}

void download(void* to, const void* from, std::int64_t bytes) {
  if (bytes == 0) return;
  succeeded(cudaMemcpyAsync(to, from, size(bytes), cudaMemcpyDeviceToHost, stream()),
            "cudaMemcpyAsync");
  synchronize();
}

void* pinned(std::int64_t bytes) {
  void* address = nullptr;
  succeeded(cudaHostAlloc(&address, size(bytes), cudaHostAllocDefault), "cudaHostAlloc");
  return address;
}

/// One event a fetch, taken in turn: when its turn comes again, an event says later than it must
/// that a fetch has arrived, never earlier.
cudaEvent_t arrival(std::uint64_t fetched) {
  constexpr std::size_t kEvents = 16;
  static cudaEvent_t events[kEvents] = {};
  cudaEvent_t& event = events[fetched % kEvents];
  if (event == nullptr) {
    succeeded(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
  }
  return event;
}

std::uint64_t fetch(void* to, const void* from, std::int64_t bytes) {
  static std::uint64_t count = 0;
  succeeded(cudaMemcpyAsync(to, from, size(bytes), cudaMemcpyDeviceToHost, stream()),
            "cudaMemcpyAsync");
  succeeded(cudaEventRecord(arrival(++count), stream()), "cudaEventRecord");
  return count;
}

void wait(std::uint64_t fetched) {
  succeeded(cudaEventSynchronize(arrival(fetched)), "cudaEventSynchronize");
}

void fill_block(void* address, unsigned char value, std::int64_t bytes) {
  fill({address, bytes}, value, bytes, 1);
}

void convert_rows(ByteRows to, DType to_type, ByteRows from, DType from_type, std::int64_t columns,
                  std::int64_t rows) {
  convert({.from = from.address,
           .to = to.address,
           .from_stride = from.stride / size_of(from_type),
           .to_stride = to.stride / size_of(to_type),
           .rows = rows,
           .columns = columns,
           .from_type = from_type,
           .to_type = to_type});
}

}  // namespace

void install_memory() {
  set_segment_source(Device::cuda, {.allocate = allocate_segment,
                                    .release = release_segment,
                                    .segment_bytes = kSegmentBytes,
                                    .fill = fill_block,
                                    .read = download});
  set_device_calls({.fill = fill,
                    .copy = copy,
                    .convert = convert_rows,
                    .upload = upload,
                    .download = download,
                    .synchronize = synchronize,
                    .mark = mark,
                    .elapsed_ms = elapsed_ms,
                    .pinned = pinned,
                    .fetch = fetch,
                    .wait = wait,
                    .copy_out = copy_out,
                    .hold_for_copies = hold_for_copies,
                    .wait_for_copies = wait_for_copies,
                    .begin_graph = begin_graph,
                    .end_graph = end_graph,
                    .start_graph = start_graph,
                    .release_graph = release_graph});
}

}  // namespace farsight::cuda
