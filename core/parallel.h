// Parallel loops whose results do not depend on the number of threads: the caller cuts the work
// into tasks by the shapes alone; which thread runs a task is left open, what a task computes is
// not.
#pragma once

#include <cstdint>
#include <type_traits>

namespace farsight {

/// Threads used by parallel_for, the caller included. Set by set_threads, else FARSIGHT_THREADS,
/// else the processors this process may run on.
int threads();
/// Takes effect at the next parallel_for. `count` >= 1; must not be called from inside a task.
void set_threads(int count);

namespace detail {
using Task = void (*)(void* context, std::int64_t index);
void run_tasks(std::int64_t count, Task task, void* context);
}  // namespace detail

/// Runs body(0) ... body(count - 1), each once, in any order, on any thread; returns when all are
/// done. The first exception thrown by a body is rethrown here. A nested call runs serially.
template <class Body>
void parallel_for(std::int64_t count, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  detail::run_tasks(
      count, [](void* context, std::int64_t index) { (*static_cast<Plain*>(context))(index); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

/// Runs body(begin, end) over [0, count) in blocks of `grain`.
template <class Body>
void parallel_blocks(std::int64_t count, std::int64_t grain, Body&& body) {
  parallel_for((count + grain - 1) / grain, [&](std::int64_t block) {
    const std::int64_t begin = block * grain;
    const std::int64_t end = begin + grain < count ? begin + grain : count;
    body(begin, end);
  });
}

}  // namespace farsight
