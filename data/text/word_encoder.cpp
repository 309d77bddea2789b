#include "data/text/word_encoder.h"

namespace farsight {

void WordEncoder::encode(std::string_view text, Ids& out) {
  const char* at = text.data();
  const char* const end = at + text.size();
  std::size_t count = 0;
  const auto flush = [&] {
    out.insert(out.end(), found_.begin(), found_.begin() + static_cast<std::ptrdiff_t>(count));
    count = 0;
  };
  while (at != end) {
    const char* const next = pre_tokens_.end_of_match(at, end);
    const auto bytes = static_cast<std::size_t>(next - at);
    if (bytes <= WordCache::kMostBytes) {
      const WordCache::Key key =
          end - at >= 16 ? WordCache::key_of_readable(at, bytes) : WordCache::key_of(at, bytes);
      const std::size_t tokens = cache_.find(key, found_.data() + count);
      if (tokens > 0) {
        count += tokens;
        at = next;
        if (count + WordCache::kMostTokens > found_.size()) flush();
        continue;
      }
      flush();
      const std::size_t before = out.size();
      pairs_.encode({at, bytes}, out);
      const std::span<const std::int32_t> made = std::span(out).subspan(before);
      if (made.size() <= WordCache::kMostTokens) cache_.put(key, made);
    } else {
      flush();
      pairs_.encode({at, bytes}, out);
    }
    at = next;
  }
  flush();
}

}  // namespace farsight
