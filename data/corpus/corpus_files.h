// Which files a corpus is made of: patterns become paths, and a name says how its file is read.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/corpus/byte_source.h"

namespace farsight {

/// .txt, .text, .raw: text; .jsonl, .ndjson, .json: an object a line.
enum class TextForm { plain, json_lines };

struct CorpusFile {
  std::filesystem::path path;
  TextForm form = TextForm::plain;
  Compression compression = Compression::none;  ///< .zst, .gz behind the rest of the name
};

/// How a file of this name is read. Throws Error(data) for a kind that is not, saying what to do:
/// .parquet has to be converted elsewhere.
CorpusFile corpus_file(const std::filesystem::path& path);

/// "a.txt, b/*.jsonl" -> {"a.txt", "b/*.jsonl"}: the list of an option or a setting.
std::vector<std::string> patterns_in(std::string_view list);

/// The paths that these paths and patterns (*, ?, [...] as in the shell) name: in the order given,
/// those of one pattern in the order of their bytes. Throws Error(data) for a pattern without a
/// match, a file that is named twice, a folder; Error(storage) for a path that is not there.
std::vector<std::filesystem::path> paths_of(const std::vector<std::string>& patterns);

/// corpus_file of each of paths_of.
std::vector<CorpusFile> corpus_files(const std::vector<std::string>& patterns);

}  // namespace farsight
