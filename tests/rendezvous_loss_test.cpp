// Ranks that are lost while they meet, strangers, and a rank 0 that cannot take who comes.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>

#include "core/clock.h"
#include "core/json.h"
#include "tests/rank_threads.h"
#include "tests/temporary_folder.h"
#include "train/ranks/greeting.h"
#include "train/ranks/rendezvous.h"

namespace farsight {
namespace {

constexpr double kLong = 20;  // for meetings that somebody is missing from: nobody waits so long

Socket connected_to(int port) {
  std::string why;
  Socket socket;
  for (const double until = seconds_now() + kLong; !socket && seconds_now() < until;)
    socket = connect_to("127.0.0.1", port, until, why);
  check(static_cast<bool>(socket), "nobody listens at port {}: {}", port, why);
  return socket;
}

/// Greets rank 0 as rank 1 of `world` would, by hand. Returns its answer; the connection stays open.
std::string greet_by_hand(const Socket& socket, Greeting greeting) {
  std::string answer;
  send_message(socket, text_of(greeting), seconds_now() + 1);
  receive_message(socket, answer, kMostGreetingBytes, seconds_now() + 5);
  return answer;
}

Greeting rank_one_of(int world) {
  return {.kind = "control",
          .job = "test",
          .rank = 1,
          .world = world,
          .who = "somebody",
          .instance = "1"};
}

TEST_CASE(
    "rendezvous: one that dies after its greeting is named at once, and not when time is over") {
  const double start = seconds_now();
  const int port = free_port();
  const auto errors = errors_of_threads(3, [&](int rank) {
    if (rank == 1) {
      const Socket socket = connected_to(port);
      CHECK(mentions(greet_by_hand(socket, rank_one_of(4)), "welcome"));
      return;  // its connection closes; rank 3 never comes
    }
    meet(place_of(rank, 4, port), {}, kLong);
  });
  CHECK(errors[0] == "rank 1 of 4 (somebody) was lost while the ranks met: its connection closed");
  CHECK(errors[2] == errors[0]);
  CHECK(seconds_now() - start < kLong);
}

TEST_CASE("rendezvous: one that comes again, because its second connection failed, is not lost") {
  const int port = free_port();
  const auto errors = errors_of_threads(2, [&](int rank) {
    if (rank == 0) {
      meet(place_of(0, 2, port), {}, kLong);
      return;
    }
    greet_by_hand(connected_to(port), rank_one_of(2));
    const Socket control = connected_to(port), data = connected_to(port);
    Greeting greeting = rank_one_of(2);
    CHECK(mentions(greet_by_hand(control, greeting), "welcome"));
    greeting.kind = "data";
    send_message(data, text_of(greeting), seconds_now() + 1);
    std::string answer;
    receive_message(control, answer, kMostGreetingBytes, seconds_now() + 5);
    CHECK(mentions(answer, "\"all\""));
  });
  CHECK(all_empty(errors));
}

TEST_CASE("rendezvous: a rank whose second connection failed comes again by itself") {
  const int port = free_port();
  std::atomic<bool> listens = false;
  std::atomic<int> calls = 0;
  socket_calls().connect = [&, real = socket_calls().connect](int fd, const sockaddr* address,
                                                              socklen_t size) {
    if (!listens || ++calls != 2) return real(fd, address, size);
    errno = ECONNREFUSED;
    return -1;
  };
  const auto errors = errors_of_threads(2, [&](int rank) {
    if (rank == 1) connected_to(port);
    if (rank == 1) listens = true;
    meet(place_of(rank, 2, port), {}, kLong);
  });
  socket_calls() = system_socket_calls();
  CHECK(all_empty(errors));
  CHECK(calls == 4);  // control, the one that failed, and both again
}

TEST_CASE("rendezvous: when rank 0 dies after its welcome, the others do not look for another") {
  const double start = seconds_now();
  int error = 0;
  Socket listening = listen_at(0, true, error);
  const auto errors = errors_of_threads(2, [&](int rank) {
    if (rank == 1) {
      meet(place_of(1, 2, port_of(listening)), {}, kLong);
      return;
    }
    Socket control;
    while (!control && seconds_now() < start + 20) {
      control = accept_waiting(listening, error);
    }
    std::string greeting;
    receive_message(control, greeting, kMostGreetingBytes, seconds_now() + 5);
    send_message(control, Json::object({{"welcome", "zero\x1b[2J"}}).dump(), seconds_now() + 1);
  });
  CHECK(errors[1] ==
        "rank 0 of 2 (zero\\x1b[2J) was lost while the ranks met: its connection closed");
  CHECK(seconds_now() - start < kLong);
}

TEST_CASE("rendezvous: a stranger's protocol is its own affair, one of this job's is not") {
  const int port = free_port();
  std::string stranger;
  std::atomic<bool> answered = false;
  const auto errors = errors_of_threads(3, [&](int rank) {
    if (rank < 2) {
      for (const double until = seconds_now() + kLong;
           rank == 1 && !answered && seconds_now() < until;)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      meet(place_of(rank, 2, port), {}, kLong);
      return;
    }
    const Socket socket = connected_to(port);
    send_message(socket, Json::object({{"farsight-ranks", 99}, {"job", "another"}}).dump(),
                 seconds_now() + 1);
    receive_message(socket, stranger, kMostGreetingBytes, seconds_now() + 5);
    answered = true;
  });
  CHECK(all_empty(errors));
  CHECK(stranger == R"({"other":"test"})");
}

TEST_CASE("rendezvous: what a process calls itself reaches no terminal as it is") {
  const int port = free_port();
  std::string answer;
  const auto errors = errors_of_threads(2, [&](int rank) {
    if (rank == 0) {
      meet(place_of(0, 2, port), {}, kLong);
      return;
    }
    Greeting greeting = rank_one_of(4);
    greeting.who = "good\x1b]0;bad\x07\nrank 9";
    answer = greet_by_hand(connected_to(port), greeting);
  });
  CHECK(mentions(errors[0], "(good\\x1b]0;bad\\x07\\x0arank 9)"));
  CHECK(mentions(answer, "refused"));
  CHECK(printable(std::string(5000, 'x')).size() < 4200);
}

TEST_CASE("rendezvous: without a descriptor for who comes rank 0 waits and does not spin") {
  const int port = free_port();
  std::atomic<int> tries = 0;
  std::atomic<bool> full = true;
  socket_calls().accept = [&, real = socket_calls().accept](int fd) {
    tries++;
    if (!full) return real(fd);
    errno = EMFILE;
    return -1;
  };
  const double start = seconds_now();
  const auto errors = errors_of_threads(3, [&](int rank) {
    if (rank < 2) return void(meet(place_of(rank, 2, port), {}, kLong));
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    full = false;
  });
  CHECK(all_empty(errors));
  CHECK(tries < 20 + 20 * (seconds_now() - start));  // ten a second, and not thousands
  full = true;
  const auto never = errors_of_threads(2, [&](int rank) {
    if (rank == 0) meet(place_of(0, 2, port), {}, 1.5);
    if (rank == 1) connected_to(port);
  });
  socket_calls() = system_socket_calls();
  CHECK(mentions(never[0], "rank 1 of 2 did not come"));
  CHECK(mentions(never[0], "Too many open files"));
}

}  // namespace
}  // namespace farsight
