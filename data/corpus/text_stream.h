// The unpacked bytes of a corpus file, as far as they were read and are still wanted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "data/corpus/byte_source.h"
#include "data/corpus/corpus_files.h"

namespace farsight {

class TextStream {
 public:
  /// Passes over a byte order mark. Throws as ByteSource, and Error(corrupt) when what is packed in
  /// the file is no text but a web page, another archive and the like.
  explicit TextStream(const CorpusFile& file);

  const ByteSource& source() const { return source_; }
  /// What was read and not dropped. Views of it end with the next fill().
  std::string_view held() const { return std::string_view(buffer_).substr(begin_); }
  /// Reads on; false at the end.
  bool fill();
  void drop(std::size_t bytes);

  /// Where held() begins: the line of the file, from 1, and the bytes of that line before it.
  std::int64_t line() const { return line_; }
  std::uint64_t column() const { return column_; }

 private:
  ByteSource source_;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::int64_t line_ = 1;
  std::uint64_t column_ = 0;
  bool ended_ = false;
};

/// The first place from `from` on where a text may be cut without a token reaching over it: in front
/// of a space, a tab or a line break that follows on something else than white space. npos: none.
std::size_t place_to_cut(std::string_view text, std::size_t from);

}  // namespace farsight
