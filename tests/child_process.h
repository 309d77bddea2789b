// The programs as a user runs them: a process of its own, its exit code and what it printed.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/temporary_folder.h"

namespace farsight {

struct Outcome {
  int exit_code = -1;  ///< -1: a signal ended it
  int signal = 0;
  std::string out, err;
};

/// bin/mamba of this build, started in `folder`. Reaped when it goes out of scope.
class Child {
 public:
  Child(const std::filesystem::path& folder, std::vector<std::string> words)
      : out_(folder / ".out"), err_(folder / ".err") {
    std::string program = FARSIGHT_BINARY_DIR "/bin/mamba";
    std::vector<char*> argv = {program.data()};
    for (std::string& word : words) {
      argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    constexpr int kWrite = O_WRONLY | O_CREAT | O_TRUNC;
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out_.c_str(), kWrite, 0600);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err_.c_str(), kWrite, 0600);
    posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
    const int error = posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    REQUIRE_MESSAGE(error == 0, program, " cannot be started: error ", error);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    wait();
  }

  void send(int signal) const { ::kill(pid_, signal); }
  bool running() const {
    siginfo_t info = {};
    const bool known =
        waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
    return known && info.si_pid == 0;
  }
  Outcome wait() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
            .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
            .out = read_plainly(out_),
            .err = read_plainly(err_)};
  }

 private:
  std::filesystem::path out_, err_;
  pid_t pid_ = 0;
};

inline Outcome run_mamba(const std::filesystem::path& folder, std::vector<std::string> words) {
  return Child(folder, std::move(words)).wait();
}

}  // namespace farsight
