// farsight tokenize < text > ids, farsight detokenize < ids > text
#pragma once

#include <iosfwd>
#include <span>
#include <string>

#include "data/text/tokenizer.h"

namespace farsight {

inline constexpr const char* kTokenizeHelp =
    "text to token ids, a JSON array a line, by a tokenizer.json of the GPT-2 and GPT-NeoX kind";
inline constexpr const char* kDetokenizeHelp = "token ids, a JSON array a line, to text";

/// `words`: those after the verb. Return the exit code.
int run_tokenize(std::span<const std::string> words);
int run_detokenize(std::span<const std::string> words);

/// What is one document.
enum class DocumentForm {
  line,       ///< a line, without its line feed
  json_line,  ///< a line that is a JSON string: "two\nlines"
  whole       ///< everything
};

/// One array of ids a line for every document. A few megabytes are held at a time, or the longest
/// document: a line of at most 1 GiB, a whole one of less than 2. Throws Error(data), naming the line, for what is not valid UTF-8 unless `replace` puts
/// U+FFFD there, and Error(corrupt) for what is no JSON string.
void tokenize(const Tokenizer& tokenizer, std::istream& text, std::ostream& ids, DocumentForm form,
              bool replace);

/// The reverse: every line of `ids` is an array; every document is followed by a line feed, but not
/// a whole one. A token may end within a character: then the text is not valid UTF-8; as a JSON
/// string it has U+FFFD there. Throws Error(data), naming the line, for what is no array of ids.
void detokenize(const Tokenizer& tokenizer, std::istream& ids, std::ostream& text,
                DocumentForm form);

}  // namespace farsight
