// The memory of tensors: best fit with coalescing over large segments, every block named.
//
// One arena a device. Blocks are 64-byte aligned and rounded up to 64 bytes; a freed block is
// reusable at once (one thread, or one stream, computes). `peak_bytes` counts rounded blocks, so
// the meta arena of a dry run, which hands out addresses without memory behind them, counts exactly
// what the real run will.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace farsight {

enum class Device : std::uint8_t {
  cpu,
  cuda,
  meta  ///< shapes and byte counts only: plans a run without computing it
};
const char* name_of(Device device);

/// Where an arena gets its segments. `allocate` returns null when there is no memory left.
struct SegmentSource {
  void* (*allocate)(std::int64_t bytes) = nullptr;
  void (*release)(void* address, std::int64_t bytes) = nullptr;
  std::int64_t segment_bytes = std::int64_t{64} << 20;  ///< asked for at least this much at a time
  bool host = false;                                    ///< the CPU may touch it

  // How guards and poison reach memory that the CPU may not touch; null: they do not.
  void (*fill)(void* address, unsigned char value, std::int64_t bytes) = nullptr;
  void (*read)(void* to, const void* address, std::int64_t bytes) = nullptr;
};

class Arena {
 public:
  static constexpr std::int64_t kAlign = 64;

  /// Guard zones and poison, for tests: writes outside a block and reads of what nobody wrote.
  struct Debug {
    bool guard = false;   ///< 64 bytes of pattern on both sides of every new block
    bool poison = false;  ///< new blocks are filled with 0xFF: NaN in every float type
  };

  struct Usage {
    std::string name;
    std::int64_t now_bytes = 0, peak_bytes = 0, blocks = 0;
  };

  explicit Arena(SegmentSource source) : source_(source) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  /// Never null; throws Error(memory) naming the block, its bytes, the bytes in use and the largest
  /// holders. `name` must outlive the arena (a string literal).
  void* allocate(std::int64_t bytes, const char* name);
  void release(void* address);

  std::int64_t in_use_bytes() const { return in_use_bytes_; }
  std::int64_t peak_bytes() const { return peak_bytes_; }
  std::int64_t reserved_bytes() const { return reserved_bytes_; }
  /// Segments asked of the device so far: constant after the first training step.
  std::int64_t segments() const { return static_cast<std::int64_t>(segments_.size()); }
  void reset_peak();

  /// From here on blocks come from segments of this pool alone (0 at first), and go back to it when
  /// they are released. The blocks of a captured graph are used again whenever it is started, at
  /// times when the arena has long given them back: they have a pool to themselves.
  void use_pool(int pool) { pool_ = pool; }
  /// Gives segments that hold no block back to the device: between two uses of very different sizes.
  /// Those of a pool other than 0 stay: a graph may still use them.
  void release_unused_segments();

  /// Refuse to hold more than this (0: no limit): a fake small device for tests, or a user's cap.
  void set_limit(std::int64_t bytes) { limit_bytes_ = bytes; }
  void set_debug(Debug debug) { debug_ = debug; }
  /// Throws if a guard zone of a live block was written to, naming the block and the side.
  void check_guards() const;

  /// Holders by name, largest peak first.
  std::vector<Usage> usage() const;
  std::string report(int lines = 12) const;

 private:
  struct Block {
    std::int64_t bytes = 0;  ///< rounded, guards included
    bool free = true;
    bool guarded = false;
    bool first_of_segment = false;
    const char* name = "";
    std::int64_t wanted_bytes = 0;
    int pool = 0;
  };
  using Blocks = std::map<std::byte*, Block>;
  /// A free block, ordered by pool, size and address: best fit first.
  struct Place {
    int pool = 0;
    std::int64_t bytes = 0;
    std::byte* base = nullptr;
    auto operator<=>(const Place&) const = default;
  };
  static Place place_of(Blocks::const_iterator block) {
    return {block->second.pool, block->second.bytes, block->first};
  }

  Blocks::iterator find_free(std::int64_t bytes);
  void add_segment(std::int64_t bytes);
  bool reachable() const { return source_.host || source_.fill != nullptr; }
  void fill(std::byte* address, unsigned char value, std::int64_t bytes) const;
  bool holds_guard(const std::byte* address, std::int64_t bytes) const;
  void check_guard(std::byte* base, const Block& block) const;
  std::string explain(std::int64_t bytes, const char* name) const;

  SegmentSource source_;
  mutable std::mutex mutex_;
  Blocks blocks_;
  std::set<Place> free_;
  std::vector<std::pair<std::byte*, std::int64_t>> segments_;
  std::map<std::string_view, Usage> usage_;
  std::int64_t in_use_bytes_ = 0, peak_bytes_ = 0, reserved_bytes_ = 0, limit_bytes_ = 0;
  int pool_ = 0;
  Debug debug_;
};

/// The arena of a device. The CUDA backend installs its own with `set_segment_source` before the
/// first allocation.
Arena& arena(Device device);
void set_segment_source(Device device, SegmentSource source);

/// "1.25 GiB", "640 KiB": for people.
std::string human_bytes(std::int64_t bytes);

}  // namespace farsight
