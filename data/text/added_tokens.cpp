#include "data/text/added_tokens.h"

#include <algorithm>

#include "core/check.h"
#include "data/text/nfc.h"

namespace farsight {

AddedTokens::AddedTokens(const TokenizerFile& file, bool normalized) {
  for (const TokenizerFile::AddedToken& token : file.added) {
    if (token.normalized != normalized) continue;
    check(!token.content.empty(), "AddedTokens: token {} is empty", token.id);
    std::string room;
    const std::string_view text = token.content;
    tokens_.push_back({std::string(normalized && file.nfc ? nfc(text, room) : text), token.id});
  }
  std::sort(tokens_.begin(), tokens_.end(),
            [](const auto& a, const auto& b) { return a.pattern < b.pattern; });
  if (tokens_.empty()) return;
  // What the first and the last in order share, all between them share.
  const std::string& first = tokens_.front().pattern;
  const std::string& last = tokens_.back().pattern;
  const auto differ = std::mismatch(first.begin(), first.end(), last.begin(), last.end()).first;
  beginning_.assign(first.begin(), differ);
}

AddedTokens::Match AddedTokens::next(std::string_view text, std::size_t from) const {
  if (tokens_.empty()) return {};
  for (std::size_t begin = find_beginning(text, from); begin < text.size();
       begin = find_beginning(text, begin + 1)) {
    const Match match = at(text, begin);
    if (match.id != TokenizerFile::kNoToken) return match;
  }
  return {};
}

std::size_t AddedTokens::find_beginning(std::string_view text, std::size_t from) const {
  if (beginning_.size() < 2) return std::min(text.find(beginning_, from), text.size());
  // Its first two bytes, in most blocks nowhere: a loop that the compiler makes vectors of.
  constexpr std::size_t kBlock = 64;
  const char first = beginning_[0], second = beginning_[1];
  while (from + kBlock < text.size()) {
    const char* const block = text.data() + from;
    unsigned char any = 0;
    for (std::size_t i = 0; i < kBlock; i++) {
      any |= static_cast<unsigned char>((block[i] == first) & (block[i + 1] == second));
    }
    if (any != 0) break;
    from += kBlock;
  }
  return std::min(text.find(beginning_, from), text.size());
}

AddedTokens::Match AddedTokens::at(std::string_view text, std::size_t begin) const {
  // The tokens that begin with what was read so far are neighbours, the one that ends here first.
  Match match;
  auto first = tokens_.begin();
  auto last = tokens_.end();
  for (std::size_t length = 0; first != last && begin + length <= text.size(); length++) {
    if (first->pattern.size() == length) {
      match = {begin, begin + length, first->id};
      ++first;
    }
    if (begin + length == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[begin + length]);
    const auto byte_of = [&](const Token& token) {
      return static_cast<unsigned char>(token.pattern[length]);
    };
    first = std::lower_bound(
        first, last, byte, [&](const auto& token, unsigned char b) { return byte_of(token) < b; });
    last = std::upper_bound(first, last, byte,
                            [&](unsigned char b, const auto& token) { return b < byte_of(token); });
  }
  return match;
}

}  // namespace farsight
