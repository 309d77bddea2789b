#include "data/text/nfc.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/utf8.h"
#include "data/text/unicode.h"

namespace farsight {
namespace {

// Hangul syllables: 19 leading consonants x 21 vowels x (none or 27 trailing consonants).
constexpr char32_t kSyllables = 0xAC00, kLeads = 0x1100, kVowels = 0x1161, kTrails = 0x11A7;
constexpr char32_t kLeadCount = 19, kVowelCount = 21, kTrailCount = 28;
constexpr char32_t kSyllableCount = kLeadCount * kVowelCount * kTrailCount;

struct Placed {
  char32_t character;
  std::uint8_t combining_class;
};

void decompose(char32_t c, std::vector<Placed>& out) {
  if (c >= kSyllables && c < kSyllables + kSyllableCount) {
    const char32_t index = c - kSyllables;
    out.push_back({kLeads + index / (kVowelCount * kTrailCount), 0});
    out.push_back({kVowels + index / kTrailCount % kVowelCount, 0});
    if (index % kTrailCount != 0) out.push_back({kTrails + index % kTrailCount, 0});
  } else if (const auto pair = decomposition(c)) {
    decompose(pair->first, out);
    if (pair->second != 0) decompose(pair->second, out);
  } else {
    out.push_back({c, combining_class(c)});
  }
}

/// Marks between two starters in the order of their classes, equal ones as they were.
void order_marks(std::vector<Placed>& characters) {
  const auto is_mark = [](const Placed& p) { return p.combining_class != 0; };
  const auto end = characters.end();
  for (auto at = characters.begin(); at != end;) {
    const auto first = std::find_if(at, end, is_mark);
    const auto last = std::find_if_not(first, end, is_mark);
    std::stable_sort(first, last, [](const Placed& a, const Placed& b) {
      return a.combining_class < b.combining_class;
    });
    at = last;
  }
}

char32_t composed(char32_t first, char32_t second) {
  if (first >= kLeads && first < kLeads + kLeadCount && second >= kVowels &&
      second < kVowels + kVowelCount) {
    return kSyllables + ((first - kLeads) * kVowelCount + (second - kVowels)) * kTrailCount;
  }
  const bool open_syllable = first >= kSyllables && first < kSyllables + kSyllableCount &&
                             (first - kSyllables) % kTrailCount == 0;
  if (open_syllable && second > kTrails && second < kTrails + kTrailCount) {
    return first + (second - kTrails);
  }
  return composition(first, second).value_or(0);
}

/// Joins in place what composes (UAX 15, D117): a character and the last starter before it, unless
/// one of the same or a higher class stands between them.
void compose(std::vector<Placed>& characters) {
  std::size_t kept = 0;
  std::size_t starter = characters.size();  // none yet
  for (const Placed next : characters) {
    if (starter < kept) {
      const bool adjacent = kept == starter + 1;
      const bool blocked =
          !adjacent && characters[kept - 1].combining_class >= next.combining_class;
      const char32_t joined = blocked ? 0 : composed(characters[starter].character, next.character);
      if (joined != 0) {
        characters[starter].character = joined;
        continue;
      }
    }
    if (next.combining_class == 0) starter = kept;
    characters[kept++] = next;
  }
  characters.resize(kept);
}

/// The first character from `at` on that NFC may change; the end when there is none.
const char* first_changing(const char* at, const char* end, const CharacterTable& table) {
  // All of U+0300 and above begins with this byte or a higher one.
  constexpr unsigned char kLead = 0xC0 | kFirstChangedByNfc >> 6;
  constexpr std::ptrdiff_t kBlock = 64;
  while (true) {
    // In most blocks nowhere: a loop that the compiler makes vectors of.
    while (end - at >= kBlock) {
      unsigned char any = 0;
      for (std::ptrdiff_t i = 0; i < kBlock; i++) {
        any |= static_cast<unsigned char>(static_cast<unsigned char>(at[i]) >= kLead);
      }
      if (any != 0) break;
      at += kBlock;
    }
    while (at != end && static_cast<unsigned char>(*at) < kLead)
      at++;
    if (at == end) return end;
    const char* next = at;
    if (table.nfc_may_change(next_code_point(next))) return at;
    at = next;
  }
}

/// Behind the run of characters that may change.
const char* first_unchanging(const char* at, const char* end, const CharacterTable& table) {
  while (at != end) {
    const char* next = at;
    if (!table.nfc_may_change(next_code_point(next))) return at;
    at = next;
  }
  return end;
}

}  // namespace

std::string_view nfc(std::string_view text, std::string& room) {
  const CharacterTable& table = CharacterTable::instance();
  const char* const end = text.data() + text.size();
  const char* changing = first_changing(text.data(), end, table);
  if (changing == end) return text;
  room.clear();
  const char* done = text.data();
  std::vector<Placed> characters;
  while (changing != end) {
    // The character before may take the first of them in.
    const char* begin = changing;
    while (begin != done && !begins_character(*--begin)) {
    }
    const char* const behind = first_unchanging(changing, end, table);
    room.append(done, begin);
    characters.clear();
    for (const char* at = begin; at != behind;) {
      decompose(next_code_point(at), characters);
    }
    order_marks(characters);
    compose(characters);
    for (const Placed& placed : characters) {
      append_utf8(room, placed.character);
    }
    done = behind;
    changing = first_changing(behind, end, table);
  }
  return room.append(done, end);
}

}  // namespace farsight
