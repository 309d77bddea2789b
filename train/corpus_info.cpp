#include "train/corpus_info.h"

#include <fmt/format.h>

#include <string_view>

#include "train/quantities.h"

namespace farsight {
namespace {

std::string grouped_of(std::int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", grouped(count), what, count == 1 ? "" : "s");
}

std::string packing_text(const Packing& packing) {
  const std::string groups =
      packing.group_documents == 0
          ? "all documents one after another"
          : fmt::format("groups of {}", grouped_of(packing.group_documents, "document"));
  return groups + (packing.end_of_text ? ", end-of-text behind each document"
                                       : ", nothing between documents");
}

/// Of a manifest whose inputs were token files.
bool is_imported(const ShardManifest& manifest) {
  return !manifest.inputs.empty() &&
         (manifest.inputs.front().kind == "nanogpt" || manifest.inputs.front().kind == "llmc");
}

}  // namespace

std::string corpus_info(const std::filesystem::path& folder, const TokenShards& corpus,
                        std::int64_t length) {
  const ShardManifest& manifest = corpus.manifest();
  const TokenBlocks blocks = corpus.blocks(length);
  std::string text = fmt::format("{}\n", folder.string());
  const auto line = [&](std::string_view name, const std::string& what) {
    text += fmt::format("  {:<12}{}\n", name, what);
  };
  line("documents", fmt::format("{}, {} of them empty", grouped(corpus.documents()),
                                grouped(manifest.empty_documents)));
  line("tokens", fmt::format("{}, ids up to {} of {}", grouped(corpus.tokens()),
                             corpus.largest_id(), grouped(manifest.tokenizer.vocabulary)));
  line("text", is_imported(manifest) ? "not known: ids were imported"
                                     : fmt::format("{} bytes", grouped(manifest.text_bytes)));
  if (manifest.replaced > 0) {
    line("replaced",
         grouped_of(manifest.replaced, "sequence") + " of bytes that were no UTF-8, by U+FFFD");
  }
  line("packing", packing_text(manifest.packing));
  line("blocks", fmt::format("{} of {} tokens; {} left over", grouped(blocks.size()),
                             grouped(length), grouped_of(blocks.dropped_tokens(), "token")));
  line("tokenizer", manifest.tokenizer.fingerprint.empty() ? "not known: imported without"
                                                           : manifest.tokenizer.fingerprint);
  line("shards", grouped(static_cast<std::int64_t>(manifest.shards.size())));
  for (const CorpusInput& input : manifest.inputs) {
    line("input", fmt::format("{} ({}, {} bytes, XXH3 {})", input.name, input.kind,
                              grouped(static_cast<std::int64_t>(input.bytes)), input.xxh3));
  }
  return text;
}

}  // namespace farsight
