#include "data/corpus/token_shards.h"

#include <algorithm>
#include <cstring>

#include "core/bounded_reader.h"
#include "core/check.h"
#include "core/files.h"
#include "data/corpus/mapped_file.h"
#include "data/corpus/shard_file.h"

namespace farsight {
namespace {

constexpr std::string_view kAgain = "build it again with this tokenizer";

/// One file, mapped, and where it begins within the corpus.
struct Shard {
  MappedFile file;
  std::int64_t first_token = 0, first_document = 0;
  std::int64_t tokens = 0, documents = 0;

  const std::byte* ends() const { return file.bytes().data() + kShardHeaderBytes; }
  const std::byte* ids() const { return ends() + documents * 8; }
  /// The ids of this shard before the end of its document `index`.
  std::int64_t end(std::int64_t index) const {
    std::uint64_t end = 0;
    std::memcpy(&end, ends() + index * 8, sizeof end);
    if (end > static_cast<std::uint64_t>(tokens)) {
      refuse({file.path(), kShardHeaderBytes + static_cast<std::uint64_t>(index) * 8},
             "document {} ends behind the {} tokens of its shard, at {}", index, tokens, end);
    }
    return static_cast<std::int64_t>(end);
  }
};

}  // namespace

struct TokenShards::Files {
  ShardManifest manifest;
  std::vector<Shard> shards;

  const Shard& with_token(std::int64_t token) const {
    const auto behind =
        std::upper_bound(shards.begin(), shards.end(), token,
                         [](std::int64_t t, const Shard& shard) { return t < shard.first_token; });
    return *std::prev(behind);
  }
  /// The tokens of the corpus before the end of document `index`.
  std::int64_t end_of(std::int64_t index) const {
    const auto behind = std::upper_bound(
        shards.begin(), shards.end(), index,
        [](std::int64_t i, const Shard& shard) { return i < shard.first_document; });
    const Shard& shard = *std::prev(behind);
    return shard.first_token + shard.end(index - shard.first_document);
  }
  void add(const std::filesystem::path& folder, std::size_t index, Check check_what);
};

void TokenShards::Files::add(const std::filesystem::path& folder, std::size_t index,
                             Check check_what) {
  const ShardManifest::Shard& listed = manifest.shards[index];
  const std::filesystem::path path = folder / listed.file;
  require(std::filesystem::exists(path), ExitCode::corrupt,
          "{}: the manifest names this file, and it is not there", path.string());
  const InputFile file(path);
  require(file.bytes() == listed.bytes, ExitCode::corrupt,
          "{}: the manifest says {} bytes, it has {}", path.string(), listed.bytes, file.bytes());
  const ShardHeader header = read_shard_header(file);
  require(header.number == static_cast<std::int64_t>(index) && header.tokens == listed.tokens &&
              header.documents == listed.documents && header.token_bytes == manifest.token_bytes &&
              header.largest_id <= manifest.largest_id && header.key == corpus_key(manifest),
          ExitCode::corrupt, "{}: this is another shard than the manifest was written for",
          path.string());
  require(check_what == Check::sizes || hex(xxh3_of_file(path)) == listed.xxh3, ExitCode::corrupt,
          "{}: its contents are not those that the manifest was written for (XXH3)", path.string());
  Shard shard{.file = MappedFile(path), .tokens = header.tokens, .documents = header.documents};
  require(shard.file.bytes().size() == listed.bytes, ExitCode::corrupt,
          "{}: the manifest says {} bytes, it has {}", path.string(), listed.bytes,
          shard.file.bytes().size());
  if (!shards.empty()) {
    shard.first_token = shards.back().first_token + shards.back().tokens;
    shard.first_document = shards.back().first_document + shards.back().documents;
  }
  shards.push_back(std::move(shard));
}

TokenShards TokenShards::open(const std::filesystem::path& folder, Check check_what) {
  auto files = std::make_shared<Files>();
  files->manifest = read_manifest(folder);
  for (std::size_t i = 0; i < files->manifest.shards.size(); i++) {
    files->add(folder, i, check_what);
  }
  return TokenShards(std::move(files));
}

const ShardManifest& TokenShards::manifest() const {
  return files_->manifest;
}

void TokenShards::require_tokenizer(std::string_view fingerprint) const {
  const std::string& own = tokenizer_fingerprint();
  require(!own.empty(), ExitCode::data,
          "the tokenised corpus was imported without a tokenizer, and {} is asked for; import it "
          "again with --tokenizer",
          fingerprint);
  require(own == fingerprint, ExitCode::data,
          "the tokenised corpus was made with another tokenizer ({}) than this one ({}); {}", own,
          fingerprint, kAgain);
}

void TokenShards::require_vocabulary(std::int64_t vocabulary) const {
  require(largest_id() < vocabulary, ExitCode::data,
          "the tokenised corpus has ids up to {}, and the model's vocabulary is {}", largest_id(),
          vocabulary);
}

void TokenShards::copy(std::int64_t first, std::span<std::int32_t> to) const {
  const auto count = static_cast<std::int64_t>(to.size());
  check(first >= 0 && count <= tokens() && first <= tokens() - count,
        "TokenShards: tokens {} + {} of {}", first, count, tokens());
  const bool narrow = manifest().token_bytes == 2;
  while (!to.empty()) {
    const Shard& shard = files_->with_token(first);
    const std::int64_t from = first - shard.first_token;
    const auto here = static_cast<std::size_t>(
        std::min<std::int64_t>(static_cast<std::int64_t>(to.size()), shard.tokens - from));
    std::uint32_t largest = 0;
    for (std::size_t i = 0; i < here; i++) {
      const std::int64_t at = from + static_cast<std::int64_t>(i);
      std::uint32_t id = 0;
      std::memcpy(&id, shard.ids() + at * manifest().token_bytes, narrow ? 2 : 4);
      largest = std::max(largest, id);
      to[i] = static_cast<std::int32_t>(id);
    }
    // A model would look up a row that it does not have.
    require(static_cast<std::int64_t>(largest) <= largest_id(), ExitCode::corrupt,
            "{}: it has the id {} among the tokens {} to {}, and its largest is {}; the shard is "
            "damaged: remove its folder and build the corpus again",
            shard.file.path(), largest, from, from + static_cast<std::int64_t>(here), largest_id());
    to = to.subspan(here);
    first += static_cast<std::int64_t>(here);
  }
}

TokenShards::Range TokenShards::document(std::int64_t index) const {
  check(index >= 0 && index < documents(), "TokenShards: document {} of {}", index, documents());
  const Range range{.begin = index == 0 ? 0 : files_->end_of(index - 1),
                    .end = files_->end_of(index)};
  require(range.begin <= range.end, ExitCode::corrupt,
          "the table of documents is damaged: document {} begins at token {} and ends at {}", index,
          range.begin, range.end);
  return range;
}

TokenBlocks TokenShards::blocks(std::int64_t length) const {
  return {*this, length};
}

TokenBlocks::TokenBlocks(TokenShards shards, std::int64_t length)
    : shards_(std::move(shards)), length_(length) {
  check(length >= 1, "TokenBlocks: length must be at least 1, got {}", length);
  const std::int64_t documents = shards_.documents();
  const std::int64_t asked = shards_.manifest().packing.group_documents;
  const std::int64_t step = asked == 0 ? std::max<std::int64_t>(documents, 1) : asked;
  auto groups = std::make_shared<std::vector<Group>>();
  std::int64_t begin = 0;
  for (std::int64_t first = 0; first < documents; first += std::min(step, documents - first)) {
    const std::int64_t last = std::min(step, documents - first) + first - 1;
    const std::int64_t end = shards_.files_->end_of(last);
    require(begin <= end, ExitCode::corrupt,
            "the table of documents is damaged: document {} ends at token {}, one before it at {}",
            last, end, begin);
    if (end - begin >= length) groups->push_back({begin, count_});
    count_ += (end - begin) / length;
    begin = end;
  }
  groups_ = std::move(groups);
  all_ = count_;
}

void TokenBlocks::copy(std::int64_t b, std::span<std::int32_t> to) const {
  check(b >= 0 && b < count_, "TokenBlocks: block {} of {}", b, count_);
  check(static_cast<std::int64_t>(to.size()) == length_, "TokenBlocks: room for {} ids, got {}",
        length_, to.size());
  const std::int64_t block = first_ + b;
  const auto behind =
      std::upper_bound(groups_->begin(), groups_->end(), block,
                       [](std::int64_t i, const Group& group) { return i < group.first_block; });
  const Group& group = *std::prev(behind);
  shards_.copy(group.first_token + (block - group.first_block) * length_, to);
}

std::vector<std::int32_t> TokenBlocks::operator[](std::int64_t b) const {
  std::vector<std::int32_t> row(static_cast<std::size_t>(length_));
  copy(b, row);
  return row;
}

TokenBlocks TokenBlocks::part(std::int64_t first, std::int64_t count) const {
  check(first >= 0 && count >= 0 && count <= count_ && first <= count_ - count,
        "TokenBlocks: blocks {} + {} of {}", first, count, count_);
  TokenBlocks blocks = *this;
  blocks.first_ += first;
  blocks.count_ = count;
  return blocks;
}

std::int64_t TokenBlocks::dropped_tokens() const {
  return shards_.tokens() - all_ * length_;
}

}  // namespace farsight
