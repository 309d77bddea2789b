// Where the time of training steps goes: every operation, forwards and backwards, with the bytes it
// cannot do without and how near it comes to the time these take.
//
//   floor = max(bytes / copy rate, FLOPs / matrix product rate), both rates measured (device_limits.h)
//   percent of floor = 100 floor / time
//
// An operation's time is that from the end of the one before to its own: on a GPU by events of the
// compute stream, on the CPU by the clock. Steps are started without graphs meanwhile.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/arena.h"
#include "core/trace.h"
#include "train/operations/device_limits.h"

namespace farsight {

class Profile {
 public:
  /// The next `steps` steps after the first `kWarmUp`. At most one at a time measures.
  static constexpr std::int64_t kWarmUp = 3;
  Profile(Device device, std::int64_t steps, const DeviceLimits& limits);
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;
  ~Profile();

  /// Around everything that is asked for a step. The second waits for it.
  void begin_step();
  void end_step();
  /// All steps were measured, and the table has not been written yet.
  bool due() const { return steps_ > 0 && measured_ == steps_ && !written_; }
  bool wanted() const { return steps_ > 0 && measured_ < steps_; }

  /// RUN/profile.md and RUN/profile.json. Throws Error(storage).
  void write(const std::filesystem::path& run);

  struct Line {
    std::string operation;  ///< without its layer
    Pass pass = Pass::forward;
    std::int64_t calls = 0;  ///< of all measured steps
    double seconds = 0, bytes = 0, flops = 0;
  };
  /// The longest first.
  std::vector<Line> lines() const;

 private:
  static void note(std::string_view name, Pass pass, const LeastWork& work);
  struct Event {
    std::string operation;
    Pass pass;
    LeastWork work;
    double at = 0;  ///< the host's clock; on a GPU the moment has the index of the event plus one
  };

  Device device_;
  std::int64_t steps_, seen_ = 0, measured_ = 0;
  DeviceLimits limits_;
  std::vector<Event> events_;
  double began_ = 0;
  bool written_ = false;
  std::map<std::pair<std::string, Pass>, Line> table_;
};

}  // namespace farsight
