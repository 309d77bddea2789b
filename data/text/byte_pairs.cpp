#include "data/text/byte_pairs.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <queue>

namespace farsight {
namespace {

constexpr int kRankBits = 21;
constexpr std::uint64_t kRankMask = (std::uint64_t{1} << kRankBits) - 1;
// Words of at most this many bytes are merged by looking at all their pairs again and again, which
// for them is quicker than a queue.
constexpr std::size_t kShort = 32;
constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
static_assert(TokenizerFile::kMostMerges <= kRankMask + 1);
static_assert(TokenizerFile::kMostTokens <= std::size_t{1} << 20);

std::uint64_t pair_of(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 20 | static_cast<std::uint32_t>(right);
}

}  // namespace

BytePairs::BytePairs(const TokenizerFile& file) : bytes_(file.bytes) {
  // At most half full: a pair that is not there, the usual case, is known by one or two slots.
  const std::size_t count = std::bit_ceil(2 * file.merges.size() + 2);
  shift_ = 64 - std::countr_zero(count);
  slots_.assign(count, kEmpty);
  for (const TokenizerFile::Merge& merge : file.merges) {
    const std::uint64_t pair = pair_of(merge.left, merge.right);
    std::size_t slot = slot_of(pair);
    while (slots_[slot] != kEmpty) {
      slot = (slot + 1) & (slots_.size() - 1);
    }
    slots_[slot] = pair << kRankBits | results_.size();
    results_.push_back(merge.result);
  }
  byte_ranks_.reserve(bytes_.size() * bytes_.size());
  for (const std::int32_t left : bytes_) {
    for (const std::int32_t right : bytes_) {
      const bool both = left != TokenizerFile::kNoToken && right != TokenizerFile::kNoToken;
      byte_ranks_.push_back(both ? rank_of(left, right) : kNoRank);
    }
  }
}

std::size_t BytePairs::slot_of(std::uint64_t pair) const {
  return static_cast<std::size_t>((pair * 0x9E3779B97F4A7C15u) >> shift_);
}

std::uint32_t BytePairs::rank_of(std::int32_t left, std::int32_t right) const {
  const std::uint64_t pair = pair_of(left, right);
  for (std::size_t slot = slot_of(pair);; slot = (slot + 1) & (slots_.size() - 1)) {
    const std::uint64_t found = slots_[slot];
    if (found >> kRankBits == pair) return static_cast<std::uint32_t>(found & kRankMask);
    if (found == kEmpty) return kNoRank;
  }
}

/// A word as a list of tokens, with a queue of the merges that are possible in it.
class BytePairs::Word {
 public:
  Word(const BytePairs& pairs, std::string_view bytes) : pairs_(pairs) {
    tokens_.reserve(bytes.size());
    for (std::size_t i = 0; i < bytes.size(); i++) {
      const auto index = static_cast<std::uint32_t>(i);
      tokens_.push_back({pairs.bytes_[static_cast<unsigned char>(bytes[i])], kNoRank, index - 1,
                         i + 1 < bytes.size() ? index + 1 : kNone});
    }
    for (std::size_t i = 0; i < tokens_.size(); i++) {
      look_at(static_cast<std::uint32_t>(i));
    }
  }

  void merge() {
    while (!queue_.empty()) {
      const Possible first = queue_.top();
      queue_.pop();
      const auto place = static_cast<std::uint32_t>(first & 0xFFFFFFFFu);
      const auto rank = static_cast<std::uint32_t>(first >> 32);
      if (tokens_[place].rank != rank) continue;  // one of the two has been merged since
      join(place);
    }
  }

  void append(std::vector<std::int32_t>& out) const {
    for (std::uint32_t at = 0; at != kNone; at = tokens_[at].next) {
      out.push_back(tokens_[at].id);
    }
  }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  struct Token {
    std::int32_t id;
    std::uint32_t rank;  // of the merge with the next one
    std::uint32_t previous, next;
  };
  using Possible = std::uint64_t;  // rank above, place below: the order of merges

  void look_at(std::uint32_t place) {
    Token& token = tokens_[place];
    token.rank = token.next == kNone ? kNoRank : pairs_.rank_of(token.id, tokens_[token.next].id);
    if (token.rank != kNoRank) queue_.push(Possible{token.rank} << 32 | place);
  }

  void join(std::uint32_t place) {
    Token& left = tokens_[place];
    Token& right = tokens_[left.next];
    left.id = pairs_.results_[left.rank];
    left.next = right.next;
    right.rank = kNoRank;
    if (left.next != kNone) tokens_[left.next].previous = place;
    look_at(place);
    if (left.previous != kNone) look_at(left.previous);
  }

  const BytePairs& pairs_;
  std::vector<Token> tokens_;
  std::priority_queue<Possible, std::vector<Possible>, std::greater<>> queue_;
};

void BytePairs::encode_short(std::string_view bytes, std::vector<std::int32_t>& append_to) const {
  // ranks[i]: of the merge of tokens i and i + 1.
  std::array<std::int32_t, kShort> tokens;
  std::array<std::uint32_t, kShort> ranks;
  std::size_t count = bytes.size();
  for (std::size_t i = 0; i < count; i++) {
    tokens[i] = bytes_[static_cast<unsigned char>(bytes[i])];
    ranks[i] = i + 1 < count ? rank_of_bytes(bytes[i], bytes[i + 1]) : kNoRank;
  }
  while (true) {
    std::uint32_t rank = kNoRank;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < count; i++) {
      at = ranks[i] < rank ? i : at;
      rank = ranks[i] < rank ? ranks[i] : rank;
    }
    if (rank == kNoRank) break;
    tokens[at] = results_[rank];
    count--;
    for (std::size_t i = at + 1; i < count; i++) {
      tokens[i] = tokens[i + 1];
      ranks[i] = ranks[i + 1];
    }
    ranks[at] = at + 1 < count ? rank_of(tokens[at], tokens[at + 1]) : kNoRank;
    if (at > 0) ranks[at - 1] = rank_of(tokens[at - 1], tokens[at]);
  }
  append_to.insert(append_to.end(), tokens.begin(),
                   tokens.begin() + static_cast<std::ptrdiff_t>(count));
}

void BytePairs::encode(std::string_view bytes, std::vector<std::int32_t>& append_to) const {
  if (bytes.empty()) return;
  if (bytes.size() <= kShort) return encode_short(bytes, append_to);
  Word word(*this, bytes);
  word.merge();
  word.append(append_to);
}

}  // namespace farsight
