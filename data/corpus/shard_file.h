// One file of token ids: data/corpus/token_shards.h.
//
//   byte   0  "FARSHARD"
//          8  u32  version of the format, 1
//         12  u32  bytes of an id: 2 or 4
//         16  u64  ids                      in this file
//         24  u64  documents                that end in this file
//         32  u64  number of the shard, from 0
//         40  u64  key of the corpus        (corpus_key: which build it belongs to)
//         48  u64  file, and 56 u64 record  of the corpus that the next shard begins with
//         64  u64  bytes of text, 72 u64 empty documents, 80 u64 replaced sequences
//         88  u64  the largest id + 1
//         96  u64  XXH3 of everything behind the header
//        104  16 zero bytes
//        120  u64  XXH3 of the 120 bytes before
//        128  u64  for each document: the ids of this file before its end
//             u16 or u32: the ids
//
// All little-endian. A document may begin in an earlier file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/files.h"
#include "data/corpus/record_reader.h"

namespace farsight {

inline constexpr std::uint64_t kShardHeaderBytes = 128;

struct ShardHeader {
  int token_bytes = 2;
  std::int64_t tokens = 0, documents = 0, number = 0;
  std::uint64_t key = 0;
  CorpusPlace next = {};
  std::int64_t text_bytes = 0, empty_documents = 0, replaced = 0, largest_id = -1;
  std::uint64_t payload_xxh3 = 0;
};

/// "shard-00000.tokens"
std::string shard_name(std::int64_t number);

/// A shard while it is made: ids and ends of documents, in the memory that they have in the file.
class ShardContents {
 public:
  /// Makes room for so many tokens; there may be more.
  ShardContents(int token_bytes, std::int64_t expected_tokens);

  void add(std::span<const std::int32_t> ids);
  void end_document();
  std::int64_t tokens() const;
  std::int64_t documents() const { return static_cast<std::int64_t>(ends_.size()); }
  std::int64_t largest_id() const { return largest_id_; }
  void clear();

  /// Writes the file whole or not at all. Counts and hash of the header are filled in. Returns the
  /// XXH3 of the file.
  std::uint64_t write(const std::filesystem::path& path, ShardHeader& header) const;

 private:
  int token_bytes_;
  std::vector<std::byte> ids_;
  std::vector<std::uint64_t> ends_;
  std::int64_t largest_id_ = -1;
};

/// The header of a shard. Throws Error(corrupt) for one that is damaged, of another version, or does
/// not agree with the size of its file.
ShardHeader read_shard_header(const InputFile& file);

/// The XXH3 of the file; nothing when what follows the header is not what was written.
std::optional<std::uint64_t> hash_of_whole_shard(const InputFile& file, const ShardHeader& header);

}  // namespace farsight
