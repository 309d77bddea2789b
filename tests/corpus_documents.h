// The documents that files of a corpus have, and how others are refused.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/files.h"
#include "core/hash.h"
#include "data/corpus/corpus_files.h"
#include "data/corpus/record_reader.h"
#include "data/corpus/record_text.h"
#include "tests/temporary_folder.h"

namespace farsight {

inline CorpusInput input_of(const std::filesystem::path& path) {
  return {.name = path.string(),
          .kind = {},
          .bytes = std::filesystem::file_size(path),
          .xxh3 = hex(xxh3_of_file(path))};
}

/// The documents of some files; of one that was cut the pieces are put together.
inline std::vector<std::string> documents_in(const std::vector<std::string>& patterns,
                                             const CorpusReading& reading = {},
                                             std::int64_t* replaced = nullptr) {
  const std::vector<CorpusFile> files = corpus_files(patterns);
  std::vector<CorpusInput> inputs;
  for (const CorpusFile& file : files) {
    inputs.push_back(input_of(file.path));
  }
  CorpusReader reader(files, inputs, reading, {}, Cutting::allowed);
  RecordBatch batch;
  std::vector<std::string> texts;
  bool goes_on = false;
  while (reader.next(batch)) {
    for (const Record& record : batch.records) {
      std::string space;
      const RecordText text = text_of(batch, record, files[batch.file], reading, space);
      if (!goes_on) texts.emplace_back();
      texts.back() += text.text;
      goes_on = !record.ends_document;
      if (replaced != nullptr) *replaced += text.replaced;
    }
  }
  CHECK_FALSE(goes_on);
  return texts;
}

/// A file of this name and contents, read.
class OneFile {
 public:
  OneFile(const std::string& name, std::string_view contents) : path_((folder_ / name).string()) {
    write_plainly(path_, contents);
  }
  std::vector<std::string> read(const CorpusReading& reading = {}) const {
    return documents_in({path_}, reading);
  }
  std::string refusal(ExitCode expected, const CorpusReading& reading = {}) const {
    ExitCode code = ExitCode::ok;
    const std::string message = error_of([&] { read(reading); }, &code);
    CHECK(code == expected);
    CHECK(mentions(message, path_));
    return message;
  }

 private:
  TemporaryFolder folder_;
  std::string path_;
};

inline CorpusReading text_with(TextDocuments documents) {
  return {.documents = documents};
}

}  // namespace farsight
