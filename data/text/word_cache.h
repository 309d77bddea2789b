// The tokens of words seen before. Most words of a text are repetitions, so that most are looked up
// here and never merged. Of fixed size: a new word takes the place of an old one.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace farsight {

class WordCache {
 public:
  static constexpr std::size_t kMostBytes = 15;  ///< of a word
  static constexpr std::size_t kMostTokens = 4;

  /// A word: its bytes, zeros, its length.
  struct Key {
    std::uint64_t low, high;
    bool operator==(const Key&) const = default;
  };
  /// 1 <= `bytes` <= kMostBytes; 16 bytes can be read at `word`.
  static Key key_of_readable(const char* word, std::size_t bytes) {
    Key key;
    std::memcpy(&key.low, word, 8);
    std::memcpy(&key.high, word + 8, 8);
    const Key& mask = kMasks[bytes];
    return {key.low & mask.low, (key.high & mask.high) | std::uint64_t{bytes} << 56};
  }
  static Key key_of(const char* word, std::size_t bytes) {
    char padded[16] = {};
    std::memcpy(padded, word, bytes);
    return key_of_readable(padded, bytes);
  }

  WordCache() : buckets_(kBuckets) {}

  /// Asks the processor for what find() will look at: it takes longer to come than the rest of a
  /// word takes.
  void prefetch(const Key& key) const { __builtin_prefetch(&buckets_[bucket_of(key)]); }

  /// Writes the word's tokens to `out`, which has room for kMostTokens; returns how many there are, 0
  /// for a word that is not here.
  std::size_t find(const Key& key, std::int32_t* out) const {
    for (const Entry& entry : buckets_[bucket_of(key)].entries) {
      if (entry.key == key) {
        std::memcpy(out, entry.tokens.data(), sizeof(entry.tokens));
        const std::size_t count = static_cast<std::uint32_t>(out[0]) >> kCountShift;
        out[0] &= kIdMask;
        return count;
      }
    }
    return 0;
  }

  /// 1 to kMostTokens tokens. The older word of the bucket goes.
  void put(const Key& key, std::span<const std::int32_t> tokens) {
    auto& bucket = buckets_[bucket_of(key)].entries;
    bucket[1] = bucket[0];
    bucket[0].key = key;
    std::copy(tokens.begin(), tokens.end(), bucket[0].tokens.begin());
    bucket[0].tokens[0] |= static_cast<std::int32_t>(tokens.size() << kCountShift);
  }

 private:
  static constexpr int kLogBuckets = 16;  // 4 MiB
  static constexpr std::size_t kBuckets = std::size_t{1} << kLogBuckets;
  static constexpr int kCountShift = 24;  // above the 20 bits of an id, in the first
  static constexpr std::int32_t kIdMask = (1 << kCountShift) - 1;

  struct Entry {
    Key key{};  // zero: none, for no word has the length 0
    std::array<std::int32_t, kMostTokens> tokens{};
  };
  struct alignas(64) Bucket {  // one line of the processor's cache
    std::array<Entry, 2> entries;
  };

  static constexpr std::array<Key, kMostBytes + 1> kMasks = [] {
    std::array<Key, kMostBytes + 1> masks{};
    for (std::size_t bytes = 0; bytes <= kMostBytes; bytes++) {
      const auto ones = [](std::size_t n) {
        return n >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * n) - 1;
      };
      masks[bytes] = {ones(bytes), bytes <= 8 ? 0 : ones(bytes - 8)};
    }
    return masks;
  }();

  static std::size_t bucket_of(const Key& key) {
    std::uint64_t h = (key.low ^ key.high >> 29) * 0x9E3779B97F4A7C15u + key.high;
    h = (h ^ h >> 32) * 0xD6E8FEB86659FD93u;
    return static_cast<std::size_t>(h >> (64 - kLogBuckets));
  }

  std::vector<Bucket> buckets_;
};

}  // namespace farsight
