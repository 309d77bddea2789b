#include "data/corpus/corpus_files.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <map>
#include <string_view>
#include <system_error>

#include "core/check.h"
#include "core/file_calls.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kKnown =
    ".txt, .text, .raw, .jsonl, .ndjson, .json, each also with .zst or .gz behind it";

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// What to do about a file of a kind that is not read.
std::string advice_for(std::string_view extension) {
  if (is_one_of(extension, {".parquet", ".arrow", ".feather"})) {
    return "convert it to JSON lines elsewhere (in Python: "
           "pandas.read_parquet(FILE).to_json(\"FILE.jsonl\", orient=\"records\", lines=True))";
  }
  if (is_one_of(extension, {".xz", ".bz2", ".lz4", ".br", ".7z"})) {
    return "pack it again with zstd or gzip";
  }
  if (is_one_of(extension, {".zip", ".tar", ".tgz", ".rar"})) return "unpack it first";
  if (extension == ".bin") return "token ids come in with `farsight corpus import`";
  return fmt::format("known are {}", kKnown);
}

/// Paths that a pattern matches, in the order of their bytes.
std::vector<fs::path> matches(const std::string& pattern) {
  glob_t found = {};
  // GLOB_ERR: a folder that cannot be read is no folder without files.
  const int result = ::glob(pattern.c_str(), GLOB_ERR | GLOB_NOSORT, nullptr, &found);
  std::vector<fs::path> paths;
  for (std::size_t i = 0; result == 0 && i < found.gl_pathc; i++) {
    paths.emplace_back(found.gl_pathv[i]);
  }
  ::globfree(&found);
  require(result != GLOB_ABORTED, ExitCode::storage, "cannot look for '{}': {}", pattern,
          reason(errno));
  require(!paths.empty(), ExitCode::data, "no file matches '{}'", pattern);
  std::sort(paths.begin(), paths.end(),
            [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); });
  return paths;
}

}  // namespace

CorpusFile corpus_file(const fs::path& path) {
  CorpusFile file{.path = path};
  fs::path name = lower_case(path.filename().string());
  if (is_one_of(name.extension().string(), {".zst", ".zstd", ".gz"})) {
    file.compression = name.extension() == ".gz" ? Compression::gzip : Compression::zstd;
    name = name.stem();
  }
  const std::string extension = name.extension().string();
  if (is_one_of(extension, {".txt", ".text", ".raw"})) return file;
  if (is_one_of(extension, {".jsonl", ".ndjson", ".json"})) {
    file.form = TextForm::json_lines;
    return file;
  }
  if (extension.empty()) {
    fail(ExitCode::data, "{}: its name does not say what it holds; {}", path.string(),
         advice_for(extension));
  }
  fail(ExitCode::data, "{}: {} files are not read; {}", path.string(), extension,
       advice_for(extension));
}

std::vector<std::string> patterns_in(std::string_view list) {
  std::vector<std::string> patterns;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    std::string_view pattern = list.substr(0, comma);
    pattern.remove_prefix(std::min(pattern.find_first_not_of(' '), pattern.size()));
    pattern = pattern.substr(0, pattern.find_last_not_of(' ') + 1);
    if (!pattern.empty()) patterns.emplace_back(pattern);
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return patterns;
}

std::vector<fs::path> paths_of(const std::vector<std::string>& patterns) {
  require(!patterns.empty(), ExitCode::data, "no file is named");
  std::vector<fs::path> paths;
  std::map<fs::path, std::string> pattern_of;
  for (const std::string& pattern : patterns) {
    std::error_code unknown;
    // A file of this very name comes first: names may have brackets in them.
    const bool is_path =
        pattern.find_first_of("*?[") == std::string::npos || fs::exists(fs::path(pattern), unknown);
    for (const fs::path& path : is_path ? std::vector<fs::path>{pattern} : matches(pattern)) {
      const fs::file_status status = fs::status(path, unknown);
      require(fs::exists(status), ExitCode::storage, "cannot open {}: {}", path.string(),
              unknown.message());
      require(!fs::is_directory(status), ExitCode::data,
              "{} is a folder; name its files, as in '{}'", path.string(),
              (path / "*.jsonl.zst").string());
      const auto [at, is_new] = pattern_of.try_emplace(fs::weakly_canonical(path), pattern);
      require(is_new, ExitCode::data, "{} is named twice, by '{}' and by '{}'", path.string(),
              at->second, pattern);
      paths.push_back(path);
    }
  }
  return paths;
}

std::vector<CorpusFile> corpus_files(const std::vector<std::string>& patterns) {
  std::vector<CorpusFile> files;
  for (const fs::path& path : paths_of(patterns)) {
    files.push_back(corpus_file(path));
  }
  return files;
}

}  // namespace farsight
