#include "core/arena.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/check.h"

namespace farsight {
namespace {

constexpr std::int64_t kLargestBlock = std::int64_t{1} << 60;  // so that no rounding can wrap
constexpr std::int64_t kGuardBytes = Arena::kAlign;
constexpr unsigned char kGuardByte = 0xA5;
constexpr unsigned char kPoisonByte = 0xFF;

std::int64_t rounded(std::int64_t bytes) {
  return (std::max<std::int64_t>(bytes, 1) + Arena::kAlign - 1) / Arena::kAlign * Arena::kAlign;
}

void* allocate_host(std::int64_t bytes) {
  return std::aligned_alloc(Arena::kAlign, static_cast<std::size_t>(bytes));
}
void release_host(void* address, std::int64_t) {
  std::free(address);
}

/// Meta segments are address ranges that nothing may touch: far above any mapping, never reused.
void* allocate_meta(std::int64_t bytes) {
  static std::uintptr_t next = std::uintptr_t{1} << 60;
  const std::uintptr_t base = next;
  next += static_cast<std::uintptr_t>(bytes);
  return reinterpret_cast<void*>(base);
}
void release_meta(void*, std::int64_t) {}

}  // namespace

const char* name_of(Device device) {
  return device == Device::cpu ? "cpu" : device == Device::cuda ? "cuda" : "meta";
}

std::string human_bytes(std::int64_t bytes) {
  constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024.0 && unit + 1 < units.size()) {
    value /= 1024.0;
    unit++;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.2f} {}", value, units[unit]);
}

Arena::~Arena() {
  for (const auto& [base, bytes] : segments_) {
    source_.release(base, bytes);
  }
}

Arena::Blocks::iterator Arena::find_free(std::int64_t bytes) {
  const auto best = free_.lower_bound({pool_, bytes, nullptr});
  if (best == free_.end() || best->pool != pool_) return blocks_.end();
  return blocks_.find(best->base);
}

void Arena::add_segment(std::int64_t bytes) {
  std::int64_t size = std::max(bytes, source_.segment_bytes);
  void* memory = source_.allocate(size);
  if (memory == nullptr && size > bytes) {
    size = bytes;  // the last stretch of a device that is nearly full
    memory = source_.allocate(size);
  }
  if (memory == nullptr) return;
  std::byte* base = static_cast<std::byte*>(memory);
  segments_.emplace_back(base, size);
  reserved_bytes_ += size;
  const auto at =
      blocks_.insert_or_assign(base, Block{.bytes = size, .first_of_segment = true, .pool = pool_});
  free_.insert(place_of(at.first));
}

std::string Arena::explain(std::int64_t bytes, const char* name) const {
  std::string text =
      fmt::format("out of memory: '{}' needs {}, {} are in use (peak {})", name, human_bytes(bytes),
                  human_bytes(in_use_bytes_), human_bytes(peak_bytes_));
  if (limit_bytes_ > 0) text += fmt::format(", the limit is {}", human_bytes(limit_bytes_));
  std::vector<const Usage*> holders;
  for (const auto& entry : usage_) {
    if (entry.second.now_bytes > 0) holders.push_back(&entry.second);
  }
  std::sort(holders.begin(), holders.end(),
            [](const Usage* a, const Usage* b) { return a->now_bytes > b->now_bytes; });
  for (std::size_t i = 0; i < holders.size() && i < 3; i++) {
    text += fmt::format("{} {} {}", i == 0 ? "; largest holders:" : ",", holders[i]->name,
                        human_bytes(holders[i]->now_bytes));
  }
  return text + "; a smaller --train.micro_tokens needs less and changes nothing else";
}

void* Arena::allocate(std::int64_t bytes, const char* name) {
  std::lock_guard lock(mutex_);
  check(bytes >= 0 && bytes <= kLargestBlock, "arena: a block of {} bytes was asked for by '{}'",
        bytes, name);
  const bool guard = debug_.guard && reachable();
  const std::int64_t size = rounded(bytes) + (guard ? 2 * kGuardBytes : 0);
  if (limit_bytes_ != 0 && in_use_bytes_ + size > limit_bytes_) {
    fail(ExitCode::memory, "{}", explain(bytes, name));
  }
  auto at = find_free(size);
  if (at == blocks_.end()) {
    add_segment(size);
    at = find_free(size);
    if (at == blocks_.end()) fail(ExitCode::memory, "{}", explain(bytes, name));
  }
  std::byte* base = at->first;
  Block& block = at->second;
  free_.erase(place_of(at));
  if (block.bytes > size) {
    const std::int64_t rest = block.bytes - size;
    const auto left = blocks_.insert_or_assign(base + size, Block{.bytes = rest, .pool = pool_});
    free_.insert(place_of(left.first));
    block.bytes = size;
  }
  block.free = false;
  block.guarded = guard;
  block.name = name;
  block.wanted_bytes = bytes;
  in_use_bytes_ += size;
  peak_bytes_ = std::max(peak_bytes_, in_use_bytes_);
  Usage& usage = usage_[name];
  usage.now_bytes += size;
  usage.peak_bytes = std::max(usage.peak_bytes, usage.now_bytes);
  usage.blocks++;
  if (usage.name.empty()) usage.name = name;
  if (debug_.poison && reachable()) fill(base, kPoisonByte, size);
  if (guard) {
    const std::int64_t tail = size - kGuardBytes - bytes;  // rounding slack is guarded too
    fill(base, kGuardByte, kGuardBytes);
    fill(base + kGuardBytes + bytes, kGuardByte, tail);
    return base + kGuardBytes;
  }
  return base;
}

void Arena::release(void* address) {
  std::lock_guard lock(mutex_);
  std::byte* base = static_cast<std::byte*>(address);
  auto at = blocks_.find(base);
  bool owned = at != blocks_.end() && !at->second.free && !at->second.guarded;
  if (!owned) {
    at = blocks_.find(base -= kGuardBytes);
    owned = at != blocks_.end() && !at->second.free && at->second.guarded;
  }
  check(owned, "arena: released an address it does not own");
  Block& block = at->second;
  if (block.guarded) check_guard(base, block);
  in_use_bytes_ -= block.bytes;
  usage_[block.name].now_bytes -= block.bytes;
  block.free = true;
  block.guarded = false;
  const auto next = std::next(at);
  if (next != blocks_.end() && next->second.free && !next->second.first_of_segment) {
    free_.erase(place_of(next));
    block.bytes += next->second.bytes;
    blocks_.erase(next);
  }
  if (!block.first_of_segment) {
    const auto previous = std::prev(at);
    if (previous->second.free) {
      free_.erase(place_of(previous));
      previous->second.bytes += block.bytes;
      blocks_.erase(at);
      at = previous;
    }
  }
  free_.insert(place_of(at));
}

void Arena::fill(std::byte* address, unsigned char value, std::int64_t bytes) const {
  if (source_.host) {
    std::memset(address, value, static_cast<std::size_t>(bytes));
  } else {
    source_.fill(address, value, bytes);
  }
}

bool Arena::holds_guard(const std::byte* address, std::int64_t bytes) const {
  std::vector<std::byte> copy;
  if (!source_.host) {
    copy.resize(static_cast<std::size_t>(bytes));
    source_.read(copy.data(), address, bytes);
    address = copy.data();
  }
  return std::all_of(address, address + bytes,
                     [](std::byte b) { return b == std::byte{kGuardByte}; });
}

void Arena::check_guard(std::byte* base, const Block& block) const {
  const std::byte* last = base + kGuardBytes + block.wanted_bytes;
  const bool before = holds_guard(base, kGuardBytes);
  const bool after = holds_guard(last, base + block.bytes - last);
  check(before && after, "arena: something wrote {} the block '{}' of {} bytes",
        before ? "behind" : "in front of", block.name, block.wanted_bytes);
}

void Arena::check_guards() const {
  std::lock_guard lock(mutex_);
  for (const auto& [base, block] : blocks_) {
    if (!block.free && block.guarded) check_guard(base, block);
  }
}

void Arena::reset_peak() {
  std::lock_guard lock(mutex_);
  peak_bytes_ = in_use_bytes_;
  for (auto& entry : usage_) {
    entry.second.peak_bytes = entry.second.now_bytes;
  }
}

void Arena::release_unused_segments() {
  std::lock_guard lock(mutex_);
  std::erase_if(segments_, [this](const std::pair<std::byte*, std::int64_t>& segment) {
    const auto& [base, bytes] = segment;
    const auto first = blocks_.find(base);
    const Block& block = first->second;
    if (!block.free || block.bytes != bytes || block.pool != 0) return false;
    free_.erase(place_of(first));
    blocks_.erase(first);
    reserved_bytes_ -= bytes;
    source_.release(base, bytes);
    return true;
  });
}

std::vector<Arena::Usage> Arena::usage() const {
  std::lock_guard lock(mutex_);
  std::vector<Usage> all;
  for (const auto& entry : usage_) {
    all.push_back(entry.second);
  }
  std::sort(all.begin(), all.end(), [](const Usage& a, const Usage& b) {
    return a.peak_bytes != b.peak_bytes ? a.peak_bytes > b.peak_bytes : a.name < b.name;
  });
  return all;
}

std::string Arena::report(int lines) const {
  std::string text = fmt::format("{:<28} {:>12} {:>12}\n", "memory by name", "peak", "now");
  const std::vector<Usage> all = usage();
  for (std::size_t i = 0; i < all.size() && i < static_cast<std::size_t>(lines); i++) {
    text += fmt::format("{:<28} {:>12} {:>12}\n", all[i].name, human_bytes(all[i].peak_bytes),
                        human_bytes(all[i].now_bytes));
  }
  text += fmt::format("{:<28} {:>12} {:>12}\n", "all together", human_bytes(peak_bytes_),
                      human_bytes(in_use_bytes_));
  return text;
}

namespace {

/// Never destroyed: tensors with static lifetime may outlive any order of destruction.
std::array<Arena*, 3>& arenas() {
  static std::array<Arena*, 3> all = {
      new Arena({.allocate = allocate_host, .release = release_host, .host = true}), nullptr,
      new Arena({allocate_meta, release_meta, std::int64_t{1} << 50})};
  return all;
}

}  // namespace

Arena& arena(Device device) {
  Arena* found = arenas()[static_cast<std::size_t>(device)];
  require(found != nullptr, ExitCode::device, "device '{}' is not available", name_of(device));
  return *found;
}

void set_segment_source(Device device, SegmentSource source) {
  Arena*& slot = arenas()[static_cast<std::size_t>(device)];
  check(slot == nullptr || slot->segments() == 0,
        "set_segment_source: the arena of '{}' already holds memory", name_of(device));
  slot = new Arena(source);
}

}  // namespace farsight
