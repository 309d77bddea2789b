#include "data/corpus/text_stream.h"

#include <algorithm>
#include <array>
#include <span>

#include "core/check.h"

namespace farsight {
namespace {

constexpr std::size_t kFillBytes = std::size_t{1} << 18;
constexpr std::size_t kBeginning = 512;  // what a web page is recognised by
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

/// Does the text end in a character that is no white space, in any script?
bool ends_in_ink(std::string_view text) {
  if (text.empty()) return false;
  const auto last = static_cast<unsigned char>(text.back());
  if (last < 0x80) return last > 0x20 && last < 0x7f;
  constexpr std::array<std::string_view, 9> kSpaces = {
      "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe1\xa0\x8e", "\xe2\x80\xa8",
      "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
  for (const std::string_view space : kSpaces) {
    if (text.ends_with(space)) return false;
  }
  const bool general_punctuation =
      text.size() >= 3 && text.substr(text.size() - 3, 2) == "\xe2\x80";
  return !general_punctuation || last > 0x8f;  // U+2000 ... U+200F: spaces of several widths
}

}  // namespace

TextStream::TextStream(const CorpusFile& file) : source_(file.path, file.compression) {
  while (held().size() < kBeginning && fill()) {
  }
  const std::string_view found = recognised_content(held());
  require(found.empty(), ExitCode::corrupt, "{}: expected text in it, this is {}", source_.path(),
          found);
  if (held().starts_with(kByteOrderMark)) begin_ = kByteOrderMark.size();
}

bool TextStream::fill() {
  if (ended_) return false;
  buffer_.erase(0, begin_);
  begin_ = 0;
  const std::size_t had = buffer_.size();
  buffer_.resize(had + kFillBytes);
  const std::size_t got = source_.read(std::as_writable_bytes(std::span(buffer_)).subspan(had));
  buffer_.resize(had + got);
  ended_ = got == 0;
  return !ended_;
}

void TextStream::drop(std::size_t bytes) {
  const std::string_view dropped = held().substr(0, bytes);
  const auto breaks = std::count(dropped.begin(), dropped.end(), '\n');
  line_ += breaks;
  column_ = breaks == 0 ? column_ + bytes : bytes - dropped.rfind('\n') - 1;
  begin_ += bytes;
}

std::size_t place_to_cut(std::string_view text, std::size_t from) {
  for (std::size_t i = std::max<std::size_t>(from, 1); i < text.size(); i++) {
    const bool space = text[i] == ' ' || text[i] == '\n' || text[i] == '\t';
    if (space && ends_in_ink(text.substr(0, i))) return i;
  }
  return std::string_view::npos;
}

}  // namespace farsight
