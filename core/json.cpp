#include "core/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "core/bounded_reader.h"
#include "core/files.h"

namespace farsight {

Json read_json(const std::filesystem::path& path, const JsonLimits& limits) {
  return Json::parse(read_file(path), path.string(), limits);
}

// Here and not in the class, where Member is still incomplete.
Json::Json() = default;
Json::Json(const Json& other) = default;
Json::Json(Json&& other) noexcept = default;
Json& Json::operator=(const Json& other) = default;
Json& Json::operator=(Json&& other) noexcept = default;
Json::~Json() = default;
Json::Json(std::string value) : value_(std::move(value)) {}
Json::Json(std::string_view value) : value_(std::string(value)) {}
Json::Json(const char* value) : value_(std::string(value)) {}

Json Json::array(std::initializer_list<Json> elements) {
  Json j;
  j.value_ = Array(elements);
  return j;
}

Json Json::object(std::initializer_list<Member> members) {
  Json j;
  j.value_ = Object();
  for (const Member& member : members) {
    j[member.key] = member.value;
  }
  return j;
}

bool Json::is_integer() const {
  return std::holds_alternative<std::int64_t>(value_) ||
         std::holds_alternative<std::uint64_t>(value_);
}

bool Json::is_number() const {
  return is_integer() || std::holds_alternative<double>(value_);
}

std::string Json::describe() const {
  if (is_array()) return fmt::format("an array of {}", size());
  if (is_object()) return fmt::format("an object of {}", size());
  if (is_string() && as_string().size() > 40) {
    return fmt::format("a string of {} bytes", as_string().size());
  }
  return fmt::format("{}{}",
                     is_number()   ? "the number "
                     : is_string() ? "the string "
                                   : "",
                     dump());
}

void Json::refuse(const std::string& sentence) const {
  if (file_) farsight::refuse({*file_, offset_}, "{}", sentence);
  fail(ExitCode::internal, "json: {}", sentence);
}

void Json::expected(std::string_view what) const {
  refuse(fmt::format("expected {}, got {}", what, describe()));
}

bool Json::as_bool() const {
  if (!is_bool()) expected("true or false");
  return std::get<bool>(value_);
}

std::uint64_t Json::as_unsigned() const {
  if (!std::holds_alternative<std::uint64_t>(value_)) expected("a whole number, not negative");
  return std::get<std::uint64_t>(value_);
}

std::int64_t Json::as_int() const {
  return as_int(std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
}

std::int64_t Json::as_int(std::int64_t lowest, std::int64_t highest) const {
  if (!is_integer()) expected("a whole number");
  const auto* negative = std::get_if<std::int64_t>(&value_);
  const bool fits = negative != nullptr ? *negative >= lowest && *negative <= highest
                                        : std::in_range<std::int64_t>(as_unsigned()) &&
                                              static_cast<std::int64_t>(as_unsigned()) >= lowest &&
                                              static_cast<std::int64_t>(as_unsigned()) <= highest;
  if (!fits) expected(fmt::format("a whole number from {} to {}", lowest, highest));
  return negative != nullptr ? *negative : static_cast<std::int64_t>(as_unsigned());
}

double Json::as_double() const {
  if (const auto* value = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<std::uint64_t>(&value_)) return static_cast<double>(*value);
  if (!is_number()) expected("a number");
  return std::get<double>(value_);
}

const std::string& Json::as_string() const {
  if (!is_string()) expected("a string");
  return std::get<std::string>(value_);
}

const Json::Array& Json::elements() const {
  if (!is_array()) expected("an array");
  return std::get<Array>(value_);
}

const Json::Object& Json::members() const {
  if (!is_object()) expected("an object");
  return std::get<Object>(value_);
}

std::size_t Json::size() const {
  return is_array() ? elements().size() : is_object() ? members().size() : 0;
}

const Json& Json::at(std::size_t index) const {
  if (index >= elements().size()) {
    refuse(fmt::format("expected an array of more than {}, got {}", index, describe()));
  }
  return elements()[index];
}

const Json* Json::find(std::string_view key) const {
  for (const Member& member : members()) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

const Json& Json::at(std::string_view key) const {
  const Json* found = find(key);
  if (found == nullptr) refuse(fmt::format("the object has no '{}'", key));
  return *found;
}

void Json::allow_only(std::initializer_list<std::string_view> keys) const {
  for (const Member& member : members()) {
    if (std::find(keys.begin(), keys.end(), member.key) == keys.end()) {
      member.value.refuse(fmt::format("unknown key {}; known are {}", Json(member.key).dump(),
                                      fmt::join(keys, ", ")));
    }
  }
}

Json& Json::operator[](std::string_view key) {
  if (is_null()) value_ = Object();
  if (const Json* found = find(key)) return const_cast<Json&>(*found);
  return std::get<Object>(value_).emplace_back(Member{std::string(key), Json()}).value;
}

void Json::push_back(Json element) {
  if (is_null()) value_ = Array();
  if (!is_array()) expected("an array");
  std::get<Array>(value_).push_back(std::move(element));
}

bool Json::operator==(const Json& other) const {
  return value_ == other.value_;
}

}  // namespace farsight
