// Where time goes, for whoever looks: named spans for a profiler of the GPU (layers forwards,
// operations backwards), and the end of every operation for a table of ours. While nobody looks they
// cost a test.
#pragma once

#include <cstdint>
#include <string_view>

namespace farsight {

struct SpanCalls {
  void (*begin)(const char* name) = nullptr;
  void (*end)() = nullptr;
};
/// Set by select_gpu() (cuda/runtime.cpp); empty before.
inline SpanCalls span_calls;

class TraceSpan {
 public:
  explicit TraceSpan(const char* name) : open_(span_calls.begin != nullptr) {
    if (open_) span_calls.begin(name);
  }
  ~TraceSpan() {
    if (open_) span_calls.end();
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  bool open_;
};

/// What an operation cannot do without: bytes that move (its inputs read and its outputs written,
/// once each) and, for a matrix product, multiply-adds, which count two.
struct LeastWork {
  std::int64_t bytes = 0;
  double flops = 0;
};
enum class Pass : std::uint8_t { forward, backward, update };

/// Called when an operation has been asked for: whatever was asked for since the call before belongs
/// to it. `name` is "layer 3, selective_scan". Set while a profile is taken
/// (train/operations/profile.h); null otherwise.
inline void (*operation_done)(std::string_view name, Pass pass, const LeastWork& work) = nullptr;

}  // namespace farsight
