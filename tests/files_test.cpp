#include "core/files.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <string>
#include <vector>

#include "core/atomic_folder.h"
#include "core/check.h"
#include "core/file_calls.h"
#include "tests/failing_calls.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

int open_descriptors() {
  return static_cast<int>(
      std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("files: a link stays a link, and a pipe gets the bytes") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "target", "old");
  fs::create_symlink("target", folder / "link");
  write_file_atomically(folder / "link", "new");
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(read_file(folder / "target") == "new");

  const fs::path pipe = folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  REQUIRE(reader >= 0);
  write_file_atomically(pipe, "through");
  char got[16] = {};
  CHECK(::read(reader, got, sizeof got) == 7);
  CHECK(std::string(got) == "through");
  ::close(reader);
  CHECK(fs::is_fifo(pipe));
}

TEST_CASE("files: a file is replaced whole, and nothing else is left in the folder") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "first");
  write_file_atomically(folder / "a", "");
  CHECK(read_plainly(folder / "a").empty());
  write_file_atomically(folder / "a", std::string_view("\0second", 7));
  CHECK(read_file(folder / "a") == std::string("\0second", 7));
  CHECK(folder.entries() == 1);
}

TEST_CASE("files: whoever has the old file open keeps the old contents") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "old contents");
  const InputFile open_before(folder / "a");
  write_file_atomically(folder / "a", "new");
  std::string seen(12, ' ');
  open_before.read_at(0, std::as_writable_bytes(std::span(seen)));
  CHECK(seen == "old contents");
}

TEST_CASE("files: any system call of a save may fail, and the name holds the old or the new") {
  const TemporaryFolder folder;
  const int descriptors = open_descriptors();
  fail_everywhere([&] { write_plainly(folder / "a", "old"); },
                  [&] { write_file_atomically(folder / "a", "the new contents"); },
                  [&](bool failed) {
                    const std::string now = read_plainly(folder / "a");
                    CHECK((now == "the new contents" || (failed && now == "old")));
                    CHECK(folder.entries() == 1);
                    CHECK(open_descriptors() == descriptors);
                  });
}

TEST_CASE("files: short writes are continued") {
  const TemporaryFolder folder;
  const std::string contents(1000, 'x');
  for (int nth = 0; nth < 8; nth++) {
    Interceptor interceptor(nth, [](std::string_view) { return false; });
    interceptor.write_half();
    write_file_atomically(folder / "a", contents);
    CHECK(read_plainly(folder / "a") == contents);
  }
}

TEST_CASE("files: a process that dies at any call leaves the old or the new file") {
  const TemporaryFolder folder;
  die_everywhere([&] { write_plainly(folder / "a", "old"); },
                 [&] { write_file_atomically(folder / "a", "new"); },
                 [&] {
                   const std::string now = read_plainly(folder / "a");
                   CHECK((now == "old" || now == "new"));
                   remove_leftovers(folder.path());
                   CHECK(folder.entries() == 1);
                 });
}

TEST_CASE("files: a full disk is told with path, reason, bytes needed and free") {
  const TemporaryFolder folder;
  write_plainly(folder / "a.bin", "old");
  const std::string contents(1 << 20, 'x');
  // A limit on the size of files fails in the middle of a write, as a full disk does.
  rlimit before = {};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small = {100'000, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  ExitCode code = ExitCode::ok;
  const std::string message =
      error_of([&] { write_file_atomically(folder / "a.bin", contents); }, &code);
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  CHECK(code == ExitCode::storage);
  CHECK(mentions(message, "cannot write " + (folder / "a.bin").string() + ": File too large"));
  CHECK(mentions(message, "it needs 1.00 MiB"));
  CHECK(mentions(message, "free there"));
  CHECK(read_plainly(folder / "a.bin") == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("files: what cannot be read says why") {
  const TemporaryFolder folder;
  ExitCode code = ExitCode::ok;
  CHECK(mentions(error_of([&] { read_file(folder / "none"); }, &code), "none: No such file"));
  CHECK(code == ExitCode::storage);
  CHECK(mentions(error_of([&] { read_file(folder.path()); }), "it is a folder"));
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(mentions(error_of([&] { read_file(folder / "pipe"); }), "not a regular file"));
  write_plainly(folder / "large", "123456");
  CHECK(mentions(error_of([&] { read_file(folder / "large", 5); }, &code), "at most 5"));
  CHECK(code == ExitCode::corrupt);
  const InputFile file(folder / "large");
  std::string out(4, ' ');
  CHECK(mentions(error_of([&] { file.read_at(4, std::as_writable_bytes(std::span(out))); }, &code),
                 "the file ends here, 2 more bytes were expected (byte 6)"));
  CHECK(code == ExitCode::corrupt);
}

TEST_CASE("files: reading survives interrupted and short reads") {
  const TemporaryFolder folder;
  write_plainly(folder / "a", "0123456789");
  int call = 0;
  file_calls().pread = [&](int fd, void* bytes, std::size_t count, off_t offset) -> ssize_t {
    errno = EINTR;
    return call++ % 2 == 0 ? -1 : ::pread(fd, bytes, std::min<std::size_t>(count, 3), offset);
  };
  const std::string contents = read_file(folder / "a");
  file_calls() = system_file_calls();
  CHECK(contents == "0123456789");
  CHECK(call == 8);
}

TEST_CASE("files: the output folder is made, or refused in one sentence") {
  const TemporaryFolder folder;
  make_output_folder(folder / "a/b/c/");
  make_output_folder(folder / "a/b/c");
  CHECK(fs::is_empty(folder / "a/b/c"));
  write_plainly(folder / "file", "");
  const std::string message = error_of([&] { make_output_folder(folder / "file/runs"); });
  CHECK(mentions(message, "cannot be written"));
  CHECK(mentions(message, "file is a file; choose another folder"));
  fail_everywhere([] {}, [&] { make_output_folder(folder / "x/y"); },
                  [&](bool) { fs::remove_all(folder / "x"); });
}

TEST_CASE("files: a pointer names an entry of its own folder and nothing else") {
  const TemporaryFolder folder;
  write_pointer(folder / "latest", "step-00000010");
  CHECK(read_plainly(folder / "latest") == "step-00000010\n");
  CHECK(read_pointer(folder / "latest") == "step-00000010");
  for (const std::string bad : {"", "\n", ".", "..", "../x", "a/b", "/etc", "a b", "a\nb"}) {
    CAPTURE(bad);
    write_plainly(folder / "latest", bad);
    CHECK(
        mentions(error_of([&] { read_pointer(folder / "latest"); }), "latest: expected the name"));
  }
  write_plainly(folder / "latest", std::string(1000, 'a'));
  CHECK(mentions(error_of([&] { read_pointer(folder / "latest"); }), "1000 bytes"));
}

}  // namespace farsight
