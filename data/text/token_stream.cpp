#include "core/utf8.h"
#include "data/text/tokenizer.h"

namespace farsight {
namespace {

/// Where the beginning of a character that may still be completed begins; the end without one.
std::size_t open_character(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); back++) {
    const std::size_t at = text.size() - back;
    if (!begins_character(text[at])) continue;
    // It is open when every completion is missing: U+FFFD would stand for all of it at once.
    std::string completed(text.substr(at));
    const auto lead = static_cast<unsigned char>(completed[0]);
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (length <= back) return text.size();
    // The second byte's range depends on the first; the later ones' does not.
    if (back == 1) {
      completed += lead == 0xE0 ? '\xA0' : lead == 0xF0 ? '\x90' : '\x80';
    }
    completed.resize(length, '\x80');
    return first_invalid_utf8(completed) ? text.size() : at;
  }
  return text.size();
}

}  // namespace

std::string TokenStream::push(std::int32_t id) {
  kept_ += tokenizer_.bytes_of(id);
  const std::size_t whole = open_character(kept_);
  const std::string text = replace_invalid_utf8(std::string_view(kept_).substr(0, whole));
  kept_.erase(0, whole);
  return text;
}

std::string TokenStream::finish() {
  const std::string text = replace_invalid_utf8(kept_);
  kept_.clear();
  return text;
}

}  // namespace farsight
