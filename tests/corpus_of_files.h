// A corpus of a few files, and its blocks as the definition says.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "data/corpus/prepare_corpus.h"
#include "data/corpus/token_shards.h"
#include "data/text/tokenizer.h"
#include "tests/packed_bytes.h"
#include "tests/small_tokenizer.h"
#include "tests/temporary_folder.h"

namespace farsight {

inline std::string json_lines(const std::vector<std::string>& texts) {
  std::string lines;
  for (const std::string& text : texts) {
    lines += Json::object({{"text", text}}).dump() + "\n";
  }
  return lines;
}

/// Documents of all kinds: empty, a byte, much longer than any block.
inline std::vector<std::string> some_documents(int count) {
  std::vector<std::string> texts;
  for (int i = 0; i < count; i++) {
    std::string text;
    const int words = i % 5 == 0 ? 0 : i % 7 == 0 ? 1 : i % 31 == 0 ? 900 : i * 37 % 60;
    for (int w = 0; w < words; w++) {
      text += fmt::format("{} the {}", w % 3 == 0 ? "\n\n" : "  in", (w + 1) * (i + 3) % 977);
    }
    texts.push_back(text);
  }
  return texts;
}

/// Blocks as the definition says, written without a thought for speed.
inline std::vector<std::vector<std::int32_t>> naive_blocks(const Tokenizer& tokenizer,
                                                           const std::vector<std::string>& texts,
                                                           const Packing& packing,
                                                           std::size_t length) {
  const std::size_t group = packing.group_documents == 0
                                ? texts.size()
                                : static_cast<std::size_t>(packing.group_documents);
  std::vector<std::vector<std::int32_t>> blocks;
  for (std::size_t first = 0; first < texts.size(); first += group) {
    std::vector<std::int32_t> all;
    for (std::size_t i = first; i < std::min(first + group, texts.size()); i++) {
      const std::vector<std::int32_t> ids = tokenizer.encode(texts[i]);
      all.insert(all.end(), ids.begin(), ids.end());
      if (packing.end_of_text) all.push_back(0);
    }
    for (std::size_t at = 0; at + length <= all.size(); at += length) {
      blocks.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(at),
                          all.begin() + static_cast<std::ptrdiff_t>(at + length));
    }
  }
  return blocks;
}

inline std::vector<std::vector<std::int32_t>> all_blocks(const TokenShards& corpus,
                                                         std::int64_t length) {
  const TokenBlocks blocks = corpus.blocks(length);
  std::vector<std::vector<std::int32_t>> all;
  for (std::int64_t b = 0; b < blocks.size(); b++) {
    all.push_back(blocks[b]);
  }
  return all;
}

inline std::vector<std::int32_t> all_tokens(const TokenShards& corpus) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(corpus.tokens()));
  corpus.copy(0, ids);
  return ids;
}

/// A corpus of some documents in a few files, and builds of it.
class CorpusOfFiles {
 public:
  explicit CorpusOfFiles(std::vector<std::string> texts = some_documents(120))
      : texts_(std::move(texts)) {
    const auto third = static_cast<std::ptrdiff_t>(texts_.size() / 3);
    write_plainly(folder_ / "a.jsonl", json_lines({texts_.begin(), texts_.begin() + third}));
    write_plainly(folder_ / "b.jsonl.zst",
                  zstd_bytes(json_lines({texts_.begin() + third, texts_.begin() + 2 * third})));
    write_plainly(folder_ / "c.jsonl.gz",
                  gzip_bytes(json_lines({texts_.begin() + 2 * third, texts_.end()})));
  }

  const std::vector<std::string>& texts() const { return texts_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  std::filesystem::path operator/(std::string_view name) const { return folder_ / name; }
  std::string pattern() const { return (folder_ / "*.jsonl*").string(); }

  std::filesystem::path build(const std::string& name, const CorpusSettings& settings = {},
                              CorpusBuild how = {}) const {
    if (how.threads == 0) how.threads = 1;
    build_corpus(folder_ / name, {pattern()}, tokenizer_, settings, how);
    return folder_ / name;
  }

 private:
  TemporaryFolder folder_;
  std::vector<std::string> texts_;
  Tokenizer tokenizer_ = small_tokenizer();
};

inline CorpusSettings packed(std::int64_t group, bool end_of_text) {
  return {.reading = {}, .packing = {.group_documents = group, .end_of_text = end_of_text}};
}

}  // namespace farsight
