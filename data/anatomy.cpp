#include "data/anatomy.h"

#include <algorithm>
#include <array>
#include <set>

#include "data/other_tasks.h"

namespace farsight {
namespace {

bool says(std::span<const std::int32_t> tokens, int position, std::span<const Label> labels) {
  const auto first = tokens.begin() + position;
  return std::equal(labels.begin(), labels.end(), first,
                    [](const Label& label, std::int32_t token) { return label.target == token; });
}

std::vector<std::optional<Binding>> places_asked(const Reading& reading,
                                                 std::span<const std::int32_t> tokens,
                                                 std::span<const Label> labels) {
  std::vector<std::optional<Binding>> asked;
  std::set<int> taken;
  for (const Query& query : reading.queries) {
    std::optional<Binding> found;
    for (const Binding& place : query.places) {
      if (!says(tokens, place.value, labels.subspan(query.first_label, query.labels))) continue;
      found = place;
      if (taken.insert(place.value).second) break;
    }
    asked.push_back(found);
  }
  return asked;
}

/// The pair or the query that begins at `begin`.
void mark_slot(const MqarLayout& layout, int begin, bool is_query, std::vector<TokenRole>& roles) {
  const auto at = [&](int offset) -> TokenRole& {
    return roles[static_cast<std::size_t>(begin + offset)];
  };
  for (int i = 0; i < layout.key_length; i++) {
    at(layout.key_offset() + i) = is_query ? TokenRole::query : TokenRole::key;
  }
  // A query without separators ends with its key: what follows is filler.
  const bool has_value = !is_query || layout.separators;
  for (int i = 0; i < layout.value_length && has_value; i++) {
    at(layout.value_offset() + i) = is_query ? TokenRole::placeholder : TokenRole::value;
  }
  if (layout.separators) {
    at(0) = TokenRole::separator;
    at(layout.value_offset() - 1) = TokenRole::separator;
    at(layout.slot() - 1) = TokenRole::separator;
  }
}

void mark_layout(const MqarLayout& layout, std::span<const std::int32_t> tokens, Anatomy& anatomy) {
  for (std::size_t i = 0; i < anatomy.asked.size(); i++) {
    const auto& asked = anatomy.asked[i];
    mark_slot(layout, anatomy.reading.queries[i].key - layout.key_offset(), true, anatomy.roles);
    if (asked) mark_slot(layout, asked->key - layout.key_offset(), false, anatomy.roles);
  }
  for (int section = 0; section < layout.sections; section++) {
    for (int slot = 0; slot < layout.pair_slots; slot++) {
      const int begin = layout.pair_begin + section * layout.section_length + layout.slot() * slot;
      const bool framed =
          layout.separators && tokens[static_cast<std::size_t>(begin)] == kSeparatorId;
      if (!layout.shuffled || framed) mark_slot(layout, begin, false, anatomy.roles);
    }
  }
}

void mark_other(const MqarTask& task, std::span<const std::int32_t> tokens, Anatomy& anatomy) {
  const bool keyed = task.description.kind == TaskKind::key_retrieval;
  const int k = keyed ? task.description.key_length : 1;
  const auto mark = [&](int begin, int count, TokenRole role) {
    std::fill_n(anatomy.roles.begin() + begin, count, role);
  };
  for (std::size_t i = 0; i < tokens.size(); i++) {
    const std::int32_t id = tokens[i];
    if (id == kPlaceholderId) anatomy.roles[i] = TokenRole::placeholder;
    if (id == kSeparatorId || id == kValueSeparatorId || id == kMarkId) {
      anatomy.roles[i] = TokenRole::separator;
    }
  }
  for (std::size_t i = 0; i < anatomy.asked.size(); i++) {
    const Query& query = anatomy.reading.queries[i];
    const auto& asked = anatomy.asked[i];
    if (keyed) mark(query.key, k, TokenRole::query);
    if (!asked) continue;
    if (keyed) mark(asked->key, k, TokenRole::key);
    mark(asked->value, static_cast<int>(query.labels), TokenRole::value);
  }
}

}  // namespace

std::string_view role_name(TokenRole role) {
  constexpr std::array<std::string_view, 6> kNames = {"filler", "key",         "value",
                                                      "query",  "placeholder", "separator"};
  return kNames[static_cast<std::size_t>(role)];
}

Anatomy anatomy_of(const MqarTask& task, const Cell& cell, std::span<const std::int32_t> tokens,
                   std::span<const Label> labels) {
  Anatomy anatomy{.reading = read_example(task, cell, tokens, labels),
                  .roles = std::vector<TokenRole>(tokens.size(), TokenRole::filler),
                  .asked = {}};
  anatomy.asked = places_asked(anatomy.reading, tokens, labels);
  if (follows_layout(task)) {
    mark_layout(layout_of(task, cell), tokens, anatomy);
  } else {
    mark_other(task, tokens, anatomy);
  }
  return anatomy;
}

}  // namespace farsight
