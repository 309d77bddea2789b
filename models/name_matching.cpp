// Names of theirs and ours by the rules of the tables (name_tables.cpp).
#include <algorithm>

#include "models/name_tables.h"

namespace farsight {
namespace {

using enum NameRule::Kind;

/// The digits that '#' stands for in `name`; empty text without a '#'; nothing when it is another
/// name.
std::optional<std::string_view> number_in(std::string_view pattern, std::string_view name) {
  const std::size_t at = pattern.find('#');
  if (at == std::string_view::npos) {
    return name == pattern ? std::optional(std::string_view()) : std::nullopt;
  }
  const std::string_view front = pattern.substr(0, at), back = pattern.substr(at + 1);
  if (name.size() <= front.size() + back.size()) return std::nullopt;
  if (!name.starts_with(front) || !name.ends_with(back)) return std::nullopt;
  const std::string_view number =
      name.substr(front.size(), name.size() - front.size() - back.size());
  const bool digits = std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; });
  // "07" is not how anybody writes 7: two names must not be one.
  if (!digits || number.size() > 4 || (number.size() > 1 && number.front() == '0')) {
    return std::nullopt;
  }
  return number;
}

std::string with_number(std::string_view pattern, std::string_view number) {
  const std::size_t at = pattern.find('#');
  if (at == std::string_view::npos) return std::string(pattern);
  return std::string(pattern.substr(0, at)) + std::string(number) +
         std::string(pattern.substr(at + 1));
}

}  // namespace

std::optional<KnownName> ours_of(const NameFamily& family, std::string_view theirs) {
  for (const NameRule& rule : family.rules) {
    if (const auto number = number_in(rule.theirs, theirs)) {
      return KnownName{with_number(rule.ours, *number), rule.kind};
    }
  }
  return std::nullopt;
}

std::optional<std::string> theirs_of(const NameFamily& family, std::string_view ours) {
  for (const NameRule& rule : family.rules) {
    if (rule.kind != parameter) continue;
    if (const auto number = number_in(rule.ours, ours)) return with_number(rule.theirs, *number);
  }
  return std::nullopt;
}

std::vector<std::string> tied_to(const NameFamily& family, std::string_view ours) {
  std::vector<std::string> names;
  for (const NameRule& rule : family.rules) {
    if (rule.kind != tied) continue;
    if (const auto number = number_in(rule.ours, ours)) {
      names.push_back(with_number(rule.theirs, *number));
    }
  }
  return names;
}

const NameFamily& family_of(std::span<const std::string_view> names) {
  const auto known = [&](const NameFamily& family) {
    return std::ranges::count_if(
        names, [&](std::string_view name) { return ours_of(family, name).has_value(); });
  };
  return *std::ranges::max_element(name_families(), {}, known);
}

}  // namespace farsight
