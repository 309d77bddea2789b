#include "core/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "core/child_streams.h"
#include "core/clock.h"
#include "core/file_calls.h"

namespace farsight {
namespace {

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> list;
  for (std::string& word : words)
    list.push_back(word.data());
  list.push_back(nullptr);
  return list;
}

std::vector<std::string> whole_environment(const Environment& more) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; entry++) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    const bool replaced = std::any_of(more.begin(), more.end(),
                                      [&](const auto& given) { return given.first == name; });
    if (!replaced) all.emplace_back(text);
  }
  for (const auto& [name, value] : more)
    all.push_back(name + "=" + value);
  return all;
}

/// What the child needs between fork and exec, where nothing may allocate or take a lock.
struct Plan {
  char* const* words;
  char* const* environment;
  const char* folder;  // nullptr: where this process is
  std::array<int, 3> streams;
  int report;  // gets errno if it cannot become the program
  pid_t parent;
};

[[noreturn]] void become(const Plan& plan) {
  const auto give_up = [&] {
    const int error = errno;
    while (::write(plan.report, &error, sizeof error) < 0 && errno == EINTR) {
    }
    ::_exit(127);
  };
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != plan.parent) ::_exit(127);  // it died before the line above
  for (int i = 0; i < 3; i++) {
    const int from = plan.streams[static_cast<std::size_t>(i)];
    if (from < 0) {
      ::close(i);
    } else if (::dup2(from, i) < 0) {
      give_up();
    }
  }
  if (plan.folder != nullptr && ::chdir(plan.folder) != 0) give_up();
  for (const int number : {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2, SIGHUP})
    ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execvpe(plan.words[0], plan.words, plan.environment);
  give_up();
  ::_exit(127);
}

/// 0 once the child has become the program, else why it cannot.
int exec_error(Descriptor report) {
  int error = 0;
  const ssize_t count = retried([&] { return ::read(report.get(), &error, sizeof error); });
  return count == static_cast<ssize_t>(sizeof error) ? error : 0;
}

/// False if the time is over first.
template <class Condition>
bool becomes_true(const Condition& condition, double seconds) {
  const double end = seconds_now() + seconds;
  auto pause = std::chrono::milliseconds(1);
  while (!condition()) {
    if (seconds_now() >= end) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(20));
  }
  return true;
}

void reap(pid_t id) {
  while (::waitpid(id, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

std::string ChildEnd::text() const {
  if (exit_code >= 0) return fmt::format("exit code {}", exit_code);
  if (signal == 0) return "ended, nobody knows how";
  const char* name = ::sigdescr_np(signal);
  return fmt::format("ended by signal {} ({})", signal, name == nullptr ? "unknown" : name);
}

CannotStart::CannotStart(const std::string& program, int error)
    : Error(ExitCode::storage, fmt::format("cannot start {}: {}", program, reason(error))),
      error_(error) {}

bool CannotStart::not_found() const {
  return error_ == ENOENT || error_ == ENOTDIR;
}

ChildProcess::ChildProcess(const ChildSpec& spec) {
  check(!spec.words.empty(), "ChildProcess: there must be a program");
  std::vector<std::string> words = spec.words;
  std::vector<std::string> variables = whole_environment(spec.environment);
  const std::vector<char*> argv = pointers(words), envp = pointers(variables);
  std::array<Stream, 3> streams = {stream_of(spec.input, 0), stream_of(spec.output, 1),
                                   stream_of(spec.errors, 2)};
  for (Stream& stream : streams)
    stream.theirs = beyond_streams(std::move(stream.theirs));
  Pipe report = new_pipe();
  report.write = beyond_streams(std::move(report.write));
  const Plan plan{
      .words = argv.data(),
      .environment = envp.data(),
      .folder = spec.folder.empty() ? nullptr : spec.folder.c_str(),
      .streams = {streams[0].theirs.get(), streams[1].theirs.get(), streams[2].theirs.get()},
      .report = report.write.get(),
      .parent = ::getpid()};
  const pid_t id = ::fork();
  if (id == 0) become(plan);
  if (id < 0) throw CannotStart(words.front(), errno);
  ::setpgid(id, id);  // here as well: whoever is first, a signal to the group finds one
  report.write = Descriptor();
  if (const int error = exec_error(std::move(report.read)); error != 0) {
    reap(id);
    throw CannotStart(words.front(), error);
  }
  id_ = id;
  for (std::size_t i = 0; i < 3; i++)
    pipes_[i] = streams[i].ours.release();
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : id_(std::exchange(other.id_, 0)), end_(other.end_) {
  for (std::size_t i = 0; i < 3; i++)
    pipes_[i] = std::exchange(other.pipes_[i], -1);
}

ChildProcess::~ChildProcess() {
  if (id_ != 0) stop(1);
  close_pipes();
}

void ChildProcess::send(int signal) const {
  if (id_ != 0) ::kill(id_, signal);
}

void ChildProcess::send_to_group(int signal) const {
  if (id_ != 0) ::kill(-id_, signal);
}

std::optional<ChildEnd> ChildProcess::poll() {
  if (id_ == 0) return end_;
  int status = 0;
  const pid_t found = ::waitpid(id_, &status, WNOHANG);
  if (found == 0 || (found < 0 && errno == EINTR)) return std::nullopt;
  id_ = 0;
  end_ = ChildEnd{};  // should somebody else have waited for it, how it ended is lost
  if (found > 0) {
    end_->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    end_->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }
  return end_;
}

std::optional<ChildEnd> ChildProcess::wait(double seconds) {
  becomes_true([&] { return poll().has_value(); }, seconds);
  return end_;
}

ChildEnd ChildProcess::stop(double grace_seconds) {
  send_to_group(SIGTERM);
  send_to_group(SIGCONT);  // one that is halted would not hear it
  const auto ended = [&] {
    siginfo_t info = {};
    const int problem = ::waitid(P_PID, static_cast<id_t>(id_), &info, WEXITED | WNOHANG | WNOWAIT);
    return problem != 0 || info.si_pid != 0;
  };
  if (id_ != 0) becomes_true(ended, grace_seconds);
  send_to_group(
      SIGKILL);  // before it is waited for: until then the group's number is nobody else's
  return *wait();
}

bool ChildProcess::read_pipe(std::size_t stream, std::string& text) {
  std::array<char, 16384> part;
  while (pipes_[stream] >= 0) {
    const ssize_t count = retried([&] { return ::read(pipes_[stream], part.data(), part.size()); });
    if (count > 0) {
      text.append(part.data(), static_cast<std::size_t>(count));
    } else if (count < 0 && errno == EAGAIN) {
      return true;
    } else {
      ::close(std::exchange(pipes_[stream], -1));
    }
  }
  return false;
}

std::size_t ChildProcess::write_input(std::string_view bytes) {
  check(pipes_[0] >= 0, "ChildProcess: its input is not a pipe, or closed");
  const ssize_t count = retried([&] { return ::write(pipes_[0], bytes.data(), bytes.size()); });
  require(count >= 0 || errno == EAGAIN, ExitCode::storage, "cannot write to a child process: {}",
          reason(errno));
  return count < 0 ? 0 : static_cast<std::size_t>(count);
}

void ChildProcess::close_input() {
  if (pipes_[0] >= 0) ::close(std::exchange(pipes_[0], -1));
}

void ChildProcess::close_pipes() {
  for (int& fd : pipes_) {
    if (fd >= 0) ::close(std::exchange(fd, -1));
  }
}

ChildReport run_child(ChildSpec spec, double seconds, std::size_t most_bytes) {
  spec.output = ChildStream::pipe();
  spec.errors = ChildStream::pipe();
  const double deadline = seconds_now() + seconds;
  ChildProcess child(spec);
  ChildReport report;
  const auto read = [&] {
    std::string output, errors;
    child.read_output(output);
    child.read_errors(errors);
    report.output.append(output, 0, most_bytes - report.output.size());
    report.errors.append(errors, 0, most_bytes - report.errors.size());
  };
  while (seconds_now() < deadline) {
    report.end = child.poll();
    read();  // after poll(): what it wrote before its end is in the pipe by now
    if (report.end) return report;
    std::array<pollfd, 2> open = {pollfd{child.output(), POLLIN, 0},
                                  pollfd{child.errors(), POLLIN, 0}};
    ::poll(open.data(), open.size(), 10);
  }
  child.stop(1);
  read();
  return report;
}

}  // namespace farsight
