#include "train/repro/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/check.h"

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

int opened(const std::filesystem::path& path, int flags) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC, 0644);
  require(fd >= 0, ExitCode::storage, "cannot open {}: {}", path.string(), std::strerror(errno));
  return fd;
}

/// Between fork and exec: nothing here may allocate or take a lock.
[[noreturn]] void become(char* const* words, char* const* environment, const int (&files)[3],
                         pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(127);  // it died before the line above
  for (int i = 0; i < 3; i++)
    dup2(files[i], i);
  for (const int signal : {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ})
    ::signal(signal, SIG_DFL);
  execvpe(words[0], words, environment);
  const char* reason = strerrordesc_np(errno);
  const char* parts[] = {words[0], ": ", reason, "\n"};
  for (const char* text : parts) {
    if (write(2, text, std::strlen(text)) < 0) break;
  }
  _exit(127);
}

}  // namespace

ChildProcess::ChildProcess(const ChildSpec& spec) {
  std::vector<std::string> words = spec.words;
  std::vector<std::string> variables = whole_environment(spec.environment);
  const std::vector<char*> argv = pointers(words), envp = pointers(variables);
  const int files[3] = {opened("/dev/null", O_RDONLY),
                        opened(spec.output, O_WRONLY | O_CREAT | O_TRUNC),
                        opened(spec.errors, O_WRONLY | O_CREAT | O_APPEND)};
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) become(argv.data(), envp.data(), files, parent);
  const int error = errno;
  for (const int fd : files)
    close(fd);
  require(pid > 0, ExitCode::storage, "cannot start {}: {}", spec.words.front(),
          std::strerror(error));
  pid_ = pid;
}

ChildProcess::~ChildProcess() {
  if (pid_ == 0) return;
  send(SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void ChildProcess::send(int signal) const {
  if (pid_ != 0) ::kill(pid_, signal);
}

std::optional<ChildEnd> ChildProcess::poll() {
  if (pid_ == 0) return std::nullopt;
  int status = 0;
  const pid_t found = waitpid(pid_, &status, WNOHANG);
  if (found == 0 || (found < 0 && errno == EINTR)) return std::nullopt;
  if (found < 0) {  // somebody else has waited for it: how it ended is lost
    pid_ = 0;
    return ChildEnd{.exit_code = -1};
  }
  pid_ = 0;
  return ChildEnd{.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                  .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0};
}

}  // namespace farsight
