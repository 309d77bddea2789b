// Makes the Nth system call of a save fail, or the process die there, for every N.
#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/check.h"
#include "core/file_calls.h"
#include "tests/temporary_folder.h"

namespace farsight {

/// Counts the calls that change something and runs `at_nth` at one of them: it may set errno and
/// return true (the call fails), or return false (the call is made). For the test's own lifetime.
class Interceptor {
 public:
  using Fault = std::function<bool(std::string_view call)>;

  Interceptor(int nth, Fault at_nth) : nth_(nth), fault_(std::move(at_nth)) {
    FileCalls& calls = file_calls();
    wrap(calls.open, "open");
    wrap(calls.fsync, "fsync");
    wrap(calls.close, "close");
    wrap(calls.rename, "rename");
    wrap(calls.exchange, "exchange");
    wrap(calls.unlink, "unlink");
    wrap(calls.mkdir, "mkdir");
    wrap(calls.rmdir, "rmdir");
    calls.write = [this, real = calls.write](int fd, const void* bytes, std::size_t count) {
      if (fails("write")) return ssize_t{-1};
      return real(fd, bytes, short_write_ && count_ == nth_ + 1 ? (count + 1) / 2 : count);
    };
  }
  ~Interceptor() { file_calls() = system_file_calls(); }
  Interceptor(const Interceptor&) = delete;
  Interceptor& operator=(const Interceptor&) = delete;

  /// The Nth call was made: with a larger N there is nothing left to fail.
  bool reached() const { return count_ > nth_; }
  void write_half() { short_write_ = true; }

 private:
  bool fails(std::string_view call) { return count_++ == nth_ && fault_(call); }
  template <class... Args>
  void wrap(std::function<int(Args...)>& call, std::string_view name) {
    call = [this, name, real = call](Args... args) {
      if (!fails(name)) return real(args...);
      if (name == "close") {  // a close that fails has closed nevertheless
        const int error = errno;
        real(args...);
        errno = error;
      }
      return -1;
    };
  }

  int nth_;
  int count_ = 0;
  bool short_write_ = false;
  Fault fault_;
};

/// Runs `save` with the Nth call failing, for every N and each errno. `inspect` sees the state
/// after each, and whether it was reported.
inline void fail_everywhere(const std::function<void()>& prepare, const std::function<void()>& save,
                            const std::function<void(bool failed)>& inspect) {
  for (const int error : {ENOSPC, EIO, EROFS, EINTR}) {
    bool reached = true;
    for (int nth = 0; reached; nth++) {
      prepare();
      std::string call, message;
      ExitCode code = ExitCode::storage;
      {
        Interceptor interceptor(nth, [&](std::string_view name) {
          call = name;
          errno = error;
          return true;
        });
        message = error_of(save, &code);
        reached = interceptor.reached();
      }
      CAPTURE(nth);
      CAPTURE(error);
      CAPTURE(call);
      CAPTURE(message);
      CHECK(code == ExitCode::storage);
      if (error == EINTR) CHECK(message.empty());
      if (!message.empty()) CHECK(mentions(message, std::generic_category().message(error)));
      inspect(!message.empty());
      REQUIRE(nth < 100);
    }
  }
}

/// The same with a process that dies at the Nth call, for every N.
inline void die_everywhere(const std::function<void()>& prepare, const std::function<void()>& save,
                           const std::function<void()>& inspect) {
  constexpr int kDied = 9, kDone = 0;
  int status = kDied;
  for (int nth = 0; status == kDied; nth++) {
    prepare();
    std::fflush(nullptr);  // what is buffered must not be written twice
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      Interceptor interceptor(nth, [](std::string_view) -> bool { _exit(kDied); });
      save();
      _exit(kDone);
    }
    int how = 0;
    REQUIRE(waitpid(child, &how, 0) == child);
    REQUIRE(WIFEXITED(how));
    status = WEXITSTATUS(how);
    CAPTURE(nth);
    inspect();
    REQUIRE(nth < 100);
  }
  CHECK(status == kDone);
}

}  // namespace farsight
