#include "data/example_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "data/anatomy.h"
#include "data/example_rules.h"
#include "data/frozen_set.h"

namespace farsight {
namespace {

/// How a role is written: ANSI colour codes, or a letter.
struct RoleStyle {
  std::string_view colour;
  char letter;
};

RoleStyle style_of(TokenRole role) {
  constexpr std::array<RoleStyle, 6> kStyles = {
      {{"2", ' '}, {"36", 'k'}, {"32", 'v'}, {"1;33", 'q'}, {"1;35", '?'}, {"35", '|'}}};
  return kStyles[static_cast<std::size_t>(role)];
}

std::string coloured(std::string_view text, std::string_view code) {
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

std::string legend(const TextStyle& style) {
  std::string text;
  for (int i = 0; i < 6; i++) {
    const TokenRole role = static_cast<TokenRole>(i);
    const RoleStyle how = style_of(role);
    const std::string name(role_name(role));
    if (style.colour) {
      text += coloured(name, how.colour) + "  ";
    } else if (role != TokenRole::filler) {
      text += fmt::format("{} {}  ", how.letter, name);
    }
  }
  return text.substr(0, text.size() - 2) + "\n\n";
}

std::string token_rows(const Example& example, const std::vector<TokenRole>& roles,
                       const TextStyle& style) {
  const std::int32_t most = *std::max_element(example.tokens.begin(), example.tokens.end());
  const std::size_t width = fmt::formatted_size("{}", most) + 2;
  const std::size_t margin = fmt::formatted_size("{}", example.tokens.size());
  const auto columns = static_cast<std::size_t>(std::max(20, style.columns));
  const std::size_t most_in_row = std::max<std::size_t>(1, (columns - margin - 1) / width);
  std::size_t in_row = 1;  // a power of two: positions are easily counted
  while (2 * in_row <= most_in_row) {
    in_row *= 2;
  }
  std::string text;
  for (std::size_t i = 0; i < example.tokens.size(); i++) {
    if (i % in_row == 0) text += fmt::format("{}{:>{}} ", i == 0 ? "" : "\n", i, margin);
    const RoleStyle how = style_of(roles[i]);
    const std::string id = fmt::format("{}{}", style.colour ? ' ' : how.letter, example.tokens[i]);
    const std::string padded = fmt::format("{:>{}}", id, width);
    text += style.colour ? coloured(padded, how.colour) : padded;
  }
  return text + "\n\n";
}

std::string ids_text(std::vector<std::int32_t>::const_iterator first, std::size_t count) {
  return fmt::format("{}", fmt::join(first, first + static_cast<std::ptrdiff_t>(count), " "));
}

std::string query_line(const MqarTask& task, const Example& example, const Anatomy& anatomy,
                       std::size_t index) {
  const Query& query = anatomy.reading.queries[index];
  std::vector<std::int32_t> targets;
  for (std::size_t i = 0; i < query.labels; i++) {
    targets.push_back(example.labels[query.first_label + i].target);
  }
  const auto k = static_cast<std::size_t>(task.description.key_length);
  std::string text = fmt::format("query at {}: {} -> {}", query.key,
                                 ids_text(example.tokens.begin() + query.key, k),
                                 ids_text(targets.begin(), targets.size()));
  const auto& asked = anatomy.asked[index];
  if (asked) {
    text += fmt::format(", bound at {}, {} tokens before", asked->key, query.key - asked->key);
  }
  if (query.places.size() > 1 && query.probability == 1) {
    text += fmt::format("; any of its {} values is right", query.places.size());
  }
  if (query.places.size() > 1 && query.probability < 1) {
    text += fmt::format("; the key is bound in {} places: a perfect reader is right with {:.0f} %",
                        query.places.size(), 100 * query.probability);
  }
  return text + "\n";
}

}  // namespace

std::string example_text(const MqarTask& task, const Cell& cell, Split split,
                         const Example& example, const TextStyle& style) {
  std::string text =
      fmt::format("task {}, {} split, {} tokens, {} {}\n", task.name, split_name(split),
                  cell.length, cell.pairs, cell.pairs == 1 ? "pair" : "pairs");
  const std::vector<std::string> broken = broken_rules(task, cell, split, example);
  if (!broken.empty()) {
    const std::vector<TokenRole> unknown(example.tokens.size(), TokenRole::filler);
    if (!example.tokens.empty()) text += "\n" + token_rows(example, unknown, style);
    for (const std::string& sentence : broken) {
      text += fmt::format("broken: {}\n", sentence);
    }
    return text;
  }
  const Anatomy anatomy = anatomy_of(task, cell, example.tokens, example.labels);
  text += legend(style) + token_rows(example, anatomy.roles, style);
  for (std::size_t i = 0; i < anatomy.asked.size(); i++) {
    text += query_line(task, example, anatomy, i);
  }
  return text;
}

}  // namespace farsight
