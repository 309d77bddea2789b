#include "core/parallel.h"

#include <sched.h>

#include <atomic>
#include <charconv>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/check.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace farsight {
namespace {

int default_threads() {
  if (const char* text = std::getenv("FARSIGHT_THREADS"); text != nullptr && *text != '\0') {
    int count = 0;
    const char* end = text + std::strlen(text);
    const auto [rest, error] = std::from_chars(text, end, count);
    require(error == std::errc() && rest == end && count >= 1 && count <= 1024, ExitCode::usage,
            "FARSIGHT_THREADS must be a number from 1 to 1024, got '{}'", text);
    return count;
  }
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return CPU_COUNT(&allowed);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

/// Workers wait for a new generation, spinning briefly first: a training step of a small model is
/// hundreds of loops of some 50 microseconds, and a sleep and a wake-up would cost as much again.
class Pool {
 public:
  explicit Pool(int count) {
    for (int i = 1; i < count; i++) {
      workers_.emplace_back([this] { serve(); });
    }
  }
  ~Pool() {
    stop_.store(true);
    announce();
    for (std::thread& worker : workers_) {
      worker.join();
    }
  }

  void run(std::int64_t count, detail::Task task, void* context) {
    task_ = task;
    context_ = context;
    count_ = count;
    failure_ = nullptr;
    next_.store(0, std::memory_order_relaxed);
    busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    announce();
    drain();
    for (int spin = 0; busy_.load(std::memory_order_acquire) != 0; spin++) {
      spin < kSpins ? relax() : std::this_thread::yield();
    }
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  static constexpr int kSpins = 4000;  // about 50 microseconds

  void announce() {
    {
      std::lock_guard lock(mutex_);
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
  }

  void serve() {
    std::uint64_t seen = 0;
    while (true) {
      for (int spin = 0; spin < kSpins && generation_.load(std::memory_order_acquire) == seen;
           spin++) {
        relax();
      }
      if (generation_.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
      }
      seen++;
      if (stop_.load()) return;
      drain();
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  void drain();

  std::vector<std::thread> workers_;
  detail::Task task_ = nullptr;
  void* context_ = nullptr;
  std::int64_t count_ = 0;
  std::exception_ptr failure_;
  std::atomic<std::int64_t> next_{0};
  std::atomic<int> busy_{0};
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> generation_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
};

thread_local bool inside_task = false;

void Pool::drain() {
  inside_task = true;
  while (true) {
    const std::int64_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index >= count_) break;
    try {
      task_(context_, index);
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      next_.store(count_, std::memory_order_relaxed);
    }
  }
  inside_task = false;
}

std::atomic<int> wanted_threads{0};  // 0: not decided yet; read from inside tasks too
std::unique_ptr<Pool> pool;
std::mutex pool_mutex;  // one loop at a time: two host threads may both compute

}  // namespace

int threads() {
  int count = wanted_threads.load();
  if (count == 0) {
    const int decided = default_threads();
    if (wanted_threads.compare_exchange_strong(count, decided)) count = decided;
  }
  return count;
}

void set_threads(int count) {
  check(count >= 1, "set_threads: count must be at least 1, got {}", count);
  check(!inside_task, "set_threads: called from inside a parallel loop");
  std::lock_guard lock(pool_mutex);
  if (count == wanted_threads) return;
  wanted_threads = count;
  pool.reset();
}

void detail::run_tasks(std::int64_t count, Task task, void* context) {
  if (count <= 0) return;
  if (count == 1 || inside_task) {
    for (std::int64_t i = 0; i < count; i++) {
      task(context, i);
    }
    return;
  }
  std::lock_guard lock(pool_mutex);
  if (!pool) pool = std::make_unique<Pool>(threads());
  pool->run(count, task, context);
}

}  // namespace farsight
