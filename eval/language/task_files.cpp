#include "eval/language/task_files.h"

#include <algorithm>
#include <charconv>
#include <span>
#include <string_view>

#include "core/check.h"
#include "data/corpus/byte_source.h"

namespace farsight {
namespace {

constexpr std::size_t kMostText = std::size_t{1} << 30;
constexpr std::size_t kLongestLine = std::size_t{16} << 20;
constexpr std::size_t kPiece = std::size_t{1} << 20;

Compression compression_of(const std::filesystem::path& path) {
  if (path.extension() == ".zst") return Compression::zstd;
  return path.extension() == ".gz" ? Compression::gzip : Compression::none;
}

}  // namespace

std::string read_text_file(const std::filesystem::path& path) {
  ByteSource source(path, compression_of(path));
  std::string text;
  for (std::size_t filled = 0;;) {
    text.resize(filled + kPiece);
    const std::size_t count =
        source.read(std::as_writable_bytes(std::span(text.data() + filled, kPiece)));
    filled += count;
    require(filled <= kMostText, ExitCode::corrupt, "{}: more than 1 GiB of text", path.string());
    if (count > 0) continue;
    text.resize(filled);
    break;
  }
  require(is_utf8(text), ExitCode::corrupt, "{}: the text is not UTF-8", path.string());
  return text;
}

std::vector<Json> read_json_lines(const std::filesystem::path& path, std::int64_t most) {
  const std::string file = path.string();
  const std::string text = read_text_file(path);
  std::vector<Json> values;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    require(line.size() <= kLongestLine, ExitCode::corrupt,
            "{}: a line of {} bytes, at most {} are read (byte {})", file, line.size(),
            kLongestLine, at);
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
      values.push_back(Json::parse(line, file, {}, at));
      if (most > 0 && static_cast<std::int64_t>(values.size()) == most) break;
    }
    at = end + 1;
  }
  return values;
}

std::vector<std::int64_t> read_label_lines(const std::filesystem::path& path,
                                           std::int64_t highest) {
  const std::string text = read_text_file(path);
  std::vector<std::int64_t> labels;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    at = end + 1;
    if (line.empty() && at >= text.size()) break;
    std::int64_t label = -1;
    const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), label);
    require(
        error == std::errc() && stop == line.data() + line.size() && label >= 0 && label <= highest,
        ExitCode::corrupt, "{}: line {}: expected a label from 0 to {}, got '{}'", path.string(),
        labels.size() + 1, highest, line);
    labels.push_back(label);
  }
  return labels;
}

}  // namespace farsight
