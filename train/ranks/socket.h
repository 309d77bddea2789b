// TCP between ranks: sockets that close themselves, transfers that end by a moment.
//
// IPv4. Whoever reaches the port is trusted not to flood it, but nothing that it sends is believed:
// messages have a first word of ours and a length with a limit.
#pragma once

#include <cstddef>
#include <cstdint>
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
/// The next connection; empty if none comes before `until` (seconds_now()).
Socket accept_until(const Socket& listening, double until);
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

/// "gpu7, process 4711": this one, for messages on other hosts.
std::string process_name();

}  // namespace farsight
