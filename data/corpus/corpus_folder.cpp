#include "data/corpus/corpus_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/atomic_folder.h"
#include "core/check.h"
#include "core/file_calls.h"
#include "core/files.h"

namespace farsight {
namespace fs = std::filesystem;
namespace {

constexpr const char* kLock = "lock";

/// Is the file of this name still the one that is open?
bool is_same_file(int fd, const fs::path& path) {
  struct stat opened = {}, named = {};
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

}  // namespace

CorpusFolder::CorpusFolder(const fs::path& folder, std::uint64_t key,
                           const std::function<void()>& wait)
    : folder_(folder), building_(folder), key_(key) {
  building_ += ".building";
  make_output_folder(parent_of(folder_));
  try {
    while (!fs::exists(folder_) && !lock(wait)) {
    }
    done_ = fs::exists(folder_);
    if (!done_) {
      keep_whole_shards();
    } else if (lock_ >= 0) {
      discard();  // somebody finished it while we waited, and what is locked is an empty new one
    }
  } catch (...) {
    unlock();
    throw;
  }
}

CorpusFolder::~CorpusFolder() {
  unlock();
}

/// False: the folder got its name, or was removed, before the lock was ours.
bool CorpusFolder::lock(const std::function<void()>& wait) {
  if (retried([&] { return file_calls().mkdir(building_.c_str(), 0777); }) < 0 && errno != EEXIST) {
    storage_failure("make the folder", building_, errno);
  }
  const fs::path path = building_ / kLock;
  lock_ =
      retried([&] { return file_calls().open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666); });
  if (lock_ < 0 && errno == ENOENT) return false;
  if (lock_ < 0) storage_failure("open", path, errno);
  if (::flock(lock_, LOCK_EX | LOCK_NB) < 0) {
    if (errno == EWOULDBLOCK && wait) wait();
    if (retried([&] { return ::flock(lock_, LOCK_EX); }) < 0) storage_failure("lock", path, errno);
  }
  if (is_same_file(lock_, path)) return true;
  unlock();
  return false;
}

void CorpusFolder::unlock() {
  if (lock_ >= 0) close_once(std::exchange(lock_, -1));
}

void CorpusFolder::count(const ShardHeader& header, std::uint64_t bytes, std::uint64_t xxh3) {
  sums_.shards.push_back({.file = shard_name(header.number),
                          .bytes = bytes,
                          .xxh3 = hex(xxh3),
                          .tokens = header.tokens,
                          .documents = header.documents});
  sums_.tokens += header.tokens;
  sums_.documents += header.documents;
  sums_.empty_documents += header.empty_documents;
  sums_.text_bytes += header.text_bytes;
  sums_.replaced += header.replaced;
  sums_.largest_id = std::max(sums_.largest_id, header.largest_id);
  sums_.token_bytes = header.token_bytes;
  next_ = header.next;
}

/// Counts shard `number` if it is whole and belongs here.
bool CorpusFolder::keep_shard(std::int64_t number) {
  const fs::path path = building_ / shard_name(number);
  if (!fs::exists(path)) return false;
  try {
    const InputFile file(path);
    const ShardHeader header = read_shard_header(file);
    const auto hash = hash_of_whole_shard(file, header);
    if (header.key != key_ || header.number != number || !hash) return false;
    count(header, file.bytes(), *hash);
    return true;
  } catch (const Error& error) {
    if (error.code() != ExitCode::corrupt) throw;
    return false;
  }
}

void CorpusFolder::keep_whole_shards() {
  remove_leftovers(building_);
  std::int64_t kept = 0;
  while (keep_shard(kept)) {
    kept++;
  }
  // What follows is made again, perhaps in fewer shards: none of the old ones may stay behind them.
  std::vector<fs::path> stale;
  for (const fs::directory_entry& entry : fs::directory_iterator(building_)) {
    const std::string name = entry.path().filename().string();
    const bool is_kept =
        std::ranges::find(sums_.shards, name, &ShardManifest::Shard::file) != sums_.shards.end();
    if (name.starts_with("shard-") && !is_kept) stale.push_back(entry.path());
  }
  for (const fs::path& path : stale) {
    if (const int error = remove_path(path)) storage_failure("remove", path, error);
  }
}

void CorpusFolder::add(ShardContents& contents, ShardHeader header) {
  header.number = static_cast<std::int64_t>(sums_.shards.size());
  header.key = key_;
  const fs::path path = building_ / shard_name(header.number);
  const std::uint64_t hash = contents.write(path, header);
  contents.clear();
  count(header, fs::file_size(path), hash);
}

void CorpusFolder::publish(ShardManifest manifest) {
  const auto ours = std::move(manifest);
  manifest = sums_;
  manifest.tokenizer = ours.tokenizer;
  manifest.reading = ours.reading;
  manifest.packing = ours.packing;
  manifest.inputs = ours.inputs;
  write_file_atomically(building_ / "manifest.json", manifest_json(manifest).dump(1) + "\n");
  if (retried([&] { return file_calls().rename(building_.c_str(), folder_.c_str()); }) < 0) {
    storage_failure("make the folder", folder_, errno);
  }
  sync_folder(parent_of(folder_));
  remove_path(folder_ / kLock);
  unlock();
}

void CorpusFolder::discard() {
  remove_path(building_);
  unlock();
}

void require_same_corpus(const fs::path& folder, const ShardManifest& plan) {
  const ShardManifest there = read_manifest(folder);
  const bool same_files =
      std::equal(there.inputs.begin(), there.inputs.end(), plan.inputs.begin(), plan.inputs.end(),
                 [](const CorpusInput& a, const CorpusInput& b) {
                   return a.bytes == b.bytes && a.xxh3 == b.xxh3;
                 });
  require(same_files && corpus_key(there) == corpus_key(plan), ExitCode::usage,
          "'{}' is there already and holds another corpus, and nothing is overwritten; choose "
          "another folder or remove it",
          folder.string());
}

}  // namespace farsight
