#include "data/corpus/token_bin.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "core/bounded_reader.h"
#include "core/check.h"
#include "core/files.h"
#include "core/utf8.h"
#include "data/corpus/byte_source.h"
#include "data/corpus/corpus_files.h"
#include "data/corpus/corpus_folder.h"
#include "data/corpus/llmc_header.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 2> kNames = {"nanogpt", "llmc"};
constexpr std::size_t kPieceIds = std::size_t{1} << 18;

/// A file of ids, its header read.
struct TokenBin {
  TokenBinFormat format = TokenBinFormat::nanogpt;
  int token_bytes = 2;
  std::uint64_t first_byte = 0;
  std::int64_t tokens = 0;
};

const LlmcVariant* variant_of(std::uint32_t magic) {
  const auto at =
      std::find_if(kLlmcVariants.begin(), kLlmcVariants.end(), [&](const LlmcVariant& variant) {
        return static_cast<std::uint32_t>(variant.magic) == magic;
      });
  return at == kLlmcVariants.end() ? nullptr : &*at;
}

TokenBin llmc_bin(const InputFile& file, std::span<const std::byte> bytes) {
  BoundedReader reader(bytes, file.path());
  const LlmcVariant* variant = variant_of(reader.u32("magic"));
  if (variant == nullptr) refuse({file.path(), 0}, "this is no token file of llm.c");
  const std::uint32_t version = reader.u32("version");
  if (version != static_cast<std::uint32_t>(variant->version)) {
    refuse({file.path(), 4}, "llm.c's files with this magic have version {}, this has {}",
           variant->version, version);
  }
  TokenBin bin{.format = TokenBinFormat::llmc,
               .token_bytes = variant->token_bytes,
               .first_byte = kLlmcHeaderBytes,
               .tokens = reader.u32("number of ids")};
  const std::uint64_t expected = kLlmcHeaderBytes + static_cast<std::uint64_t>(bin.tokens) *
                                                        static_cast<std::uint64_t>(bin.token_bytes);
  if (file.bytes() != expected) {
    refuse({file.path(), 8}, "the header promises {} ids, {} bytes altogether; the file has {}",
           bin.tokens, expected, file.bytes());
  }
  return bin;
}

/// Half of all ids have a control character in them: a text has none in a row of some.
bool looks_like_text(std::string_view beginning) {
  constexpr std::size_t kEnough = 16, kLongestCharacter = 4;
  if (beginning.size() < kEnough) return false;
  const auto is_control = [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t') ||
           c == '\x7f';
  };
  if (std::any_of(beginning.begin(), beginning.end(), is_control)) return false;
  const auto bad = first_invalid_utf8(beginning);
  return !bad || *bad + kLongestCharacter > beginning.size();  // the last one may be cut
}

TokenBin bin_of(const InputFile& file, std::optional<TokenBinFormat> format) {
  require(file.bytes() > 0, ExitCode::corrupt, "{}: the file is empty", file.path());
  std::vector<std::byte> bytes(std::min<std::uint64_t>(file.bytes(), kLlmcHeaderBytes));
  file.read_at(0, bytes);
  const std::string_view found = recognised_content(text_of(bytes));
  require(found.empty() || format.has_value(), ExitCode::corrupt,
          "{}: expected token ids, this is {}; --format takes it for ids all the same", file.path(),
          found);
  std::uint32_t magic = 0;
  if (bytes.size() >= sizeof magic) std::memcpy(&magic, bytes.data(), sizeof magic);
  const bool has_header = variant_of(magic) != nullptr && bytes.size() == kLlmcHeaderBytes;
  if (format.value_or(has_header ? TokenBinFormat::llmc : TokenBinFormat::nanogpt) ==
      TokenBinFormat::llmc) {
    return llmc_bin(file, bytes);
  }
  require(format.has_value() || !looks_like_text(text_of(bytes)), ExitCode::corrupt,
          "{}: expected token ids, this looks like text, which `farsight corpus build` reads; "
          "--format nanogpt takes it for ids all the same",
          file.path());
  require(file.bytes() % 2 == 0, ExitCode::corrupt,
          "{}: nanoGPT's ids have two bytes each, and the file has {}", file.path(), file.bytes());
  return {.tokens = static_cast<std::int64_t>(file.bytes() / 2)};
}

/// The ids from `first` on, as many as `ids` has room for.
void read_ids(const InputFile& file, const TokenBin& bin, std::int64_t first,
              std::span<std::int32_t> ids, std::int64_t vocabulary) {
  const auto width = static_cast<std::size_t>(bin.token_bytes);
  std::vector<std::byte> bytes(ids.size() * width);
  const std::uint64_t offset =
      bin.first_byte + static_cast<std::uint64_t>(first) * static_cast<std::uint64_t>(width);
  file.read_at(offset, bytes);
  for (std::size_t i = 0; i < ids.size(); i++) {
    std::uint32_t id = 0;
    std::memcpy(&id, bytes.data() + i * width, width);
    if (id >= static_cast<std::uint64_t>(vocabulary)) {
      refuse({file.path(), offset + i * width}, "the id {} is not below the vocabulary's {}", id,
             vocabulary);
    }
    ids[i] = static_cast<std::int32_t>(id);
  }
}

/// Ids of one file after another become shards.
class Importer {
 public:
  Importer(const TokenBinImport& import, const CorpusBuild& build, int token_bytes,
           CorpusFolder& folder)
      : import_(import),
        build_(build),
        folder_(folder),
        contents_(token_bytes, build.shard_tokens + static_cast<std::int64_t>(kPieceIds)) {}

  void add(std::size_t number, const InputFile& file, const TokenBin& bin, std::int64_t from) {
    const std::int64_t end_of_text = import_.tokenizer.end_of_text;
    for (std::int64_t at = from; at < bin.tokens;) {
      std::vector<std::int32_t> ids(static_cast<std::size_t>(
          std::min<std::int64_t>(static_cast<std::int64_t>(kPieceIds), bin.tokens - at)));
      read_ids(file, bin, at, ids, import_.tokenizer.vocabulary);
      at += static_cast<std::int64_t>(ids.size());
      for (std::span<const std::int32_t> left = ids; !left.empty();) {
        const auto end = std::find(left.begin(), left.end(), end_of_text);
        const bool ends = end != left.end();
        const auto count = static_cast<std::size_t>(end - left.begin()) + (ends ? 1 : 0);
        contents_.add(left.first(count));
        left = left.subspan(count);
        // The end of a file ends a document, too.
        if (ends || (left.empty() && at == bin.tokens)) contents_.end_document();
      }
      if (contents_.tokens() >= build_.shard_tokens || at == bin.tokens) {
        folder_.add(contents_, {.next = {.file = number, .record = at}});
      }
      if (build_.progress) tell(static_cast<std::int64_t>(ids.size()), bin.token_bytes);
    }
  }

  CorpusProgress state;

 private:
  void tell(std::int64_t tokens, int token_bytes) {
    state.input_bytes += static_cast<std::uint64_t>(tokens * token_bytes);
    state.tokens = folder_.sums().tokens + contents_.tokens();
    state.documents = folder_.sums().documents + contents_.documents();
    build_.progress(state);
  }

  const TokenBinImport& import_;
  const CorpusBuild& build_;
  CorpusFolder& folder_;
  ShardContents contents_;
};

}  // namespace

std::string_view name_of(TokenBinFormat format) {
  return kNames[static_cast<std::size_t>(format)];
}

TokenBinFormat token_bin_format_named(std::string_view name) {
  const auto at = std::find(kNames.begin(), kNames.end(), name);
  require(at != kNames.end(), ExitCode::usage, "a format of token files is one of {}, got '{}'",
          fmt::join(kNames, ", "), name.substr(0, 40));
  return static_cast<TokenBinFormat>(at - kNames.begin());
}

void import_token_bins(const fs::path& folder, const std::vector<std::string>& patterns,
                       const TokenBinImport& import, const CorpusBuild& build) {
  ShardManifest plan;
  plan.tokenizer = import.tokenizer;
  plan.packing = {.group_documents = import.group_documents,
                  .end_of_text = import.tokenizer.end_of_text >= 0};
  plan.token_bytes = import.tokenizer.vocabulary <= kNarrowVocabulary ? 2 : 4;
  std::vector<TokenBin> bins;
  const std::vector<fs::path> paths = paths_of(patterns);
  for (const fs::path& path : paths) {
    const InputFile file(path);
    bins.push_back(bin_of(file, import.format));
    plan.inputs.push_back({.name = path.string(),
                           .kind = std::string(name_of(bins.back().format)),
                           .bytes = file.bytes(),
                           .xxh3 = hex(xxh3_of_file(path))});
  }
  CorpusFolder target(folder, corpus_key(plan), {});
  if (target.is_done()) return require_same_corpus(folder, plan);
  Importer importer(import, build, plan.token_bytes, target);
  importer.state.stage = "importing";
  for (const CorpusInput& input : plan.inputs) {
    importer.state.total_input_bytes += input.bytes;
  }
  try {
    const CorpusPlace from = target.next();
    for (std::size_t i = from.file; i < paths.size(); i++) {
      importer.add(i, InputFile(paths[i]), bins[i], i == from.file ? from.record : 0);
    }
    require(target.sums().tokens > 0, ExitCode::data, "there is no token in what is imported");
  } catch (const Error& error) {
    if (error.code() == ExitCode::corrupt || error.code() == ExitCode::data) target.discard();
    throw;
  }
  target.publish(plan);
}

}  // namespace farsight
