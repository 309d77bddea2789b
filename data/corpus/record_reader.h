// The files of a corpus as records: the pieces of text that are tokenised by themselves. Cutting is
// quick and done by one thread; what is in a record (data/corpus/record_text.h) is looked at by many.
//
// A line of a JSON-lines file is a record, and so is what stands between separators of a text file. A
// text file that is one document is cut into several, in front of white space that follows on
// something else: no token of a GPT-2-like tokenizer reaches over such a place (its pattern matches
// white space in front of a word, never behind one), so the pieces have the tokens of the whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/corpus/corpus_files.h"
#include "data/corpus/shard_manifest.h"

namespace farsight {

struct Record {
  std::size_t begin = 0, bytes = 0;  ///< within RecordBatch::bytes
  std::int64_t line = 1;             ///< of the file, that it begins in
  std::uint64_t column = 0;          ///< bytes of that line before it
  bool ends_document = true;
};

/// Consecutive records of one file.
struct RecordBatch {
  std::size_t file = 0;           ///< which of the corpus
  std::int64_t first_record = 0;  ///< which of the file
  std::string bytes;
  std::vector<Record> records;
  std::uint64_t input_bytes = 0;  ///< of all files as they lie there, read so far
};

/// Where to go on: a record of a file.
struct CorpusPlace {
  std::uint64_t file = 0;
  std::int64_t record = 0;
};

/// Whether a text file that is one document may be cut: not when a token reaches over white space.
enum class Cutting { allowed, never };

class FileRecords;

/// Reads the files in order, from a place on. Memory: a piece of a file, and the longest record.
class CorpusReader {
 public:
  /// `inputs`: sizes and hashes of the same files, which each must still have when it was read.
  CorpusReader(std::vector<CorpusFile> files, std::vector<CorpusInput> inputs,
               const CorpusReading& reading, CorpusPlace from, Cutting cutting);
  ~CorpusReader();
  CorpusReader(const CorpusReader&) = delete;
  CorpusReader& operator=(const CorpusReader&) = delete;

  /// The next records, some hundred KiB or one that is larger; false at the end. Throws
  /// Error(corrupt) naming file and line for a line that is too long, a file without a document or
  /// one that changed since it was hashed.
  bool next(RecordBatch& batch);

 private:
  void open_file();
  void close_file();

  std::vector<CorpusFile> files_;
  std::vector<CorpusInput> inputs_;
  CorpusReading reading_;
  CorpusPlace place_;
  Cutting cutting_;
  std::uint64_t bytes_before_ = 0;  ///< of the files that are done
  std::unique_ptr<FileRecords> open_;
};

}  // namespace farsight
