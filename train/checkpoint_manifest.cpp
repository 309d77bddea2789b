#include "train/checkpoint_manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>

#include "core/bounded_reader.h"
#include "core/check.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/parallel.h"
#include "core/version.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFormat = "farsight-checkpoint-2";
constexpr std::string_view kFirstFormat = "farsight-checkpoint-1";  // no parts, no hash of itself
constexpr std::uint64_t kPiece = std::uint64_t{1} << 20;
constexpr auto kNeeded = std::to_array<std::string_view>(
    {"config.json", "model.safetensors", "optimizer.safetensors", "state.json"});

/// The canonical text of a manifest; what is hashed is the same of the value without its hash.
std::string text_of(const Json& manifest) {
  return manifest.dump(2) + "\n";
}

/// A stretch of a file and what it must hash to.
struct Stretch {
  const InputFile* file = nullptr;
  std::string what;  ///< "its header", "tensor 'm.lm_head.weight'"
  std::uint64_t begin = 0, end = 0;
  std::string expected;
};

std::string hash_of(const Stretch& stretch) {
  std::vector<std::byte> piece;
  Xxh3 hash;
  for (std::uint64_t at = stretch.begin; at < stretch.end; at += piece.size()) {
    piece.resize(std::min(kPiece, stretch.end - at));
    stretch.file->read_at(at, piece);
    hash.update(piece);
  }
  return hex(hash.value());
}

/// Throws for the first that is not what it was, and counts the others.
void check_stretches(const std::vector<Stretch>& stretches, Readers readers) {
  std::vector<std::string> found(stretches.size());
  const auto look = [&](std::int64_t i) {
    const auto index = static_cast<std::size_t>(i);
    found[index] = hash_of(stretches[index]);
  };
  const auto count = static_cast<std::int64_t>(stretches.size());
  if (readers == Readers::all_threads) {
    parallel_for(count, look);
  } else {
    for (std::int64_t i = 0; i < count; i++) {
      look(i);
    }
  }
  std::size_t first = stretches.size(), wrong = 0;
  for (std::size_t i = 0; i < stretches.size(); i++) {
    if (found[i] == stretches[i].expected) continue;
    first = std::min(first, i);
    wrong++;
  }
  if (wrong == 0) return;
  const Stretch& bad = stretches[first];
  fail(ExitCode::corrupt, "{}: {} changed since it was written (XXH3 {}, expected {}){}",
       bad.file->path(), bad.what, found[first], bad.expected,
       wrong > 1 ? fmt::format("; and {} more parts of this checkpoint", wrong - 1) : "");
}

/// Of a file whose header is what it was.
std::vector<Stretch> tensors_of(const InputFile& file, const Json& hashes) {
  std::vector<Stretch> all;
  const SafetensorsFile header(file.path());
  for (const StoredTensor& stored : header.tensors()) {
    const Json* expected = hashes.find(stored.name);
    if (expected == nullptr) hashes.refuse(fmt::format("tensor '{}' is missing", stored.name));
    all.push_back({.file = &file,
                   .what = fmt::format("tensor '{}'", stored.name),
                   .begin = stored.begin,
                   .end = stored.end,
                   .expected = expected->as_string()});
  }
  if (hashes.size() != all.size()) hashes.refuse("there are more tensors here than in the file");
  return all;
}

/// Everything before the data: a length in eight bytes, and as many.
Stretch header_of(const InputFile& file, const Json& expected) {
  std::array<std::byte, 8> length{};
  if (file.bytes() >= length.size()) file.read_at(0, length);
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < length.size(); i++) {
    bytes |= std::to_integer<std::uint64_t>(length[i]) << (8 * i);
  }
  // A wrong length hashes something else, or all there is.
  const std::uint64_t most = file.bytes() - std::min<std::uint64_t>(file.bytes(), length.size());
  const std::uint64_t end = bytes <= most ? bytes + length.size() : file.bytes();
  return {.file = &file,
          .what = "its header",
          .begin = 0,
          .end = end,
          .expected = expected.as_string()};
}

Json read_manifest(const fs::path& path) {
  const std::string text = read_file(path);
  const Json manifest = Json::parse(text, path.string());
  manifest.allow_only({"format", "step", "version", "files", "xxh3"});
  const Json& format = manifest.at("format");
  if (format.as_string() == kFirstFormat) return manifest;
  if (format.as_string() != kFormat) {
    format.refuse(fmt::format("expected \"{}\", a checkpoint of another version", kFormat));
  }
  Json hashed = Json::object();
  for (const Json::Member& member : manifest.members()) {
    if (member.key != "xxh3") hashed[member.key] = member.value;
  }
  const Json& expected = manifest.at("xxh3");
  const std::string hash = hex(xxh3_64(bytes_of(text_of(hashed))));
  if (hash != expected.as_string() || text != text_of(manifest)) {
    expected.refuse("the manifest changed since it was written");
  }
  const std::string folder = path.parent_path().filename().string();
  const std::int64_t step = manifest.at("step").as_int();
  const std::string name = fmt::format("step-{:08}", step);
  if (folder.starts_with("step-") && folder.find('.') == std::string::npos && folder != name) {
    manifest.at("step").refuse(fmt::format("the manifest is that of {}", name));
  }
  return manifest;
}

}  // namespace

std::string manifest_text(std::int64_t step, const std::vector<StoredFile>& files) {
  Json all = Json::object();
  for (const StoredFile& file : files) {
    Json entry = Json::object({{"bytes", file.bytes}, {"xxh3", hex(file.xxh3)}});
    if (file.parts) {
      entry["header"] = hex(file.parts->header);
      Json& tensors = entry["tensors"] = Json::object();
      for (const auto& [name, hash] : file.parts->tensors) {
        tensors[name] = hex(hash);
      }
    }
    all[file.name] = std::move(entry);
  }
  Json manifest = Json::object(
      {{"format", kFormat}, {"step", step}, {"version", version_line()}, {"files", all}});
  const std::string hash = hex(xxh3_64(bytes_of(text_of(manifest))));
  manifest["xxh3"] = hash;
  return text_of(manifest);
}

void verify_checkpoint(const fs::path& folder, Readers readers) {
  require(fs::is_directory(folder), ExitCode::data, "there is no checkpoint folder '{}'",
          folder.string());
  const fs::path path = folder / "manifest.json";
  if (!fs::exists(path)) return;
  const Json manifest = read_manifest(path);
  const Json& files = manifest.at("files");
  for (const std::string_view name : kNeeded) {
    files.at(name);
  }
  std::vector<std::unique_ptr<InputFile>> opened;
  std::vector<Stretch> whole, tensors;
  for (const auto& [name, entry] : files.members()) {
    const bool plain = !name.empty() && name != "." && name != ".." &&
                       name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
    if (!plain) entry.refuse(fmt::format("'{}' is no name of a file in this folder", name));
    entry.allow_only({"bytes", "xxh3", "header", "tensors"});
    require(fs::exists(folder / name), ExitCode::corrupt, "checkpoint '{}' lacks its file '{}'",
            folder.string(), name);
    const InputFile& file = *opened.emplace_back(std::make_unique<InputFile>(folder / name));
    const std::uint64_t bytes = entry.at("bytes").as_unsigned();
    require(file.bytes() == bytes, ExitCode::corrupt, "{}: expected {} bytes, got {}", file.path(),
            bytes, file.bytes());
    if (const Json* hashes = entry.find("tensors")) {
      check_stretches({header_of(file, entry.at("header"))}, Readers::this_thread);
      std::ranges::move(tensors_of(file, *hashes), std::back_inserter(tensors));
    } else {
      whole.push_back({.file = &file,
                       .what = "its content",
                       .begin = 0,
                       .end = bytes,
                       .expected = entry.at("xxh3").as_string()});
    }
  }
  check_stretches(whole, readers);
  check_stretches(tensors, readers);
}

}  // namespace farsight
