// core/device_ranks.h by NCCL: one communicator a process, which never blocks the host, on a stream
// of higher priority than the one that computes, so that its few blocks get their turn.
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>

#include "core/check.h"
#include "core/clock.h"
#include "core/device_ranks.h"
#include "cuda/nccl_functions.h"
#include "cuda/runtime.h"

namespace farsight {
namespace {

using cuda::kNcclInProgress;
using cuda::kNcclSuccess;
using cuda::NcclComm;
using cuda::NcclFunctions;
using cuda::NcclResult;
using cuda::succeeded;

const NcclFunctions& functions() {
  std::string why;
  const NcclFunctions* found = cuda::nccl(&why);
  require(found != nullptr, ExitCode::device, "{}", why);
  return *found;
}

cuda::NcclType type_of(DType type) {
  check(type == DType::f32 || type == DType::f64, "ranks: cannot sum {}", name_of(type));
  return type == DType::f32 ? cuda::kNcclFloat32 : cuda::kNcclFloat64;
}

std::size_t size(std::int64_t count) {
  return static_cast<std::size_t>(count);
}

}  // namespace

/// Kept alive by whoever aborts, too.
struct DeviceRanks::State {
  const NcclFunctions& nccl = functions();
  int rank = 0, world = 1;
  NcclComm* comm = nullptr;
  std::mutex mutex;  // around every call: abort() comes from another thread
  std::atomic<bool> aborted = false;
  cudaStream_t stream = nullptr;
  cudaEvent_t computed = nullptr, reduced = nullptr;

  std::string text_of(NcclResult result) const {
    const char* detail = nccl.last_error(comm);
    const bool has_detail = detail != nullptr && *detail != '\0';
    return fmt::format("NCCL: {}{}{}", nccl.error_string(result), has_detail ? ": " : "",
                       has_detail ? detail : "");
  }

  /// Waits until a call has been taken up, which the first ones need the other ranks for.
  void settle(NcclResult result, double until) {
    while (true) {
      require(!aborted, ExitCode::peer, "another rank was lost");
      require(result == kNcclSuccess || result == kNcclInProgress, ExitCode::device, "{}",
              text_of(result));
      if (result == kNcclSuccess) return;
      require(seconds_now() < until, ExitCode::peer,
              "NCCL: the other ranks' GPUs did not answer in time");
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      const std::lock_guard lock(mutex);
      if (aborted) continue;
      NcclResult progress = kNcclSuccess;
      const NcclResult asked = nccl.async_error(comm, &progress);
      result = asked == kNcclSuccess ? progress : asked;
    }
  }

  /// A collective behind everything computed so far.
  template <class Call>
  void queue(const Call& call) {
    succeeded(cudaEventRecord(computed, cuda::stream()), "cudaEventRecord");
    succeeded(cudaStreamWaitEvent(stream, computed, 0), "cudaStreamWaitEvent");
    NcclResult result = kNcclSuccess;
    {
      const std::lock_guard lock(mutex);
      require(!aborted, ExitCode::peer, "another rank was lost");
      result = call();
    }
    constexpr double kConnectSeconds = 120;  // the first of its kind connects the GPUs
    settle(result, seconds_now() + kConnectSeconds);
  }
};

bool nccl_available(std::string* why) {
  return cuda::nccl(why) != nullptr;
}

std::string nccl_version() {
  int version = 0;
  functions().get_version(&version);
  return fmt::format("{}.{}.{}", version / 10000, version % 10000 / 100, version % 100);
}

DeviceRanks::Id DeviceRanks::new_id() {
  cuda::NcclId made;
  const NcclResult result = functions().get_unique_id(&made);
  require(result == kNcclSuccess, ExitCode::device, "NCCL: {}", functions().error_string(result));
  Id id;
  static_assert(sizeof id == sizeof made);
  std::memcpy(id.data(), &made, sizeof made);
  return id;
}

DeviceRanks::DeviceRanks(const Id& id, int rank, int world, double seconds)
    : state_(std::make_shared<State>()) {
  State& s = *state_;
  s.rank = rank;
  s.world = world;
  int least = 0, greatest = 0;
  succeeded(cudaDeviceGetStreamPriorityRange(&least, &greatest), "cudaDeviceGetStreamPriority");
  succeeded(cudaStreamCreateWithPriority(&s.stream, cudaStreamNonBlocking, greatest),
            "cudaStreamCreate");
  for (cudaEvent_t* event : {&s.computed, &s.reduced}) {
    succeeded(cudaEventCreateWithFlags(event, cudaEventDisableTiming), "cudaEventCreate");
  }
  cuda::NcclId given;
  std::memcpy(&given, id.data(), sizeof given);
  cuda::NcclConfig config;
  const NcclResult result = s.nccl.init_rank(&s.comm, world, given, rank, &config);
  s.settle(result, seconds_now() + seconds);
}

DeviceRanks::~DeviceRanks() {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  if (s.aborted || s.comm == nullptr) return;  // the process is about to end
  // Without finalize(), which waits for the others: all collectives have been waited for.
  static_cast<void>(cudaStreamSynchronize(s.stream));
  s.nccl.abort(s.comm);
  s.aborted = true;
  static_cast<void>(cudaEventDestroy(s.computed));
  static_cast<void>(cudaEventDestroy(s.reduced));
  static_cast<void>(cudaStreamDestroy(s.stream));
}

void DeviceRanks::all_reduce(void* values, std::int64_t count, DType type) {
  State& s = *state_;
  s.queue([&] {
    return s.nccl.all_reduce(values, values, size(count), type_of(type), cuda::kNcclSum, s.comm,
                             s.stream);
  });
}

void DeviceRanks::reduce_scatter(void* values, std::int64_t count, DType type) {
  State& s = *state_;
  std::byte* own = static_cast<std::byte*>(values) + s.rank * count * size_of(type);
  s.queue([&] {
    return s.nccl.reduce_scatter(values, own, size(count), type_of(type), cuda::kNcclSum, s.comm,
                                 s.stream);
  });
}

void DeviceRanks::all_gather(void* values, std::int64_t count, DType type) {
  State& s = *state_;
  const std::byte* own = static_cast<std::byte*>(values) + s.rank * count * size_of(type);
  s.queue(
      [&] { return s.nccl.all_gather(own, values, size(count), type_of(type), s.comm, s.stream); });
}

void DeviceRanks::broadcast(void* values, std::int64_t count, DType type, int root) {
  State& s = *state_;
  s.queue([&] {
    return s.nccl.broadcast(values, values, size(count), type_of(type), root, s.comm, s.stream);
  });
}

void DeviceRanks::join() {
  State& s = *state_;
  succeeded(cudaEventRecord(s.reduced, s.stream), "cudaEventRecord");
  succeeded(cudaStreamWaitEvent(cuda::stream(), s.reduced, 0), "cudaStreamWaitEvent");
}

std::optional<std::string> DeviceRanks::failure() const {
  State& s = *state_;
  // Whoever has it is at work, and says what fails.
  const std::unique_lock lock(s.mutex, std::try_to_lock);
  if (!lock || s.aborted || s.comm == nullptr) return std::nullopt;
  NcclResult result = kNcclSuccess;
  if (s.nccl.async_error(s.comm, &result) != kNcclSuccess) return std::nullopt;
  if (result == kNcclSuccess || result == kNcclInProgress) return std::nullopt;
  return s.text_of(result);
}

void DeviceRanks::abort() {
  if (state_->aborted.exchange(true)) return;
  // It may wait for kernels; whoever calls has a process to end.
  std::thread([state = state_] {
    const std::lock_guard lock(state->mutex);
    if (state->comm != nullptr) state->nccl.abort(state->comm);
  }).detach();
}

}  // namespace farsight
