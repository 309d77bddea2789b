// Hashes of files that are remembered: when they are taken, and when not.
#include "data/corpus/file_hashes.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <string>
#include <utility>

#include "core/check.h"
#include "core/clock.h"
#include "core/files.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

/// A file, and how often it was read.
class HashedFile {
 public:
  explicit HashedFile(const fs::path& path) : path_(path) { write_plainly(path_, "before"); }

  /// Whether its hash was remembered; the hash is right in any case.
  bool is_remembered(const fs::path& folder, std::int64_t settled_seconds = 0) {
    const int before = reads_;
    const auto compute = [&] {
      reads_++;
      return xxh3_of_file(path_);
    };
    CHECK(remembered_hash(folder, path_, compute, settled_seconds) == xxh3_of_file(path_));
    return reads_ == before;
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  int reads_ = 0;
};

/// The time of change has the kernel's ticks: returns when another write gets another one.
void wait_for_a_tick(const fs::path& changed, const fs::path& beside) {
  const auto time_of = [](const fs::path& path) {
    struct stat info = {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    return std::pair(info.st_ctim.tv_sec, info.st_ctim.tv_nsec);
  };
  for (const double until = seconds_now() + 10; seconds_now() < until;) {
    write_plainly(beside, "");
    if (time_of(beside) != time_of(changed)) return;
  }
}

}  // namespace

TEST_CASE("file hashes: a file that has not changed is read once") {
  const TemporaryFolder folder;
  const fs::path notes = folder / "notes";
  HashedFile file(folder / "a.txt"), other(folder / "b.txt");
  CHECK_FALSE(file.is_remembered(notes));
  CHECK(file.is_remembered(notes));
  CHECK_FALSE(other.is_remembered(notes));
  CHECK(file.is_remembered(notes));
  // By the same size and time of writing, which programs can set.
  const auto written = fs::last_write_time(file.path());
  wait_for_a_tick(file.path(), folder / "tick");
  write_plainly(file.path(), "beforf");
  fs::last_write_time(file.path(), written);
  CHECK_FALSE(file.is_remembered(notes));
  CHECK(file.is_remembered(notes));
  fs::rename(other.path(), file.path());  // another file of this name
  CHECK_FALSE(file.is_remembered(notes));
}

TEST_CASE("file hashes: of a file that was changed a moment ago nothing is remembered") {
  const TemporaryFolder folder;
  HashedFile file(folder / "a.txt");
  CHECK_FALSE(file.is_remembered(folder / "notes", 1000));
  CHECK_FALSE(file.is_remembered(folder / "notes", 1000));
  CHECK_FALSE(fs::exists(folder / "notes"));
}

TEST_CASE("file hashes: a damaged note, or no place for one, costs the reading alone") {
  const TemporaryFolder folder;
  const fs::path notes = folder / "notes";
  HashedFile file(folder / "a.txt");
  CHECK_FALSE(file.is_remembered(notes));
  const fs::path note = fs::directory_iterator(notes)->path();
  const std::string whole = read_plainly(note);
  for (const std::string& damaged :
       {std::string(), whole.substr(0, whole.size() - 1), whole + "0", std::string("text"),
        whole.substr(0, whole.size() - 1) + "x"}) {
    write_plainly(note, damaged);
    CHECK_FALSE(file.is_remembered(notes));
    CHECK(file.is_remembered(notes));  // written anew
  }
  write_plainly(folder / "no-folder", "");
  CHECK_FALSE(file.is_remembered(folder / "no-folder"));
  CHECK_FALSE(file.is_remembered(folder / "no-folder"));
  ExitCode code = ExitCode::ok;
  const std::string message = error_of(
      [&] { remembered_hash(notes, folder / "none", [] { return std::uint64_t{0}; }); }, &code);
  CHECK(code == ExitCode::storage);
  CHECK(mentions(message, "none"));
}

}  // namespace farsight
