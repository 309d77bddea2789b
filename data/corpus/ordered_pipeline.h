// One thread reads, several work, one writes, in the order of reading: what comes out depends neither
// on the number of threads nor on which of them did what, and what is under way is bounded.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "core/check.h"

namespace farsight {

/// What is done with an Item; every one of them is made once and used again and again.
template <class Item>
struct PipelineSteps {
  std::function<bool(Item&)> read;   ///< false: there is no more. One thread, in order.
  std::function<void(Item&)> work;   ///< any thread, any order
  std::function<void(Item&)> write;  ///< the calling thread, in the order of reading
  /// Bytes, say, of an item that was read: nothing more is read while those under way have
  /// `most_weight` together. Without it, their number alone is bounded.
  std::function<std::size_t(const Item&)> weight = {};
  std::size_t most_weight = 0;
};

/// Runs everything that can be read through the three steps, with `workers` threads that work, and one
/// that reads ahead of them. With none, all is done by the calling thread. What a step throws is
/// rethrown here, the first in the order of reading, after everything before it was written.
template <class Item>
class OrderedPipeline {
 public:
  OrderedPipeline(PipelineSteps<Item> steps, int workers)
      : steps_(std::move(steps)), workers_(workers) {
    check(!steps_.weight || steps_.most_weight >= 1, "OrderedPipeline: no weight is allowed");
    check(workers >= 0, "OrderedPipeline: workers must not be negative, got {}", workers);
  }
  OrderedPipeline(const OrderedPipeline&) = delete;
  OrderedPipeline& operator=(const OrderedPipeline&) = delete;

  void run() {
    if (workers_ == 0) return run_alone();
    slots_ = std::vector<Slot>(static_cast<std::size_t>(workers_) * kSlotsOfAWorker);
    std::vector<std::thread> threads;
    try {
      threads.emplace_back([this] { read_all(); });
      for (int i = 0; i < workers_; i++) {
        threads.emplace_back([this] { work_all(); });
      }
      write_all();
    } catch (...) {
      stop();
      join(threads);
      throw;
    }
    stop();
    join(threads);
  }

 private:
  /// So many that nobody waits while a shard is written.
  static constexpr std::size_t kSlotsOfAWorker = 16;

  enum class State { free, read, taken, worked };
  struct Slot {
    Item item;
    State state = State::free;
    bool last = false;  ///< nothing was read: this is the end
    std::size_t weight = 0;
    std::exception_ptr failure;
  };

  void run_alone() {
    Item item;
    while (steps_.read(item)) {
      steps_.work(item);
      steps_.write(item);
    }
  }

  bool has_room() const { return !steps_.weight || weight_ < steps_.most_weight; }
  Slot& slot(std::size_t number) { return slots_[number % slots_.size()]; }

  /// Waits until `ready`; false when all is to stop.
  template <class Ready>
  bool wait(std::condition_variable& changed, std::unique_lock<std::mutex>& lock,
            const Ready& ready) {
    changed.wait(lock, [&] { return stopped_ || ready(); });
    return !stopped_;
  }

  void read_all() {
    for (std::size_t number = 0;; number++) {
      Slot& here = slot(number);
      {
        std::unique_lock lock(mutex_);
        const auto ready = [&] { return here.state == State::free && has_room(); };
        if (!wait(freed_, lock, ready)) return;
      }
      bool last = false;
      std::size_t weight = 0;
      std::exception_ptr failure;
      try {
        last = !steps_.read(here.item);
        if (!last && steps_.weight) weight = steps_.weight(here.item);
      } catch (...) {
        failure = std::current_exception();
      }
      std::lock_guard lock(mutex_);
      const bool end = last || failure;
      here.last = last;
      here.failure = failure;
      here.weight = weight;
      weight_ += weight;
      here.state = end ? State::worked : State::read;
      read_ = number + 1;
      if (end) {
        ended_ = true;
        was_read_.notify_all();
        worked_.notify_one();
        return;
      }
      was_read_.notify_one();
    }
  }

  void work_all() {
    std::unique_lock lock(mutex_);
    while (wait(was_read_, lock, [&] { return next_ < read_ || ended_; })) {
      if (next_ == read_) return;
      const std::size_t number = next_++;
      Slot& here = slot(number);
      if (here.state != State::read) return;  // the end
      here.state = State::taken;
      lock.unlock();
      std::exception_ptr failure;
      try {
        steps_.work(here.item);
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      here.failure = failure;
      here.state = State::worked;
      if (number == awaited_) worked_.notify_one();
    }
  }

  void write_all() {
    for (std::size_t number = 0;; number++) {
      Slot& here = slot(number);
      {
        std::unique_lock lock(mutex_);
        awaited_ = number;
        if (!wait(worked_, lock, [&] { return here.state == State::worked; })) return;
      }
      if (here.failure) std::rethrow_exception(here.failure);
      if (here.last) return;
      steps_.write(here.item);
      std::lock_guard lock(mutex_);
      weight_ -= here.weight;
      here.state = State::free;
      freed_.notify_one();
    }
  }

  void stop() {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    for (std::condition_variable* changed : {&freed_, &was_read_, &worked_}) {
      changed->notify_all();
    }
  }

  static void join(std::vector<std::thread>& threads) {
    for (std::thread& thread : threads) {
      thread.join();
    }
  }

  PipelineSteps<Item> steps_;
  int workers_;
  std::vector<Slot> slots_;
  std::size_t read_ = 0;     ///< slots that were read
  std::size_t next_ = 0;     ///< the next to be worked on
  std::size_t weight_ = 0;   ///< of what was read and is not written
  std::size_t awaited_ = 0;  ///< the one that is written next
  bool ended_ = false;       ///< nothing more is read
  bool stopped_ = false;
  std::mutex mutex_;
  // Whoever waits for something is woken by that alone: the reader by a slot that is free, those that
  // work by one that was read, the writer by the one it waits for.
  std::condition_variable freed_, was_read_, worked_;
};

}  // namespace farsight
