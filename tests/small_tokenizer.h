// A tokenizer of GPT-NeoX's kind that is made in a moment.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "data/text/tokenizer.h"
#include "data/text/tokenizer_file.h"

namespace farsight {

/// Its ids: 0 <|endoftext|>, byte b is 1 + b, then some merges of English text, then runs of two and
/// three spaces. `vocabulary`: filled up with tokens that no text has.
inline Tokenizer small_tokenizer(std::size_t vocabulary = 300, std::string_view special = "") {
  TokenizerFile file;
  file.nfc = true;
  const auto add = [&](std::string token) {
    file.tokens.push_back(std::move(token));
    return static_cast<std::int32_t>(file.tokens.size() - 1);
  };
  const auto add_whole = [&](std::string_view content, bool is_special) {
    file.added.push_back({.content = std::string(content),
                          .id = add(std::string(content)),
                          .special = is_special,
                          .normalized = !is_special});
  };
  add_whole("<|endoftext|>", true);
  for (int b = 0; b < 256; b++) {
    file.bytes[static_cast<std::size_t>(b)] = add(std::string(1, static_cast<char>(b)));
  }
  const auto merge = [&](std::int32_t left, std::int32_t right) {
    const std::int32_t id = add(file.tokens[static_cast<std::size_t>(left)] +
                                file.tokens[static_cast<std::size_t>(right)]);
    file.merges.push_back({left, right, id});
    return id;
  };
  const auto byte = [&](char c) { return file.bytes[static_cast<unsigned char>(c)]; };
  merge(merge(byte(' '), byte('t')), merge(byte('h'), byte('e')));
  merge(byte('i'), byte('n'));
  merge(merge(byte(' '), byte('a')), byte('n'));
  merge(byte('\n'), byte('\n'));
  merge(byte('e'), byte('r'));
  add_whole("  ", false);
  add_whole("   ", false);
  if (!special.empty()) add_whole(special, true);
  while (file.tokens.size() < vocabulary) {
    add("\xffunused" + std::to_string(file.tokens.size()));
  }
  return Tokenizer(std::move(file));
}

}  // namespace farsight
