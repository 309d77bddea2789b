// What a record of a corpus says.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "data/corpus/record_reader.h"

namespace farsight {

/// A record's text in UTF-8; `replaced`: how many invalid sequences became U+FFFD.
struct RecordText {
  std::string_view text;  ///< of the batch, or of the `space` that was lent
  std::int64_t replaced = 0;
};

/// Throws Error(corrupt), naming file, line and byte of the line (from 1), for bytes that are not
/// UTF-8 (if they are to stop the reading) and for a line that is no JSON object with the field.
RecordText text_of(const RecordBatch& batch, const Record& record, const CorpusFile& file,
                   const CorpusReading& reading, std::string& space);

}  // namespace farsight
