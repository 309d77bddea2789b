#include "data/text/added_tokens.h"

#include <string.h>

#include <algorithm>

namespace farsight {

AddedTokens::AddedTokens(std::vector<TokenizerFile::AddedToken> tokens)
    : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end(),
            [](const auto& a, const auto& b) { return a.content < b.content; });
  if (tokens_.empty()) return;
  // What the first and the last in order share, all between them share.
  const std::string& first = tokens_.front().content;
  const std::string& last = tokens_.back().content;
  const auto differ = std::mismatch(first.begin(), first.end(), last.begin(), last.end()).first;
  beginning_.assign(first.begin(), differ);
}

AddedTokens::Match AddedTokens::next(std::string_view text, std::size_t from) const {
  if (tokens_.empty()) return {};
  for (std::size_t begin = from; begin < text.size(); begin++) {
    const char* const found = static_cast<const char*>(
        ::memmem(text.data() + begin, text.size() - begin, beginning_.data(), beginning_.size()));
    if (found == nullptr) return {};
    begin = static_cast<std::size_t>(found - text.data());
    const Match match = at(text, begin);
    if (match.id != TokenizerFile::kNoToken) return match;
  }
  return {};
}

AddedTokens::Match AddedTokens::at(std::string_view text, std::size_t begin) const {
  // The tokens that begin with what was read so far are neighbours, the one that ends here first.
  Match match;
  auto first = tokens_.begin();
  auto last = tokens_.end();
  for (std::size_t length = 0; first != last && begin + length <= text.size(); length++) {
    if (first->content.size() == length) {
      match = {begin, begin + length, first->id};
      ++first;
    }
    if (begin + length == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[begin + length]);
    const auto byte_of = [&](const TokenizerFile::AddedToken& token) {
      return static_cast<unsigned char>(token.content[length]);
    };
    first = std::lower_bound(
        first, last, byte, [&](const auto& token, unsigned char b) { return byte_of(token) < b; });
    last = std::upper_bound(first, last, byte,
                            [&](unsigned char b, const auto& token) { return b < byte_of(token); });
  }
  return match;
}

}  // namespace farsight
