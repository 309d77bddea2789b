// A section of a configuration that somebody else wrote.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

#include "core/json.h"

namespace farsight {

/// A key that is absent, or null, has the value that their code gives it. All throw Error(corrupt)
/// naming the key.
class Section {
 public:
  explicit Section(const Json& json) : json_(json) {}

  /// Null where it is absent or null.
  const Json* given(std::string_view key) const {
    const Json* value = json_.find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }

  std::int64_t integer(std::string_view key, std::int64_t otherwise, std::int64_t least,
                       std::int64_t most) const {
    const Json* value = given(key);
    return value == nullptr ? otherwise : value->as_int(least, most);
  }
  double real(std::string_view key, double otherwise) const {
    const Json* value = given(key);
    return value == nullptr ? otherwise : value->as_double();
  }
  /// Of what this model knows one value only.
  void must_be(std::string_view key, double wanted) const {
    const Json* value = given(key);
    if (value != nullptr && value->as_double() != wanted) refuse(*value, key, wanted);
  }
  void must_be(std::string_view key, bool wanted) const {
    const Json* value = given(key);
    if (value != nullptr && value->as_bool() != wanted) refuse(*value, key, wanted);
  }

 private:
  template <class T>
  [[noreturn]] static void refuse(const Json& value, std::string_view key, T wanted) {
    value.refuse(fmt::format("{}: expected {}; this model has no other form", key, wanted));
  }
  const Json& json_;
};

}  // namespace farsight
