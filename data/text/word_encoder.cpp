#include "data/text/word_encoder.h"

namespace farsight {

void WordEncoder::encode(std::string_view text, Ids& out) {
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    encode(split(at, end), out);
  }
}

std::span<const WordEncoder::Word> WordEncoder::split(const char*& at, const char* end) {
  std::size_t count = 0;
  for (; count < words_.size() && at != end; count++) {
    const char* const next = pre_tokens_.end_of_match(at, end);
    Word& word = words_[count];
    word.begin = at;
    word.bytes = static_cast<std::size_t>(next - at);
    if (word.bytes <= WordCache::kMostBytes) {
      word.key = end - at >= 16 ? WordCache::key_of_readable(at, word.bytes)
                                : WordCache::key_of(at, word.bytes);
      cache_.prefetch(word.key);
    }
    at = next;
  }
  return std::span(words_).first(count);
}

void WordEncoder::encode(std::span<const Word> words, Ids& out) {
  std::array<std::int32_t, WordCache::kMostTokens * std::tuple_size_v<decltype(words_)>> found;
  std::size_t count = 0;
  const auto flush = [&] {
    out.insert(out.end(), found.data(), found.data() + count);
    count = 0;
  };
  for (const Word& word : words) {
    const bool cached = word.bytes <= WordCache::kMostBytes;
    const std::size_t tokens = cached ? cache_.find(word.key, found.data() + count) : 0;
    count += tokens;
    if (tokens > 0) continue;
    flush();
    const std::size_t before = out.size();
    pairs_.encode({word.begin, word.bytes}, out);
    const std::span<const std::int32_t> made = std::span(out).subspan(before);
    if (cached && made.size() <= WordCache::kMostTokens) cache_.put(word.key, made);
  }
  flush();
}

}  // namespace farsight
