// Named spans of the host's time for a profiler of the GPU: layers forwards, operations backwards,
// the parts of a training step. Without a GPU, and while no profiler is attached, they cost a test.
#pragma once

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

}  // namespace farsight
