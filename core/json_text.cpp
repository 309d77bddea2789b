// Text to value and back. The only file that includes nlohmann/json.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/bounded_reader.h"
#include "core/json.h"
#include "core/utf8.h"

namespace farsight {
namespace {

/// Walks a text and lets others see how far the lexer has read.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** seen) : at_(at), seen_(seen) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *seen_ = ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  const char** seen_;
};

/// nlohmann's sentence without its own prefix and position, safe to print.
std::string plain_message(std::string message) {
  for (const std::string_view prefix : {"] ", "column "}) {
    const auto at = message.find(prefix);
    if (at != std::string::npos) message.erase(0, at + prefix.size());
  }
  if (const auto at = message.find(": "); at < 12) message.erase(0, at + 2);
  constexpr std::size_t kLongest = 160;
  if (message.size() > kLongest) message = message.substr(0, kLongest) + " ...";
  for (char& c : message) {
    if (c < ' ' || c > '~') c = '?';
  }
  return message;
}

}  // namespace

/// Receives nlohmann's events and builds our value, refusing what the library lets pass.
class JsonBuilder {
 public:
  JsonBuilder(std::string_view text, std::string_view file, const JsonLimits& limits,
              std::uint64_t first_offset)
      : text_(text),
        limits_(limits),
        first_offset_(first_offset),
        file_(std::make_shared<const std::string>(file)) {}

  Json build() {
    // The library takes a zero byte for the end of the text and would ignore what follows.
    const std::size_t zero = text_.find('\0');
    if (zero != std::string_view::npos) refuse_at(zero, "a zero byte in JSON text");
    const char* end = text_.data() + text_.size();
    nlohmann::json::sax_parse(CountingIterator(text_.data(), &seen_), CountingIterator(end, &seen_),
                              this);
    return std::move(root_);
  }

  bool null() { return add(Json()); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(std::int64_t value) { return add_number(value); }
  bool number_unsigned(std::uint64_t value) { return add_number(value); }
  bool number_float(double value, const std::string&) { return add_number(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(std::vector<std::uint8_t>&) { return false; }  // not a part of JSON text
  bool start_object(std::size_t) { return open(Json::object()); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_array() { return close(); }
  bool end_object() {
    reject_duplicates(*open_.back());
    return close();
  }
  bool key(std::string& name) {
    if (name.size() > limits_.name_bytes) {
      refuse_at(token_begin(), "a key of {} bytes, at most {} are allowed", name.size(),
                limits_.name_bytes);
    }
    key_ = std::move(name);
    before_ = seen_;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const std::exception& error) {
    refuse_at(position == 0 ? 0 : position - 1, "not valid JSON: {}", plain_message(error.what()));
  }

 private:
  /// Where the token just read begins: behind the previous one and what separates them.
  std::uint64_t token_begin() const {
    const std::size_t from =
        before_ == nullptr ? 0 : static_cast<std::size_t>(before_ - text_.data());
    return std::min(text_.find_first_not_of(" \t\r\n,:", from), text_.size());
  }

  Json* place(Json value) {
    value.file_ = file_;
    value.offset_ = first_offset_ + token_begin();
    if (++values_ > limits_.values) refuse_at(token_begin(), "more than {} values", limits_.values);
    before_ = seen_;
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (auto* array = std::get_if<Json::Array>(&open_.back()->value_)) {
      return &array->emplace_back(std::move(value));
    }
    Json::Object& members = std::get<Json::Object>(open_.back()->value_);
    return &members.emplace_back(Json::Member{std::move(key_), std::move(value)}).value;
  }
  bool add(Json value) {
    place(std::move(value));
    return true;
  }
  bool add_number(Json value) {
    place(std::move(value));
    if (before_ != text_.data()) before_--;  // the lexer had to see the character that ended it
    return true;
  }
  bool open(Json value) {
    if (open_.size() >= limits_.depth) {
      refuse_at(token_begin(), "nested deeper than {} levels", limits_.depth);
    }
    // A parent does not grow while its child is open, so the address stays good.
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    before_ = seen_;
    return true;
  }
  void reject_duplicates(const Json& object) const {
    std::vector<const Json::Member*> sorted;
    for (const Json::Member& member : object.members()) {
      sorted.push_back(&member);
    }
    std::sort(sorted.begin(), sorted.end(), [](const Json::Member* a, const Json::Member* b) {
      return a->key != b->key ? a->key < b->key : a->value.offset_ < b->value.offset_;
    });
    const auto twice = std::adjacent_find(
        sorted.begin(), sorted.end(),
        [](const Json::Member* a, const Json::Member* b) { return a->key == b->key; });
    if (twice != sorted.end()) {
      const Json::Member& second = **std::next(twice);
      second.value.refuse(fmt::format("the key {} appears twice", Json(second.key).dump()));
    }
  }

  template <class... Args>
  [[noreturn]] void refuse_at(std::uint64_t offset,
                              fmt::format_string<std::type_identity_t<Args>...> text,
                              const Args&... args) const {
    refuse({*file_, first_offset_ + offset}, text, args...);
  }

  std::string_view text_;
  JsonLimits limits_;
  std::uint64_t first_offset_;
  std::shared_ptr<const std::string> file_;
  const char* seen_ = nullptr;    // behind the last character read
  const char* before_ = nullptr;  // behind the last token placed
  std::size_t values_ = 0;
  std::string key_;
  Json root_;
  std::vector<Json*> open_;
};

Json Json::parse(std::string_view text, std::string_view file, const JsonLimits& limits,
                 std::uint64_t first_offset) {
  return JsonBuilder(text, file, limits, first_offset).build();
}

std::string Json::dump(int indent) const {
  std::string text;
  append_to(text, indent, 0);
  return text;
}

void Json::append_to(std::string& text, int indent, int depth) const {
  const auto line = [&](int levels) {
    if (indent >= 0) text.append(1, '\n').append(static_cast<std::size_t>(indent * levels), ' ');
  };
  const auto scalar = [](const auto& value) {
    return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  };
  if (is_array()) {
    text += '[';
    for (const Json& element : elements()) {
      if (&element != &elements().front()) text += ',';
      line(depth + 1);
      element.append_to(text, indent, depth + 1);
    }
    if (size() > 0) line(depth);
    text += ']';
  } else if (is_object()) {
    text += '{';
    for (const Member& member : members()) {
      if (&member != &members().front()) text += ',';
      line(depth + 1);
      text += scalar(member.key) + (indent >= 0 ? ": " : ":");
      member.value.append_to(text, indent, depth + 1);
    }
    if (size() > 0) line(depth);
    text += '}';
  } else if (is_string()) {
    text += scalar(as_string());
  } else if (is_integer()) {
    const auto* negative = std::get_if<std::int64_t>(&value_);
    text += negative != nullptr ? fmt::to_string(*negative) : fmt::to_string(as_unsigned());
  } else if (is_number()) {
    text += scalar(as_double());
  } else {
    text += is_null() ? "null" : as_bool() ? "true" : "false";
  }
}

bool is_utf8(std::string_view text) {
  return !first_invalid_utf8(text).has_value();
}

}  // namespace farsight
