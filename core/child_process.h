// Another program as a child of this one: its streams, its group, its end.
//
//   const ChildReport report = run_child({.words = {"gnuplot", "-d", "figure.gp"}, .folder = there}, 60);
//   if (!report.end) ...                            // the time was over; it was stopped
//
//   ChildProcess rank({.words = words, .errors = ChildStream::pipe()});
//   while (!rank.poll()) { rank.read_errors(text); ... }
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"

namespace farsight {

using Environment = std::vector<std::pair<std::string, std::string>>;

/// Where a child's standard stream leads.
struct ChildStream {
  enum class Kind : std::uint8_t { nothing, inherited, file, appended, pipe };
  Kind kind = Kind::nothing;  ///< /dev/null
  std::filesystem::path path{};

  /// This process's own.
  static ChildStream inherited() { return {.kind = Kind::inherited}; }
  /// Read from (input), or written anew.
  static ChildStream file(std::filesystem::path path) {
    return {.kind = Kind::file, .path = std::move(path)};
  }
  /// Written at the end of what is there.
  static ChildStream appended(std::filesystem::path path) {
    return {.kind = Kind::appended, .path = std::move(path)};
  }
  /// To or from this process.
  static ChildStream pipe() { return {.kind = Kind::pipe}; }
};

struct ChildSpec {
  std::vector<std::string> words;  ///< the program, as a path or a name in PATH, then its words
  Environment environment{};       ///< in addition to this process's own, or instead of parts of it
  std::filesystem::path folder{};  ///< where it works; empty: where this process does
  ChildStream input{}, output{}, errors{};
};

/// How a process ended.
struct ChildEnd {
  int exit_code = -1;  ///< -1: a signal ended it
  int signal = 0;

  bool well() const { return exit_code == 0; }
  /// "exit code 3", "ended by signal 9 (Killed)"
  std::string text() const;
};

/// A program that could not be started: "cannot start gnuplot: No such file or directory".
class CannotStart : public Error {
 public:
  CannotStart(const std::string& program, int error);
  bool not_found() const;

 private:
  int error_;
};

/// A running process, leader of a group of its own: Ctrl-C at the terminal does not reach it, only
/// what is sent here. It gets SIGTERM should the thread that started it end first.
class ChildProcess {
 public:
  /// Throws CannotStart when there is no such program, it may not be run, or the system has no room
  /// for a process; Error(storage) when a file of its streams cannot be opened.
  explicit ChildProcess(const ChildSpec& spec);
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  /// stop() with a second of grace if it still runs: who has more patience calls stop().
  ~ChildProcess();

  pid_t id() const { return id_; }  ///< 0 when it has ended
  void send(int signal) const;
  /// Also to what it has started itself, unless that has left the group.
  void send_to_group(int signal) const;

  /// Nothing while it runs; afterwards how it ended, every time.
  std::optional<ChildEnd> poll();
  /// Nothing if it still runs when the time is over.
  std::optional<ChildEnd> wait(double seconds = std::numeric_limits<double>::infinity());
  /// SIGTERM to the group, `grace_seconds` for the program to end itself, SIGKILL to the group.
  ChildEnd stop(double grace_seconds);

  /// Our ends of pipes, for poll(2); they do not block. -1: not a pipe, or closed.
  int input() const { return pipes_[0]; }
  int output() const { return pipes_[1]; }
  int errors() const { return pipes_[2]; }
  /// Adds what is there to `text`. False: nothing more will come.
  bool read_output(std::string& text) { return read_pipe(1, text); }
  bool read_errors(std::string& text) { return read_pipe(2, text); }
  /// Returns how much of `bytes` the pipe took now. Throws Error(storage) when the child has closed
  /// its end.
  std::size_t write_input(std::string_view bytes);
  void close_input();

 private:
  bool read_pipe(std::size_t stream, std::string& text);
  void close_pipes();

  pid_t id_ = 0;
  std::optional<ChildEnd> end_{};
  int pipes_[3] = {-1, -1, -1};
};

/// What a short run left.
struct ChildReport {
  std::optional<ChildEnd> end{};  ///< nothing: it took longer than allowed and was stopped
  std::string output{}, errors{};
};

/// Runs a program to its end, or to a deadline. Its output and errors are collected, whatever the
/// specification says of them; what goes beyond `most_bytes` each is read and forgotten. What a
/// grandchild that stays alive writes later is not waited for. Throws as ChildProcess does.
ChildReport run_child(ChildSpec spec, double seconds,
                      std::size_t most_bytes = std::size_t{1} << 20);

}  // namespace farsight
