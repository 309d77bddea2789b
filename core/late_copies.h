// Small results on their way from a device to the host, which goes on working meanwhile and takes
// them when they have arrived, first come first served.
//
//   LateCopies copies({2}, device);        // what is sent together: here one tensor of two numbers
//   copies.send({&tally});                 // as it is when everything queued so far is done
//   ... launch the next step ...
//   std::vector<double> numbers = copies.receive();
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "core/tensor.h"

namespace farsight {

class LateCopies {
 public:
  static constexpr int kMost = 4;  ///< under way at once

  /// `counts`: elements of each f64 tensor that is sent.
  LateCopies(std::vector<std::int64_t> counts, Device device);

  /// Dense f64 tensors of these counts. Throws Error(internal) when kMost are under way.
  void send(std::initializer_list<const Tensor*> tensors);
  /// The oldest that was sent, its tensors one after the other; waits for it.
  std::vector<double> receive();
  int under_way() const { return static_cast<int>(sent_.size()); }

 private:
  struct Sent {
    std::int64_t place = 0;     ///< in memory_, in doubles
    std::uint64_t arrival = 0;  ///< what DeviceCalls::wait takes
  };

  std::vector<std::int64_t> counts_;
  Device device_;
  std::int64_t each_ = 0;  ///< doubles of one sending
  std::vector<double> own_;
  double* memory_ = nullptr;  ///< own_, or page-locked memory
  int next_ = 0;
  std::deque<Sent> sent_;
};

}  // namespace farsight
