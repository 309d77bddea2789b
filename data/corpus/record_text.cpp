#include "data/corpus/record_text.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/check.h"
#include "core/utf8.h"
#include "data/corpus/json_field.h"

namespace farsight {
namespace {

/// Refuses a byte of a record by its place in the file.
[[noreturn]] void refuse_byte(const CorpusFile& file, const Record& record, std::string_view raw,
                              std::size_t byte, std::string_view sentence) {
  const std::string_view before = raw.substr(0, byte);
  const auto breaks = std::count(before.begin(), before.end(), '\n');
  const std::uint64_t column = breaks == 0 ? record.column + byte : byte - before.rfind('\n') - 1;
  fail(ExitCode::corrupt, "{}, line {}, byte {}: {}", file.path.string(), record.line + breaks,
       column + 1, sentence);
}

std::int64_t replacements_in(std::string_view text) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  std::int64_t count = 0;
  for (std::size_t at = text.find(kReplacement); at != std::string_view::npos;
       at = text.find(kReplacement, at + kReplacement.size())) {
    count++;
  }
  return count;
}

}  // namespace

RecordText text_of(const RecordBatch& batch, const Record& record, const CorpusFile& file,
                   const CorpusReading& reading, std::string& space) {
  std::string_view raw = std::string_view(batch.bytes).substr(record.begin, record.bytes);
  const bool replace = reading.invalid_utf8 == InvalidUtf8::replace;
  RecordText result;
  std::string repaired;
  if (const auto bad = first_invalid_utf8(raw)) {
    if (!replace) {
      refuse_byte(file, record, raw, *bad,
                  fmt::format("0x{:02X} is not UTF-8 (--invalid-utf8 replace puts U+FFFD there; in "
                              "training --data.invalid_utf8 replace)",
                              static_cast<unsigned char>(raw[*bad])));
    }
    repaired = replace_invalid_utf8(raw);
    result.replaced = replacements_in(repaired) - replacements_in(raw);
    raw = repaired;
  }
  space.clear();
  if (file.form == TextForm::json_lines) {
    try {
      result.replaced += append_json_field(raw, reading.field, replace, space);
    } catch (const LineFault& fault) {
      refuse_byte(file, record, raw, fault.byte, fault.what());
    }
    result.text = space;
  } else if (!repaired.empty()) {
    space = std::move(repaired);
    result.text = space;
  } else {
    result.text = raw;
  }
  return result;
}

}  // namespace farsight
