// JSON: a value, its parser for untrusted text, its writer.
//
//   Json line = Json::object({{"step", 10}, {"loss", 3.25}});
//   line["tags"] = Json::array({"mqar", true});
//   line.dump();                                  // {"step":10,"loss":3.25,"tags":["mqar",true]}
//   const Json config = Json::parse(text, "config.json");
//   config.at("d_model").as_int(1, 65536);
//     -> "config.json: expected a whole number, got the string "64" (byte 12)"
//
// A parsed value remembers where it stood, so that a wrong type is reported with file and byte.
// Members keep the order in which they were added: the same value is always the same text.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace farsight {

/// What a text may cost: a hostile one must not exhaust the stack or the memory.
struct JsonLimits {
  std::size_t depth = 64;                         ///< of arrays and objects in one another
  std::size_t values = std::size_t{1} << 22;      ///< numbers, strings, arrays ... together
  std::size_t name_bytes = std::size_t{1} << 16;  ///< of one key
};

class Json {
 public:
  struct Member;
  using Array = std::vector<Json>;
  using Object = std::vector<Member>;

  Json();  ///< null
  Json(const Json& other);
  Json(Json&& other) noexcept;
  Json& operator=(const Json& other);
  Json& operator=(Json&& other) noexcept;
  ~Json();
  template <std::same_as<bool> T>
  Json(T value);  // NOLINT(google-explicit-constructor): j["a"] = true
  template <std::integral T>
  requires(!std::same_as<T, bool> && !std::same_as<T, char>)
      Json(T value);  // NOLINT(google-explicit-constructor)
  template <std::floating_point T>
  Json(T value);                 // NOLINT(google-explicit-constructor)
  Json(std::string value);       // NOLINT(google-explicit-constructor)
  Json(std::string_view value);  // NOLINT(google-explicit-constructor)
  Json(const char* value);       // NOLINT(google-explicit-constructor)

  static Json array(std::initializer_list<Json> elements = {});
  static Json object(std::initializer_list<Member> members = {});
  /// An array of the elements of any range.
  template <class Range>
  static Json array_of(const Range& range) {
    Json j = array();
    for (const auto& element : range) {
      j.push_back(element);
    }
    return j;
  }

  /// Strict RFC 8259: UTF-8, no comments, nothing behind the value; no key twice in an object.
  /// Throws Error(corrupt) naming `file` and the byte, counted from `first_offset`: where the text
  /// begins within the file.
  static Json parse(std::string_view text, std::string_view file, const JsonLimits& limits = {},
                    std::uint64_t first_offset = 0);

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  /// A whole number written without point and exponent that fits 64 bits.
  bool is_integer() const;
  bool is_number() const;
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }

  // Access. Another kind of value is Error(corrupt) when this was parsed, else Error(internal).
  bool as_bool() const;
  std::uint64_t as_unsigned() const;
  std::int64_t as_int() const;
  /// A whole number within [lowest, highest].
  std::int64_t as_int(std::int64_t lowest, std::int64_t highest) const;
  double as_double() const;  ///< any number
  const std::string& as_string() const;
  const Array& elements() const;
  const Object& members() const;

  /// Elements or members; 0 for a value without any.
  std::size_t size() const;
  const Json& at(std::size_t index) const;
  const Json& at(std::string_view key) const;
  /// Null when there is no such member. Looks at one member after another.
  const Json* find(std::string_view key) const;
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  /// Refuses a member whose key is none of these: a typo must not be ignored.
  void allow_only(std::initializer_list<std::string_view> keys) const;

  // Building. Null becomes an array or an object at the first use.
  Json& operator[](std::string_view key);
  void push_back(Json element);

  /// Compact when `indent` is negative. NaN and infinities, which JSON lacks, become null; bytes
  /// that are not UTF-8 become U+FFFD; a float is written with the fewest digits that read back.
  std::string dump(int indent = -1) const;

  /// Throws as the accessors do, for a check of the caller's: `sentence` without the place.
  [[noreturn]] void refuse(const std::string& sentence) const;

  /// Equal contents; where they were parsed from does not count, the order of members does.
  bool operator==(const Json& other) const;

 private:
  friend class JsonBuilder;
  std::string describe() const;
  [[noreturn]] void expected(std::string_view what) const;
  void append_to(std::string& text, int indent, int depth) const;

  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Array,
               Object>
      value_;
  std::shared_ptr<const std::string> file_;  // null: not parsed
  std::uint64_t offset_ = 0;
};

struct Json::Member {
  std::string key;
  Json value;
  bool operator==(const Member&) const = default;
};

// Here, and not in the class: what they destroy may hold Members.
template <std::same_as<bool> T>
Json::Json(T value) : value_(value) {}
template <std::integral T>
requires(!std::same_as<T, bool> && !std::same_as<T, char>) Json::Json(T value) {
  if (value < 0) {
    value_ = static_cast<std::int64_t>(value);
  } else {
    value_ = static_cast<std::uint64_t>(value);
  }
}
template <std::floating_point T>
Json::Json(T value) : value_(static_cast<double>(value)) {}

/// parse() of a whole file.
Json read_json(const std::filesystem::path& path, const JsonLimits& limits = {});

bool is_utf8(std::string_view text);

}  // namespace farsight
