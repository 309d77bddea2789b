#include "core/child_streams.h"

#include <fcntl.h>

#include <cerrno>

#include "core/check.h"
#include "core/file_calls.h"

namespace farsight {
namespace {

Descriptor opened(const std::filesystem::path& path, int flags) {
  const int fd = retried([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0644); });
  require(fd >= 0, ExitCode::storage, "cannot open {}: {}", path.string(), reason(errno));
  return Descriptor(fd);
}

}  // namespace

Pipe new_pipe() {
  int ends[2];
  require(::pipe2(ends, O_CLOEXEC) == 0, ExitCode::storage, "cannot make a pipe: {}",
          reason(errno));
  return {.read = Descriptor(ends[0]), .write = Descriptor(ends[1])};
}

Descriptor beyond_streams(Descriptor descriptor) {
  constexpr int kFirst = 3;
  if (descriptor.get() < 0 || descriptor.get() >= kFirst) return descriptor;
  Descriptor copy(::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, kFirst));
  require(copy.get() >= 0, ExitCode::storage, "cannot copy a file descriptor: {}", reason(errno));
  return copy;
}

Stream stream_of(const ChildStream& wanted, int number) {
  const bool in = number == STDIN_FILENO;
  switch (wanted.kind) {
    case ChildStream::Kind::inherited: {
      // A copy, so that no dup2 below can overwrite it first. One that is closed stays closed.
      return {.theirs = Descriptor(::fcntl(number, F_DUPFD_CLOEXEC, 3)), .ours = Descriptor()};
    }
    case ChildStream::Kind::file:
      return {.theirs = opened(wanted.path, in ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC),
              .ours = Descriptor()};
    case ChildStream::Kind::appended:
      check(!in, "ChildProcess: input cannot be appended to");
      return {.theirs = opened(wanted.path, O_WRONLY | O_CREAT | O_APPEND), .ours = Descriptor()};
    case ChildStream::Kind::pipe: {
      Pipe pipe = new_pipe();
      Stream stream = in ? Stream{std::move(pipe.read), std::move(pipe.write)}
                         : Stream{std::move(pipe.write), std::move(pipe.read)};
      ::fcntl(stream.ours.get(), F_SETFL, O_NONBLOCK);
      return stream;
    }
    case ChildStream::Kind::nothing:
      break;
  }
  return {.theirs = opened("/dev/null", in ? O_RDONLY : O_WRONLY), .ours = Descriptor()};
}

}  // namespace farsight
