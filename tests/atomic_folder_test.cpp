#include "core/atomic_folder.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "core/bounded_reader.h"
#include "core/check.h"
#include "core/file_calls.h"
#include "core/hash.h"
#include "tests/failing_calls.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

void save(const fs::path& path, const std::string& text) {
  AtomicFolder folder(path);
  folder.write("model", text);
  folder.write("manifest", text + "!");
  folder.commit();
}

/// "old", "new" when both files agree with one another; else what is wrong.
std::string contents(const fs::path& path) {
  if (!fs::exists(path)) return "none";
  const std::string model = read_plainly(path / "model");
  return read_plainly(path / "manifest") == model + "!" ? model : "torn";
}

}  // namespace

TEST_CASE("atomic folder: appears with all its files, and the entries are what a manifest needs") {
  const TemporaryFolder parent;
  AtomicFolder folder(parent / "step-1");
  folder.write("a", "alpha");
  folder.write("b", [](OutputFile& file) {
    file.write("be");
    file.write("ta");
  });
  CHECK_FALSE(fs::exists(parent / "step-1"));
  CHECK(read_plainly(folder.in_progress() / "a") == "alpha");
  folder.commit();
  CHECK(read_plainly(parent / "step-1/b") == "beta");
  CHECK(parent.entries() == 1);
  REQUIRE(folder.entries().size() == 2);
  CHECK(folder.entries()[1].name == "b");
  CHECK(folder.entries()[1].bytes == 4);
  CHECK(folder.entries()[1].xxh3 == xxh3_64(bytes_of("beta")));
  CHECK(xxh3_of_file(parent / "step-1/b") == folder.entries()[1].xxh3);
}

TEST_CASE("atomic folder: without a commit nothing stays") {
  const TemporaryFolder parent;
  { AtomicFolder(parent / "step-1").write("a", "alpha"); }
  CHECK(parent.entries() == 0);
  const auto throwing = [](OutputFile& file) {
    file.write("half");
    fail(ExitCode::data, "the caller's own failure");
  };
  CHECK(error_of([&] { AtomicFolder(parent / "step-1").write("a", throwing); }) ==
        "the caller's own failure");
  CHECK(parent.entries() == 0);
}

TEST_CASE(
    "atomic folder: where names cannot be exchanged, one that is there is replaced all the same") {
  const TemporaryFolder parent;
  save(parent / "step-1", "old");
  const FileCalls real = file_calls();
  file_calls().exchange = [](const char*, const char*) {
    errno = EINVAL;  // as NFS
    return -1;
  };
  save(parent / "step-1", "new");
  file_calls() = real;
  CHECK(contents(parent / "step-1") == "new");
  CHECK(parent.entries() == 1);
}

TEST_CASE("atomic folder: what a killed save left is removed, and links are not followed") {
  const TemporaryFolder parent;
  fs::create_directories(parent / "step-1.inprogress/deep/er");
  write_plainly(parent / "step-1.inprogress/deep/er/x", "left");
  write_plainly(parent / "keep", "precious");
  fs::create_directory(parent / "kept");
  write_plainly(parent / "kept/file", "precious");
  fs::create_symlink(parent / "keep", parent / "step-1.inprogress/link");
  fs::create_directory_symlink(parent / "kept", parent / "step-1.inprogress/folder_link");
  save(parent / "step-1", "new");
  CHECK(contents(parent / "step-1") == "new");
  CHECK(read_plainly(parent / "keep") == "precious");
  CHECK(read_plainly(parent / "kept/file") == "precious");
  CHECK_FALSE(fs::exists(parent / "step-1.inprogress"));
}

TEST_CASE("atomic folder: one of the same name is replaced whole") {
  const TemporaryFolder parent;
  save(parent / "step-1", "old");
  write_plainly(parent / "step-1/third", "not in the new one");
  save(parent / "step-1", "new");
  CHECK(contents(parent / "step-1") == "new");
  CHECK_FALSE(fs::exists(parent / "step-1/third"));
  CHECK(parent.entries() == 1);
}

TEST_CASE(
    "atomic folder: any system call of a save may fail, and the old folder stays or the new is "
    "there") {
  for (const bool exists : {false, true}) {
    const TemporaryFolder parent;
    const auto prepare = [&] {
      fs::remove_all(parent / "step-1");
      if (exists) save(parent / "step-1", "old");
    };
    fail_everywhere(
        prepare, [&] { save(parent / "step-1", "new"); },
        [&](bool failed) {
          const std::string before = exists ? "old" : "none";
          const std::string now = contents(parent / "step-1");
          CHECK((now == "new" || (failed && now == before)));
          save(parent / "step-1", "again");
          CHECK(contents(parent / "step-1") == "again");
          CHECK(parent.entries() == 1);
        });
  }
}

TEST_CASE(
    "atomic folder: a process that dies at any call leaves the old or the new, and the next save "
    "cleans up") {
  const TemporaryFolder parent;
  die_everywhere(
      [&] {
        fs::remove_all(parent / "step-1");
        save(parent / "step-1", "old");
      },
      [&] { save(parent / "step-1", "new"); },
      [&] {
        const std::string now = contents(parent / "step-1");
        CHECK((now == "old" || now == "new"));
        remove_leftovers(parent.path());
        CHECK(parent.entries() == 1);
      });
}

TEST_CASE("hash: XXH3-64 equals the published values however the bytes are cut") {
  CHECK(xxh3_64({}) == 0x2d06800538d394c2ull);
  CHECK(hex(xxh3_64({})) == "2d06800538d394c2");
  CHECK(hex(1) == "0000000000000001");
  std::string text;
  for (int i = 0; i < 3000; i++) {
    text += static_cast<char>(i * 7);
  }
  for (const std::size_t cut : {0u, 1u, 240u, 256u, 1024u, 2999u, 3000u}) {
    Xxh3 hash;
    hash.update(bytes_of(text).first(cut));
    hash.update(bytes_of(text).subspan(cut));
    CHECK(hash.value() == xxh3_64(bytes_of(text)));
  }
}

}  // namespace farsight
