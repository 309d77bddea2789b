#include "data/corpus/record_reader.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "core/hash.h"
#include "data/corpus/text_stream.h"

namespace farsight {
namespace {

constexpr std::size_t kBatchBytes = std::size_t{1} << 18;
constexpr std::size_t kBatchRecords = 4096;
/// A text file that is one document is cut at the first place behind so many bytes.
constexpr std::size_t kCutBytes = std::size_t{1} << 17;
constexpr std::string_view kSeparator = "<|endoftext|>";

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\v\f") == std::string_view::npos;
}

std::size_t line_break_before(std::string_view text) {
  return text.starts_with('\n') ? 1 : text.starts_with("\r\n") ? 2 : 0;
}

std::size_t line_break_behind(std::string_view text) {
  return text.ends_with("\r\n") ? 2 : text.ends_with('\n') ? 1 : 0;
}

}  // namespace

/// The records of one file.
class FileRecords {
 public:
  FileRecords(const CorpusFile& file, const CorpusReading& reading, Cutting cutting)
      : reading_(reading), form_(file.form), cutting_(cutting), stream_(file) {}

  const ByteSource& source() const { return stream_.source(); }

  /// Appends the next record to the batch; false at the end.
  bool next(RecordBatch& batch) {
    Record record{.begin = batch.bytes.size()};
    if (!read(batch.bytes, record)) {
      require(any_, ExitCode::corrupt, "{}: there is no document in it", source().path());
      return false;
    }
    any_ = true;
    record.bytes = batch.bytes.size() - record.begin;
    batch.records.push_back(record);
    return true;
  }

 private:
  /// A line: its bytes, and how many these are with its end.
  struct Line {
    std::size_t bytes = 0, with_end = 0;
  };

  bool read(std::string& to, Record& record) {
    if (form_ == TextForm::json_lines) return read_object(to, record);
    switch (reading_.documents) {
      case TextDocuments::whole_file:
        return read_piece(to, record);
      case TextDocuments::end_of_text:
        return read_between_separators(to, record);
      case TextDocuments::blank_line:
        return read_paragraph(to, record);
    }
    return false;
  }

  void require_room(std::size_t bytes, std::string_view what) const {
    require(bytes <= reading_.longest_line, ExitCode::corrupt,
            "{}, line {}: {} is longer than {} bytes; --longest-line takes longer ones",
            source().path(), stream_.line(), what, reading_.longest_line);
  }

  void begin_here(Record& record) const {
    record.line = stream_.line();
    record.column = stream_.column();
  }

  void take(std::size_t bytes, std::string& to) {
    to.append(stream_.held().substr(0, bytes));
    stream_.drop(bytes);
  }

  std::optional<Line> find_line() {
    std::size_t searched = 0;
    while (true) {
      const std::size_t at = stream_.held().find('\n', searched);
      if (at != std::string_view::npos) {
        require_room(at, "the line");
        return Line{at, at + 1};
      }
      searched = stream_.held().size();
      require_room(searched, "the line");
      if (stream_.fill()) continue;
      if (searched == 0) return std::nullopt;
      return Line{searched, searched};
    }
  }

  bool read_object(std::string& to, Record& record) {
    while (const auto line = find_line()) {
      begin_here(record);
      const bool blank = is_blank(stream_.held().substr(0, line->bytes));
      if (!blank) to.append(stream_.held().substr(0, line->bytes));
      stream_.drop(line->with_end);
      if (!blank) return true;
    }
    return false;
  }

  bool read_piece(std::string& to, Record& record) {
    std::size_t searched = kCutBytes, cut = std::string_view::npos;
    while (true) {
      if (cutting_ == Cutting::allowed) cut = place_to_cut(stream_.held(), searched);
      if (cut != std::string_view::npos) break;
      searched = std::max(searched, stream_.held().size());
      require_room(stream_.held().size(), "the text without a place to cut it");
      if (!stream_.fill()) break;
    }
    if (stream_.held().empty()) return false;
    begin_here(record);
    record.ends_document = cut == std::string_view::npos;
    take(std::min(cut, stream_.held().size()), to);
    return true;
  }

  /// Bytes before the next separator; nothing when there is none any more.
  std::optional<std::size_t> find_separator() {
    std::size_t searched = 0;
    while (true) {
      const std::size_t at = stream_.held().find(kSeparator, searched);
      if (at != std::string_view::npos) {
        require_room(at, "the document");
        return at;
      }
      const std::size_t held = stream_.held().size();
      searched = held - std::min(held, kSeparator.size() - 1);
      require_room(searched, "the document");
      if (!stream_.fill()) return std::nullopt;
    }
  }

  bool read_between_separators(std::string& to, Record& record) {
    while (true) {
      const std::optional<std::size_t> separator = find_separator();
      std::size_t bytes = separator.value_or(stream_.held().size());
      if (behind_separator_) {
        const std::size_t passed = line_break_before(stream_.held().substr(0, bytes));
        stream_.drop(passed);
        bytes -= passed;
      }
      begin_here(record);
      const std::size_t passed =
          separator ? line_break_behind(stream_.held().substr(0, bytes)) : std::size_t{0};
      take(bytes - passed, to);
      stream_.drop(passed + (separator ? kSeparator.size() : 0));
      behind_separator_ = separator.has_value();
      if (bytes > passed) return true;
      if (!separator) return false;
    }
  }

  bool read_paragraph(std::string& to, Record& record) {
    const std::size_t begin = to.size();
    while (const auto line = find_line()) {
      const std::string_view text = stream_.held().substr(0, line->bytes);
      const bool blank = is_blank(text);
      if (!blank) {
        if (to.size() == begin) {
          begin_here(record);
        } else {
          to += '\n';
        }
        to.append(text);
        require_room(to.size() - begin, "the document");
      }
      stream_.drop(line->with_end);
      if (blank && to.size() > begin) break;
    }
    if (to.size() > begin && to.back() == '\r') to.pop_back();
    return to.size() > begin;
  }

  CorpusReading reading_;
  TextForm form_;
  Cutting cutting_;
  TextStream stream_;
  bool any_ = false, behind_separator_ = false;
};

CorpusReader::CorpusReader(std::vector<CorpusFile> files, std::vector<CorpusInput> inputs,
                           const CorpusReading& reading, CorpusPlace from, Cutting cutting)
    : files_(std::move(files)),
      inputs_(std::move(inputs)),
      reading_(reading),
      place_(from),
      cutting_(cutting) {
  check(files_.size() == inputs_.size(), "CorpusReader: {} files and {} inputs", files_.size(),
        inputs_.size());
  check(from.file <= files_.size(), "CorpusReader: there is no file {}", from.file);
  for (std::size_t i = 0; i < from.file; i++) {
    bytes_before_ += inputs_[i].bytes;
  }
}

CorpusReader::~CorpusReader() = default;

void CorpusReader::open_file() {
  open_ = std::make_unique<FileRecords>(files_[place_.file], reading_, cutting_);
  const std::int64_t skipped = std::exchange(place_.record, 0);
  RecordBatch passed;
  while (place_.record < skipped && open_->next(passed)) {
    passed.bytes.clear();
    passed.records.clear();
    place_.record++;
  }
}

void CorpusReader::close_file() {
  const CorpusInput& input = inputs_[place_.file];
  const ByteSource& source = open_->source();
  require(source.packed_bytes_read() == input.bytes && hex(source.packed_xxh3()) == input.xxh3,
          ExitCode::corrupt, "{}: the file was changed while it was read", source.path());
  bytes_before_ += input.bytes;
  place_ = {place_.file + 1, 0};
  open_.reset();
}

bool CorpusReader::next(RecordBatch& batch) {
  batch.bytes.clear();
  batch.records.clear();
  while (place_.file < files_.size()) {
    if (!open_) open_file();
    batch.file = place_.file;
    batch.first_record = place_.record;
    while (batch.bytes.size() < kBatchBytes && batch.records.size() < kBatchRecords &&
           open_->next(batch)) {
      place_.record++;
    }
    batch.input_bytes = bytes_before_ + open_->source().packed_bytes_read();
    // What ended with the file is all there is to be read of it.
    if (batch.bytes.size() < kBatchBytes && batch.records.size() < kBatchRecords) close_file();
    if (!batch.records.empty()) return true;
  }
  return false;
}

}  // namespace farsight
