#include "data/text/unicode.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <unordered_map>

namespace farsight {
namespace {

struct Range {
  char32_t first, last;
};
struct CombiningRange {
  char32_t first, last;
  std::uint8_t combining_class;
};
struct Decomposition {
  char32_t character, first, second;
  bool composed;  // by NFC, from first and second
};

#include "data/text/unicode_tables.inc"

using Flat = std::vector<std::uint8_t>;

void mark(Flat& flat, std::span<const Range> ranges, std::uint8_t property) {
  for (const Range& range : ranges) {
    for (char32_t c = range.first; c <= range.last; c++) {
      flat[c] = static_cast<std::uint8_t>(flat[c] | property);
    }
  }
}

std::uint64_t pair_key(char32_t first, char32_t second) {
  return std::uint64_t{first} << 32 | second;
}

}  // namespace

CharacterTable::CharacterTable() {
  Flat flat(0x110000, 0);
  mark(flat, kLetters, static_cast<std::uint8_t>(CharacterClass::letter));
  mark(flat, kNumbers, static_cast<std::uint8_t>(CharacterClass::number));
  mark(flat, kSpaces, static_cast<std::uint8_t>(CharacterClass::space));
  mark(flat, kChangedByNfc, kChanging);
  for (std::size_t i = 0; i < block_of_.size(); i++) {
    Block block;
    std::copy_n(flat.begin() + static_cast<std::ptrdiff_t>(256 * i), 256, block.begin());
    const auto found = std::find(blocks_.begin(), blocks_.end(), block);
    block_of_[i] = static_cast<std::uint16_t>(found - blocks_.begin());
    if (found == blocks_.end()) blocks_.push_back(block);
  }
}

const CharacterTable& CharacterTable::instance() {
  static const CharacterTable table;
  return table;
}

std::uint8_t combining_class(char32_t c) {
  const auto* range = std::upper_bound(
      std::begin(kCombining), std::end(kCombining), c,
      [](char32_t character, const CombiningRange& r) { return character < r.first; });
  if (range == std::begin(kCombining)) return 0;
  --range;
  return c <= range->last ? range->combining_class : std::uint8_t{0};
}

std::optional<CanonicalPair> decomposition(char32_t c) {
  const auto* found = std::lower_bound(
      std::begin(kDecompositions), std::end(kDecompositions), c,
      [](const Decomposition& d, char32_t character) { return d.character < character; });
  if (found == std::end(kDecompositions) || found->character != c) return std::nullopt;
  return CanonicalPair{found->first, found->second};
}

std::optional<char32_t> composition(char32_t first, char32_t second) {
  static const auto* composed = [] {
    auto* pairs = new std::unordered_map<std::uint64_t, char32_t>;
    for (const Decomposition& d : kDecompositions) {
      if (d.composed) pairs->emplace(pair_key(d.first, d.second), d.character);
    }
    return pairs;
  }();
  const auto found = composed->find(pair_key(first, second));
  if (found == composed->end()) return std::nullopt;
  return found->second;
}

}  // namespace farsight
