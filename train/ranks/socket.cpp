#include "train/ranks/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "core/clock.h"

namespace farsight {
namespace {

constexpr std::uint32_t kFirstWord = 0x4e415246;  // "FRAN" in memory

/// Milliseconds for poll(): rounded up, so that nobody spins through the last one.
int left_ms(double until) {
  const double left = std::ceil((until - seconds_now()) * 1e3);
  return static_cast<int>(std::clamp(left, 0.0, 1e9));
}

/// Whether the socket becomes ready for `events` before `until`.
bool wait_for(int fd, short events, double until) {
  while (true) {
    pollfd entry{.fd = fd, .events = events, .revents = 0};
    const int ready = ::poll(&entry, 1, left_ms(until));
    if (ready > 0) return true;
    if (ready == 0 && seconds_now() >= until) return false;
    if (ready < 0 && errno != EINTR && errno != EAGAIN) return false;
  }
}

void prepare(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/// Moves what `call` moves at a time until there is nothing left.
template <class Call>
Transfer transfer(int fd, short events, std::size_t bytes, double until, const Call& call) {
  if (fd < 0) return Transfer::closed;
  for (std::size_t done = 0; done < bytes;) {
    const ssize_t moved = call(done);
    if (moved > 0) {
      done += static_cast<std::size_t>(moved);
      continue;
    }
    if (moved == 0) return Transfer::closed;
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return Transfer::closed;
    if (!wait_for(fd, events, until)) return Transfer::late;
  }
  return Transfer::done;
}

Socket bound_to(int port, bool loopback) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(loopback ? INADDR_LOOPBACK : INADDR_ANY);
  const bool works =
      socket &&
      // What an ended job left in TIME_WAIT is not in the way, nor who has reserved the port; a
      // socket that listens is.
      setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
      bind(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  if (works) return socket;
  const int error = errno;
  socket.close();
  errno = error;
  return {};
}

}  // namespace

SocketCalls system_socket_calls() {
  return {
      .connect = ::connect,
      .accept = [](int fd) { return ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC); },
      .send = [](int fd, const void* bytes,
                 std::size_t count) { return ::send(fd, bytes, count, MSG_NOSIGNAL); },
      .recv = [](int fd, void* bytes, std::size_t count) { return ::recv(fd, bytes, count, 0); },
  };
}

SocketCalls& socket_calls() {
  static SocketCalls calls = system_socket_calls();
  return calls;
}

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void Socket::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Socket::shut_down() const {
  if (fd_ >= 0) ::shutdown(fd_, SHUT_RDWR);
}

Socket listen_at(int port, bool loopback, int& error) {
  Socket socket = bound_to(port, loopback);
  constexpr int kWaiting = 4096;
  const bool works = socket && listen(socket.fd(), kWaiting) == 0;
  error = works ? 0 : errno;
  if (!works) return {};
  fcntl(socket.fd(), F_SETFL, fcntl(socket.fd(), F_GETFL) | O_NONBLOCK);
  return socket;
}

Socket reserve_port(int& error) {
  Socket socket = bound_to(0, true);
  error = socket ? 0 : errno;
  return socket;
}

int port_of(const Socket& listening) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (getsockname(listening.fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.sin_port);
}

Socket accept_waiting(const Socket& listening, int& error) {
  error = 0;
  Socket socket(socket_calls().accept(listening.fd()));
  if (socket) {
    prepare(socket.fd());
    return socket;
  }
  const bool none = errno == EINTR || errno == EAGAIN || errno == ECONNABORTED;
  if (!none) error = errno;
  return {};
}

Socket connect_to(const std::string& host, int port, double until, std::string& why) {
  addrinfo wanted{}, *found = nullptr;
  wanted.ai_family = AF_INET;
  wanted.ai_socktype = SOCK_STREAM;
  const int known = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &found);
  if (known != 0) {
    why = fmt::format("no such host ({})", gai_strerror(known));
    return {};
  }
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket) prepare(socket.fd());
  int error = errno;
  if (socket && socket_calls().connect(socket.fd(), found->ai_addr, found->ai_addrlen) == 0) {
    error = 0;
  } else if (socket) {
    error = errno;
  }
  freeaddrinfo(found);
  if (error == EINPROGRESS) {
    socklen_t size = sizeof error;
    error = ETIMEDOUT;
    if (wait_for(socket.fd(), POLLOUT, until)) {
      getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
    }
  }
  if (error == 0) return socket;
  why = std::strerror(error);
  return {};
}

Transfer send_bytes(const Socket& to, std::span<const std::byte> bytes, double until) {
  return transfer(to.fd(), POLLOUT, bytes.size(), until, [&](std::size_t done) {
    return socket_calls().send(to.fd(), bytes.data() + done, bytes.size() - done);
  });
}

Transfer receive_bytes(const Socket& from, std::span<std::byte> bytes, double until) {
  return transfer(from.fd(), POLLIN, bytes.size(), until, [&](std::size_t done) {
    return socket_calls().recv(from.fd(), bytes.data() + done, bytes.size() - done);
  });
}

Transfer send_message(const Socket& to, const std::string& text, double until) {
  const std::uint32_t head[2] = {kFirstWord, static_cast<std::uint32_t>(text.size())};
  std::string all(reinterpret_cast<const char*>(head), sizeof head);
  all += text;
  return send_bytes(to, std::as_bytes(std::span(all)), until);
}

Transfer receive_message(const Socket& from, std::string& text, std::size_t most_bytes,
                         double until) {
  std::uint32_t head[2] = {};
  const Transfer began = receive_bytes(from, std::as_writable_bytes(std::span(head)), until);
  if (began != Transfer::done) return began;
  if (head[0] != kFirstWord || head[1] > most_bytes) return Transfer::closed;
  text.resize(head[1]);
  return receive_bytes(from, std::as_writable_bytes(std::span(text)), until);
}

std::string process_name() {
  char host[256] = {};
  if (gethostname(host, sizeof host - 1) != 0) return fmt::format("process {}", getpid());
  return fmt::format("{}, process {}", host, getpid());
}

}  // namespace farsight
