// TCP between ranks: sockets that close themselves, transfers that end by a moment.
//
// IPv4. Whoever reaches the port is trusted not to flood it, but nothing that it sends is believed:
// messages have a first word of ours and a length with a limit.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>

namespace farsight {

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { close(); }

  explicit operator bool() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  void close();
  /// Both directions end, for the peer and for whoever waits here; the number stays taken.
  void shut_down() const;

 private:
  int fd_ = -1;
};

/// A socket that listens at `port` (0: one that is free) of every address, or of this host's own
/// loopback alone. Empty if it cannot, with errno in `error`.
Socket listen_at(int port, bool loopback, int& error);
int port_of(const Socket& listening);
/// A port of the loopback that is free and stays it while the socket lives: the system gives it to
/// nobody who asks for any. listen_at() of any process may have it nevertheless.
Socket reserve_port(int& error);
/// A connection that waits; empty if none does, with errno in `error` where that has another reason.
Socket accept_waiting(const Socket& listening, int& error);
/// One try. Empty if nobody answers; `why` says so in a few words.
Socket connect_to(const std::string& host, int port, double until, std::string& why);

enum class Transfer : std::uint8_t { done, closed, late };

Transfer send_bytes(const Socket& to, std::span<const std::byte> bytes, double until);
Transfer receive_bytes(const Socket& from, std::span<std::byte> bytes, double until);

/// A text with its length before it.
Transfer send_message(const Socket& to, const std::string& text, double until);
/// One that is no message of ours, or longer than `most_bytes`, counts as closed.
Transfer receive_message(const Socket& from, std::string& text, std::size_t most_bytes,
                         double until);

/// The system calls behind all this, of any thread: -1 and errno on failure, as in their manual pages.
/// Tests replace single ones, to fail or to end the process in the middle of one.
struct SocketCalls {
  std::function<int(int fd, const sockaddr* address, socklen_t size)> connect;
  std::function<int(int fd)> accept;
  std::function<ssize_t(int fd, const void* bytes, std::size_t count)> send;
  std::function<ssize_t(int fd, void* bytes, std::size_t count)> recv;
};
SocketCalls system_socket_calls();
/// The table in use, for this process: the system's unless a test assigned another.
SocketCalls& socket_calls();

/// "gpu7, process 4711": this one, for messages on other hosts.
std::string process_name();

}  // namespace farsight
