#include "data/corpus/corpus_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/check.h"
#include "core/files.h"
#include "core/hash.h"
#include "data/corpus/file_hashes.h"

namespace farsight {
namespace {

constexpr std::string_view kEndOfText = "<|endoftext|>";

std::string kind_of(const CorpusFile& file) {
  const std::string_view packed = file.compression == Compression::zstd   ? ".zst"
                                  : file.compression == Compression::gzip ? ".gz"
                                                                          : "";
  return fmt::format("{}{}", file.form == TextForm::json_lines ? "jsonl" : "txt", packed);
}

/// XXH3 of a file, told about on the way.
std::uint64_t hash_of(const InputFile& file, BuildReporter& reporter) {
  std::vector<std::byte> piece(std::size_t{1} << 20);
  Xxh3 hash;
  for (std::uint64_t at = 0; at < file.bytes(); at += piece.size()) {
    piece.resize(std::min<std::uint64_t>(piece.size(), file.bytes() - at));
    file.read_at(at, piece);
    hash.update(piece);
    reporter.state.input_bytes += piece.size();
    reporter.tell();
  }
  return hash.value();
}

ShardManifest::Tokenizer identity_of(const Tokenizer& tokenizer, const Packing& packing) {
  const auto end_of_text = tokenizer.id_of(kEndOfText);
  require(end_of_text.has_value() || !packing.end_of_text, ExitCode::data,
          "an end-of-text token is to stand behind every document, and the tokenizer has no {}",
          kEndOfText);
  return {.fingerprint = tokenizer.fingerprint(),
          .vocabulary = tokenizer.size(),
          .end_of_text = end_of_text.value_or(-1)};
}

}  // namespace

CorpusPlan corpus_plan(const std::vector<std::string>& patterns, const Tokenizer& tokenizer,
                       const CorpusSettings& settings, const std::filesystem::path& hashes,
                       BuildReporter& reporter) {
  CorpusPlan plan{.files = corpus_files(patterns), .manifest = {}};
  ShardManifest& manifest = plan.manifest;
  manifest.tokenizer = identity_of(tokenizer, settings.packing);
  manifest.token_bytes = tokenizer.size() <= kNarrowVocabulary ? 2 : 4;
  manifest.reading = settings.reading;
  manifest.packing = settings.packing;
  reporter.state.stage = "hashing";
  for (const CorpusFile& file : plan.files) {
    reporter.state.total_input_bytes += InputFile(file.path).bytes();
  }
  for (const CorpusFile& file : plan.files) {
    const InputFile input(file.path);
    require(input.bytes() > 0, ExitCode::corrupt, "{}: the file is empty", input.path());
    const auto compute = [&] { return hash_of(input, reporter); };
    const std::uint64_t hash =
        hashes.empty() ? compute() : remembered_hash(hashes, file.path, compute);
    manifest.inputs.push_back({.name = file.path.string(),
                               .kind = kind_of(file),
                               .bytes = input.bytes(),
                               .xxh3 = hex(hash)});
  }
  return plan;
}

}  // namespace farsight
