// Ranks as threads of the test's process: each with sockets and a monitor of its own.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/check.h"
#include "train/ranks/ranks.h"

namespace farsight {

/// A port of this host that nobody gets who asks for any, as long as the tests run.
inline int free_port() {
  static std::mutex mutex;
  static std::vector<Socket> reserved;
  const std::lock_guard lock(mutex);
  int error = 0;
  reserved.push_back(reserve_port(error));
  check(error == 0, "free_port: {}", std::strerror(error));
  return port_of(reserved.back());
}

inline LaunchPlace place_of(int rank, int world, int port) {
  return {.rank = rank,
          .world = world,
          .local_rank = rank,
          .local_world = world,
          .meeting = {.host = "127.0.0.1", .port = port},
          .job = "test",
          .by = "a test"};
}

/// What `body(rank)` of each thread threw; empty: nothing.
inline std::vector<std::string> errors_of_threads(int world, const std::function<void(int)>& body) {
  std::vector<std::string> errors(static_cast<std::size_t>(world));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < world; rank++) {
    threads.emplace_back([&, rank] {
      try {
        body(rank);
      } catch (const std::exception& error) {
        errors[static_cast<std::size_t>(rank)] = error.what();
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  return errors;
}

/// Options of tests: nobody ends the process, nobody waits long.
inline RanksOptions patient_options(double collective_seconds = 20) {
  RanksOptions options{.collective_seconds = collective_seconds};
  options.liveness.end_process = [](const std::string&) {};
  return options;
}

/// Runs `body` on every rank of a job that meets and leaves; returns what each threw.
inline std::vector<std::string> run_ranks(int world, const std::function<void(Ranks&)>& body,
                                          RanksOptions options = patient_options()) {
  const int port = free_port();
  return errors_of_threads(world, [&](int rank) {
    Ranks ranks(meet(place_of(rank, world, port), {}), options);
    body(ranks);
    ranks.leave();
  });
}

inline bool all_empty(const std::vector<std::string>& errors) {
  for (const std::string& error : errors) {
    if (!error.empty()) MESSAGE(error);
    if (!error.empty()) return false;
  }
  return true;
}

}  // namespace farsight
