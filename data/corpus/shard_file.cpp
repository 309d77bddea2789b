#include "data/corpus/shard_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "core/bounded_reader.h"
#include "core/check.h"
#include "core/hash.h"

namespace farsight {
namespace {

static_assert(std::endian::native == std::endian::little, "ids are mapped as they lie in the file");

constexpr std::string_view kMagic = "FARSHARD";
constexpr std::size_t kHashedBytes = 120;  // of the header
constexpr std::uint64_t kMost = std::uint64_t{1} << 62;

using HeaderBytes = std::array<std::byte, kShardHeaderBytes>;

HeaderBytes bytes_of(const ShardHeader& header) {
  HeaderBytes bytes = {};
  std::size_t at = 0;
  const auto put = [&](const auto& value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
    at += sizeof value;
  };
  std::memcpy(bytes.data(), kMagic.data(), kMagic.size());
  at = kMagic.size();
  put(std::uint32_t{kShardFormatVersion});
  put(static_cast<std::uint32_t>(header.token_bytes));
  for (const std::int64_t count : {header.tokens, header.documents, header.number}) {
    put(static_cast<std::uint64_t>(count));
  }
  put(header.key);
  put(header.next.file);
  for (const std::int64_t count : {header.next.record, header.text_bytes, header.empty_documents,
                                   header.replaced, header.largest_id + 1}) {
    put(static_cast<std::uint64_t>(count));
  }
  put(header.payload_xxh3);
  at = kHashedBytes;
  put(xxh3_64(std::span(bytes).first(kHashedBytes)));
  return bytes;
}

std::uint64_t size_of(const ShardHeader& header, const Place& place) {
  const std::uint64_t ends =
      checked_mul(static_cast<std::uint64_t>(header.documents), 8, place, "table of documents");
  const std::uint64_t ids =
      checked_mul(static_cast<std::uint64_t>(header.tokens),
                  static_cast<std::uint64_t>(header.token_bytes), place, "number of ids");
  return checked_add(checked_add(ends, ids, place, "size"), kShardHeaderBytes, place, "size");
}

}  // namespace

std::string shard_name(std::int64_t number) {
  return fmt::format("shard-{:05}.tokens", number);
}

ShardContents::ShardContents(int token_bytes, std::int64_t expected_tokens)
    : token_bytes_(token_bytes) {
  // Address space alone, until there are tokens: growing would need the memory of two and a half.
  ids_.reserve(static_cast<std::size_t>(expected_tokens) * static_cast<std::size_t>(token_bytes));
}

void ShardContents::add(std::span<const std::int32_t> ids) {
  const auto width = static_cast<std::size_t>(token_bytes_);
  const std::int64_t most =
      token_bytes_ == 2 ? std::int64_t{0xffff} : std::numeric_limits<std::int32_t>::max();
  const std::size_t had = ids_.size();
  ids_.resize(had + ids.size() * width);
  std::byte* to = ids_.data() + had;
  std::int32_t largest = -1, least = 0;
  if (token_bytes_ == 2) {
    for (const std::int32_t id : ids) {
      largest = std::max(largest, id);
      least = std::min(least, id);
      const auto narrow = static_cast<std::uint16_t>(id);
      std::memcpy(to, &narrow, 2);
      to += 2;
    }
  } else {
    for (const std::int32_t id : ids) {
      largest = std::max(largest, id);
      least = std::min(least, id);
    }
    if (!ids.empty()) std::memcpy(to, ids.data(), ids.size() * 4);
  }
  check(least >= 0 && largest <= most, "ShardContents: ids must be 0 to {}, got {} to {}", most,
        least, largest);
  largest_id_ = std::max<std::int64_t>(largest_id_, largest);
}

void ShardContents::end_document() {
  ends_.push_back(static_cast<std::uint64_t>(tokens()));
}

std::int64_t ShardContents::tokens() const {
  return static_cast<std::int64_t>(ids_.size()) / token_bytes_;
}

void ShardContents::clear() {
  ids_.clear();
  ends_.clear();
  largest_id_ = -1;
}

std::uint64_t ShardContents::write(const std::filesystem::path& path, ShardHeader& header) const {
  const std::span<const std::byte> ends = std::as_bytes(std::span(ends_));
  Xxh3 hash;
  hash.update(ends);
  hash.update(ids_);
  header.token_bytes = token_bytes_;
  header.tokens = tokens();
  header.documents = documents();
  header.largest_id = largest_id_;
  header.payload_xxh3 = hash.value();
  std::uint64_t written = 0;
  write_file_atomically(path, [&](OutputFile& file) {
    file.set_needed_bytes(kShardHeaderBytes + ends.size() + ids_.size());
    file.write(bytes_of(header));
    file.write(ends);
    file.write(ids_);
    written = file.xxh3();
  });
  return written;
}

ShardHeader read_shard_header(const InputFile& file) {
  HeaderBytes bytes = {};
  require(file.bytes() >= bytes.size(), ExitCode::corrupt,
          "{}: a shard of tokens has at least {} bytes, it has {}", file.path(), bytes.size(),
          file.bytes());
  file.read_at(0, bytes);
  BoundedReader reader(bytes, file.path());
  if (text_of(reader.take(kMagic.size(), "magic")) != kMagic) {
    refuse({file.path(), 0}, "this is no shard of tokens");
  }
  const std::uint32_t version = reader.u32("version");
  if (version != kShardFormatVersion) {
    refuse({file.path(), 8}, "this version of farsight reads shards of version {}, this is of {}",
           kShardFormatVersion, version);
  }
  std::uint64_t written = 0;
  std::memcpy(&written, bytes.data() + kHashedBytes, sizeof written);
  if (xxh3_64(std::span(bytes).first(kHashedBytes)) != written) {
    refuse({file.path(), kHashedBytes}, "the header is damaged (XXH3)");
  }
  const auto count = [&](std::string_view what) {
    return static_cast<std::int64_t>(reader.at_most(reader.u64(what), kMost, what));
  };
  ShardHeader header;
  const std::uint32_t width = reader.u32("bytes of an id");
  if (width != 2 && width != 4) refuse({file.path(), 12}, "ids have 2 or 4 bytes, got {}", width);
  header.token_bytes = static_cast<int>(width);
  header.tokens = count("number of ids");
  header.documents = count("number of documents");
  header.number = count("number of the shard");
  header.key = reader.u64("key");
  header.next.file = reader.u64("next file");
  header.next.record = count("next record");
  header.text_bytes = count("bytes of text");
  header.empty_documents = count("number of empty documents");
  header.replaced = count("number of replaced sequences");
  header.largest_id = count("largest id") - 1;
  header.payload_xxh3 = reader.u64("hash");
  const std::uint64_t size = size_of(header, {file.path(), 16});
  if (size != file.bytes()) {
    refuse({file.path(), 16}, "its header describes {} bytes, the file has {}", size, file.bytes());
  }
  return header;
}

std::optional<std::uint64_t> hash_of_whole_shard(const InputFile& file, const ShardHeader& header) {
  std::vector<std::byte> piece(kShardHeaderBytes);
  Xxh3 whole, payload;
  for (std::uint64_t at = 0; at < file.bytes(); at += piece.size()) {
    if (at == kShardHeaderBytes) piece.resize(std::size_t{1} << 20);
    piece.resize(std::min<std::uint64_t>(piece.size(), file.bytes() - at));
    file.read_at(at, piece);
    whole.update(piece);
    if (at > 0) payload.update(piece);
  }
  if (payload.value() != header.payload_xxh3) return std::nullopt;
  return whole.value();
}

}  // namespace farsight
