// Things that are costly to make, kept for whoever needs one next.
#pragma once

#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace farsight {

/// Any number of threads; as many things are made as are on loan at once.
template <class Thing>
class Spares {
 public:
  /// Gives its thing back at its end.
  class Loan {
   public:
    Loan(Spares& spares, std::unique_ptr<Thing> thing)
        : spares_(spares), thing_(std::move(thing)) {}
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() {
      std::lock_guard lock(spares_.mutex_);
      try {
        spares_.left_.push_back(std::move(thing_));
      } catch (const std::bad_alloc&) {  // then it is not kept
      }
    }
    Thing& operator*() const { return *thing_; }

   private:
    Spares& spares_;
    std::unique_ptr<Thing> thing_;
  };

  template <class Make>
  Loan take(Make make) {
    std::unique_ptr<Thing> thing;
    {
      std::lock_guard lock(mutex_);
      if (!left_.empty()) {
        thing = std::move(left_.back());
        left_.pop_back();
      }
    }
    return Loan(*this, thing ? std::move(thing) : make());
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Thing>> left_;
};

}  // namespace farsight
