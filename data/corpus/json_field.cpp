#include "data/corpus/json_field.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "core/utf8.h"

namespace farsight {
namespace {

constexpr int kDeepest = 64;

/// The characters that a string runs on over: all but the quote, the backslash and controls.
constexpr std::array<bool, 256> ordinary_characters() {
  std::array<bool, 256> ordinary = {};
  for (std::size_t c = 0; c < 256; c++) {
    ordinary[c] = c >= 0x20 && c != '"' && c != '\\';
  }
  return ordinary;
}
constexpr std::array<bool, 256> kOrdinary = ordinary_characters();

/// Bytes of the eight that are below 0x20, a quote or a backslash: their high bits are set. A byte
/// above the first such may be marked without reason, so only "none" and the first count.
std::uint64_t special_bytes(std::uint64_t eight) {
  constexpr std::uint64_t kOnes = 0x0101010101010101u, kHigh = 0x8080808080808080u;
  const auto zeros = [&](std::uint64_t x) { return (x - kOnes) & ~x & kHigh; };
  return zeros(eight ^ (kOnes * '"')) | zeros(eight ^ (kOnes * '\\')) |
         ((eight - kOnes * 0x20) & ~eight & kHigh);
}

class LineParser {
 public:
  LineParser(std::string_view line, std::string_view field, bool replace, std::string& text)
      : line_(line), field_(field), replace_(replace), text_(text) {}

  std::int64_t run() {
    skip_space();
    if (peek() != '{') fault("expected a JSON object");
    object_with_field();
    skip_space();
    if (at_ != line_.size()) fault("something follows the JSON object");
    if (!found_) {
      throw LineFault(0, fmt::format("the object has no field \"{}\"; it has {}", field_,
                                     keys_.empty() ? "none at all" : list_of_keys()));
    }
    return replaced_;
  }

 private:
  [[noreturn]] void fault(std::string_view sentence) const {
    throw LineFault(at_, std::string(at_ < line_.size() ? "" : "the line ends early: ") +
                             std::string(sentence));
  }

  std::string list_of_keys() const {
    constexpr int kMost = 8;
    std::string list;
    int listed = 0;
    for (const std::string& key : keys_) {
      if (listed++ == kMost) return list + ", ...";
      list += fmt::format("{}\"{}\"", listed == 1 ? "" : ", ", key.substr(0, 40));
    }
    return list;
  }

  /// 0 at the end: no rule of the grammar begins with a zero byte.
  char peek() const { return at_ < line_.size() ? line_[at_] : '\0'; }

  void skip_space() {
    while (at_ < line_.size() &&
           (line_[at_] == ' ' || line_[at_] == '\t' || line_[at_] == '\r' || line_[at_] == '\n')) {
      at_++;
    }
  }

  /// Is the next character past white space `c`? Then it is passed over.
  bool accept(char c) {
    skip_space();
    if (peek() != c) return false;
    at_++;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fault(fmt::format("expected '{}'", c));
  }

  void object_with_field() {
    expect('{');
    if (accept('}')) return;
    do {
      skip_space();
      const std::size_t key_at = at_;
      std::string key;
      string(&key);
      if (keys_.contains(key)) {
        throw LineFault(key_at, fmt::format("the key \"{}\" appears twice", key.substr(0, 40)));
      }
      expect(':');
      skip_space();
      if (key == field_) {
        if (peek() != '"') fault(fmt::format("the field \"{}\" is no string", field_));
        found_ = true;
        replaced_ = string(&text_);
      } else {
        value(1);
      }
      keys_.insert(std::move(key));
    } while (accept(','));
    expect('}');
  }

  void value(int depth) {
    if (depth > kDeepest) fault(fmt::format("nested deeper than {} levels", kDeepest));
    skip_space();
    switch (peek()) {
      case '"':
        string(nullptr);
        return;
      case '{':
        return members('{', '}', depth);
      case '[':
        return members('[', ']', depth);
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

  void members(char open, char close, int depth) {
    expect(open);
    if (accept(close)) return;
    do {
      if (open == '{') {
        skip_space();
        string(nullptr);
        expect(':');
      }
      value(depth + 1);
    } while (accept(','));
    expect(close);
  }

  void word(std::string_view expected) {
    if (line_.substr(at_, expected.size()) != expected) fault("expected a JSON value");
    at_ += expected.size();
  }

  void number() {
    const auto digits = [&] {
      const std::size_t begin = at_;
      while (peek() >= '0' && peek() <= '9') {
        at_++;
      }
      return at_ - begin;
    };
    if (peek() == '-') at_++;
    const bool zero = peek() == '0';
    const std::size_t whole = digits();
    if (whole == 0 || (zero && whole > 1)) fault("expected a JSON value");
    if (peek() == '.') {
      at_++;
      if (digits() == 0) fault("expected a digit");
    }
    if (peek() == 'e' || peek() == 'E') {
      at_++;
      if (peek() == '+' || peek() == '-') at_++;
      if (digits() == 0) fault("expected a digit");
    }
  }

  /// The string that begins here, appended to `to` unless null. Returns the surrogates replaced.
  std::int64_t string(std::string* to) {
    if (peek() != '"') fault("expected a string");
    at_++;
    std::int64_t replaced = 0;
    while (true) {
      const std::size_t begin = at_;
      skip_ordinary();
      if (to != nullptr) to->append(line_.substr(begin, at_ - begin));
      if (at_ == line_.size()) fault("a string has no closing '\"'");
      const char c = line_[at_];
      if (c == '"') {
        at_++;
        return replaced;
      }
      if (c != '\\') fault(fmt::format("a control character (0x{:02x}) in a string", int{c}));
      replaced += escape(to);
    }
  }

  void skip_ordinary() {
    while (at_ + 8 <= line_.size()) {
      std::uint64_t eight = 0;
      std::memcpy(&eight, line_.data() + at_, 8);
      if (special_bytes(eight) != 0) break;
      at_ += 8;
    }
    while (at_ < line_.size() && kOrdinary[static_cast<unsigned char>(line_[at_])]) {
      at_++;
    }
  }

  std::int64_t escape(std::string* to) {
    constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    const std::size_t begin = at_++;
    const char letter = peek();
    if (letter == 'u') return code_unit(begin, to);
    const std::size_t index = letter == '\0' ? std::string_view::npos : kLetters.find(letter);
    if (index == std::string_view::npos) fault("an escape that JSON has not");
    at_++;
    if (to != nullptr) *to += kMeanings[index];
    return 0;
  }

  std::int64_t code_unit(std::size_t begin, std::string* to) {
    char32_t point = hexadecimal();
    const bool high = point >= 0xD800 && point <= 0xDBFF;
    if (high && line_.substr(at_, 2) == "\\u") {
      const std::size_t before = at_++;
      const char32_t low = hexadecimal();
      if (low >= 0xDC00 && low <= 0xDFFF) {
        point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
      } else {
        at_ = before;
      }
    }
    const bool alone = point >= 0xD800 && point <= 0xDFFF;
    if (to == nullptr) return 0;
    if (alone && !replace_) {
      throw LineFault(begin, fmt::format("\\u{:04x} is half a character (a lone surrogate)",
                                         static_cast<std::uint32_t>(point)));
    }
    append_utf8(*to, alone ? kReplacementCharacter : point);
    return alone ? 1 : 0;
  }

  /// Past the 'u' that is next and its four digits.
  char32_t hexadecimal() {
    at_++;
    char32_t value = 0;
    for (int i = 0; i < 4; i++) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fault("expected four hexadecimal digits");
      value = value * 16 + static_cast<char32_t>(digit);
      at_++;
    }
    return value;
  }

  std::string_view line_, field_;
  bool replace_, found_ = false;
  std::string& text_;
  std::size_t at_ = 0;
  std::int64_t replaced_ = 0;
  std::set<std::string> keys_;
};

}  // namespace

std::int64_t append_json_field(std::string_view line, std::string_view field, bool replace,
                               std::string& text) {
  return LineParser(line, field, replace, text).run();
}

}  // namespace farsight
