#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>

#include "core/check.h"
#include "core/files.h"
#include "data/corpus/llmc_header.h"
#include "data/corpus/token_bin.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostOfHeader = std::int64_t{1} << 31;  // its number of ids is an i32
constexpr std::size_t kPieceIds = std::size_t{1} << 18;

/// Ids that go into files as they come.
class BinWriter {
 public:
  BinWriter(OutputFile& file, int token_bytes) : file_(file), token_bytes_(token_bytes) {}

  void write(std::span<const std::int32_t> ids) {
    std::vector<std::byte> bytes(ids.size() * static_cast<std::size_t>(token_bytes_));
    std::byte* to = bytes.data();
    for (const std::int32_t id : ids) {
      std::memcpy(to, &id, static_cast<std::size_t>(token_bytes_));  // little-endian: its low bytes
      to += token_bytes_;
    }
    file_.write(bytes);
  }

 private:
  OutputFile& file_;
  int token_bytes_;
};

/// The ids of a corpus one after another, with or without something behind every document.
class Ids {
 public:
  Ids(const TokenShards& corpus, std::optional<std::int32_t> behind)
      : corpus_(corpus), behind_(behind) {}

  std::int64_t count() const { return corpus_.tokens() + (behind_ ? corpus_.documents() : 0); }

  /// The next ids, some of the `most` that are wanted.
  void next(std::int64_t most, std::vector<std::int32_t>& ids) {
    ids.clear();
    const auto wanted = static_cast<std::size_t>(
        std::min<std::int64_t>(most, static_cast<std::int64_t>(kPieceIds)));
    while (ids.size() < wanted) {
      const std::int64_t end = behind_ ? corpus_.document(document_).end : corpus_.tokens();
      const std::size_t had = ids.size();
      const auto here = std::min(wanted - had, static_cast<std::size_t>(end - token_));
      ids.resize(had + here);
      corpus_.copy(token_, std::span(ids).subspan(had));
      token_ += static_cast<std::int64_t>(here);
      if (behind_ && token_ == end && ids.size() < wanted) {
        ids.push_back(*behind_);
        document_++;
      }
    }
  }

 private:
  const TokenShards& corpus_;
  std::optional<std::int32_t> behind_;
  std::int64_t token_ = 0, document_ = 0;
};

std::vector<std::byte> llmc_header(std::int64_t tokens, int token_bytes) {
  const LlmcVariant& variant = kLlmcVariants[token_bytes == 2 ? 0 : 1];
  std::array<std::int32_t, 256> header = {variant.magic, variant.version,
                                          static_cast<std::int32_t>(tokens)};
  const auto bytes = std::as_bytes(std::span(header));
  return {bytes.begin(), bytes.end()};
}

fs::path numbered(fs::path path, std::int64_t number) {
  path.replace_extension();
  path += fmt::format("_{:06}.bin", number);
  return path;
}

/// The files that are written, none of which may be there, nor one that a reader of FILE_*.bin would take
/// for the next of them.
std::vector<fs::path> names_of(const fs::path& path, const TokenBinExport& how,
                               std::int64_t count) {
  std::vector<fs::path> names;
  if (how.tokens_per_file > 0 && fs::exists(numbered(path, count + 1))) {
    fail(ExitCode::usage,
         "'{}' is there already and would be read behind the {} files of this export; move it away "
         "or choose another name",
         numbered(path, count + 1).string(), count);
  }
  for (std::int64_t i = 0; i < count; i++) {
    const fs::path name = how.tokens_per_file > 0 ? numbered(path, i + 1) : path;
    require(how.overwrite || !fs::exists(name), ExitCode::usage,
            "'{}' is there already, and nothing is overwritten; choose another name, or "
            "--overwrite replaces it",
            name.string());
    names.push_back(name);
  }
  return names;
}

}  // namespace

std::vector<fs::path> export_token_bin(const TokenShards& corpus, const fs::path& path,
                                       const TokenBinExport& how) {
  const ShardManifest& manifest = corpus.manifest();
  const bool narrow = manifest.tokenizer.vocabulary <= kNarrowVocabulary;
  require(narrow || how.format == TokenBinFormat::llmc, ExitCode::data,
          "nanoGPT's token files have ids below {}, and the vocabulary is {}; llmc has room",
          kNarrowVocabulary, manifest.tokenizer.vocabulary);
  std::optional<std::int32_t> behind;
  if (how.end_of_text && !manifest.packing.end_of_text) {
    require(manifest.tokenizer.end_of_text >= 0, ExitCode::data,
            "the corpus knows no end-of-text id to put behind its documents");
    behind = static_cast<std::int32_t>(manifest.tokenizer.end_of_text);
  }
  Ids ids(corpus, behind);
  const std::int64_t most = how.tokens_per_file == 0 ? ids.count() : how.tokens_per_file;
  require(how.format == TokenBinFormat::nanogpt || std::min(most, ids.count()) < kMostOfHeader,
          ExitCode::data,
          "a token file of llm.c has less than 2^31 ids, and the corpus has {}; write several "
          "(--tokens-per-file)",
          ids.count());
  const int token_bytes = narrow ? 2 : 4;
  const std::vector<fs::path> files = names_of(path, how, (ids.count() + most - 1) / most);
  std::vector<std::int32_t> piece;
  std::int64_t done = 0;
  for (const fs::path& name : files) {
    const std::int64_t count = std::min(most, ids.count() - done);
    done += count;
    write_file_atomically(name, [&](OutputFile& file) {
      file.set_needed_bytes(static_cast<std::uint64_t>(count * token_bytes) + kLlmcHeaderBytes);
      if (how.format == TokenBinFormat::llmc) file.write(llmc_header(count, token_bytes));
      BinWriter writer(file, token_bytes);
      for (std::int64_t left = count; left > 0; left -= static_cast<std::int64_t>(piece.size())) {
        ids.next(left, piece);
        writer.write(piece);
      }
    });
  }
  return files;
}

}  // namespace farsight
