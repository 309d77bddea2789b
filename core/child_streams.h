// File descriptors between this process and a child; only core/child_process.cpp needs them.
#pragma once

#include <unistd.h>

#include <utility>

#include "core/child_process.h"

namespace farsight {

/// Closes itself; -1 is none.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

struct Pipe {
  Descriptor read, write;
};

/// Closed in a child that becomes another program.
Pipe new_pipe();

/// With a number that is none of the standard streams', should this process have closed some of
/// its own: become() gives these to the child one after the other.
Descriptor beyond_streams(Descriptor descriptor);

/// The child's end of a standard stream, and ours, which does not block, if it is a pipe.
struct Stream {
  Descriptor theirs, ours;
};

/// `number`: 0 input, 1 output, 2 errors.
Stream stream_of(const ChildStream& wanted, int number);

}  // namespace farsight
