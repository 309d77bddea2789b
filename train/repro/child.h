// Another program as a child of this one.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace farsight {

using Environment = std::vector<std::pair<std::string, std::string>>;

struct ChildSpec {
  std::vector<std::string> words;  ///< the program, as a path or a name in PATH, then its words
  Environment environment{};       ///< in addition to this process's own
  std::filesystem::path output;    ///< stdout; a file that is written anew
  std::filesystem::path errors;    ///< stderr; appended to
};

/// How a process ended.
struct ChildEnd {
  int exit_code = -1;  ///< -1: a signal ended it
  int signal = 0;
};

/// A running process in a group of its own: Ctrl-C at the terminal does not reach it, only what is
/// sent here. It gets SIGTERM should this process die first, and is killed should the object.
class ChildProcess {
 public:
  /// Throws Error(storage) if the files cannot be opened or no process can be started. A program
  /// that cannot be run ends with exit code 127, with the reason in `errors`.
  explicit ChildProcess(const ChildSpec& spec);
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ChildProcess(ChildProcess&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();

  void send(int signal) const;
  /// Nothing while it runs.
  std::optional<ChildEnd> poll();

 private:
  pid_t pid_ = 0;  // 0: it has ended
};

}  // namespace farsight
