// What ranks notice when one of them is lost, hangs or stops.
#include "train/ranks/liveness.h"

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "core/clock.h"
#include "tests/rank_threads.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

TEST_CASE("ranks: one that leaves without a word is named to all others") {
  for (const int lost : {0, 1, 3}) {
    const double start = seconds_now();
    const auto errors = run_ranks(4, [&](Ranks& ranks) {
      ranks.barrier();
      if (ranks.rank() == lost) throw std::runtime_error("gone");  // its sockets close
      ranks.barrier();
    });
    for (int rank = 0; rank < 4; rank++) {
      if (rank == lost) continue;
      INFO(errors[static_cast<std::size_t>(rank)]);
      CHECK(mentions(errors[static_cast<std::size_t>(rank)],
                     "rank " + std::to_string(lost) + " of 4"));
      CHECK(mentions(errors[static_cast<std::size_t>(rank)], "was lost"));
    }
    CHECK(seconds_now() - start < 10);
  }
}

TEST_CASE("ranks: one that stops says why") {
  const auto errors = run_ranks(3, [](Ranks& ranks) {
    ranks.barrier();
    if (ranks.rank() == 1) {
      ranks.stop("the disk is full");
      throw std::runtime_error("mine");
    }
    ranks.barrier();
  });
  CHECK(errors[1] == "mine");
  CHECK(mentions(errors[0], "rank 1 of 3"));
  CHECK(mentions(errors[0], "stopped: the disk is full"));
  CHECK(errors[2] == errors[0]);
}

TEST_CASE(
    "ranks: what one that stops has queued elsewhere is ended, after the last collective nothing") {
  std::atomic<int> ended = 0;
  const auto watched = [&](const std::function<void(Ranks&)>& end) {
    ended = 0;
    run_ranks(2, [&](Ranks& ranks) {
      ranks.barrier();
      if (ranks.rank() == 1) return;
      ranks.on_loss([&] { ended++; });
      end(ranks);
      throw std::runtime_error("mine");
    });
    return ended.load();
  };
  CHECK(watched([](Ranks& ranks) { ranks.stop("out of memory"); }) == 1);
  CHECK(watched([](Ranks& ranks) {
          ranks.leave();
          ranks.stop("interrupted");
        }) == 0);
}

TEST_CASE("ranks: one that hangs is named when the time for a collective is over") {
  const auto errors = run_ranks(3, [](Ranks& ranks) {
    ranks.barrier();
    if (ranks.rank() == 2) {
      std::string loss = ranks.liveness().loss_within(20);
      CHECK(mentions(loss, "rank 2"));
    }
    ranks.barrier(0.4);
  });
  CHECK(mentions(errors[0], "rank 2 of 3"));
  CHECK(mentions(errors[0], "did not come to barrier 2 in time"));
  CHECK(errors[1] == errors[0]);
}

TEST_CASE("ranks: a process that does not end by itself is ended with the reason") {
  std::vector<std::string> ended(3);
  const int port = free_port();
  errors_of_threads(3, [&](int rank) {
    RanksOptions options = patient_options();
    options.liveness.grace_seconds = 0.1;
    std::mutex mutex;
    std::condition_variable done;  // outlives the monitor
    bool told = false;
    options.liveness.end_process = [&](const std::string& sentence) {
      const std::lock_guard lock(mutex);
      ended[static_cast<std::size_t>(rank)] = sentence;
      told = true;
      done.notify_all();
    };
    Ranks ranks(meet(place_of(rank, 3, port), {}), options);
    ranks.barrier();
    if (rank == 1) {  // when the others have come out of it
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      return;
    }
    std::unique_lock lock(mutex);  // deep in a forward pass
    done.wait_for(lock, std::chrono::seconds(10), [&] { return told; });
  });
  CHECK(ended[1].empty());
  INFO(ended[0]);
  CHECK(mentions(ended[0], "rank 1 of 3"));
  CHECK(ended[2] == ended[0]);
}

TEST_CASE("ranks: what one says at its end is told whole, however many signs of life it gives") {
  RanksOptions options = patient_options();
  options.liveness.beat_seconds = 0;  // all the time
  const std::string reason = "because of " + std::string(3000, 'x');
  for (int round = 0; round < 5; round++) {
    const auto errors = run_ranks(
        3,
        [&](Ranks& ranks) {
          ranks.barrier();
          if (ranks.rank() == 2) {
            ranks.stop(reason);
            throw std::runtime_error("mine");
          }
          ranks.barrier();
        },
        options);
    CHECK(mentions(errors[0], "stopped: " + reason));
    CHECK(errors[1] == errors[0]);
  }
}

TEST_CASE("ranks: a process that somebody holds is ended when it is let go of, or after a while") {
  /// Whether rank 0 was ended while it was held, for `seconds` at most; later it is in any case.
  const auto ended_while_held = [](double seconds, double hold_seconds) {
    const int port = free_port();
    std::atomic<bool> ended = false, while_held = false;
    const auto ends_within = [&](double most) {
      for (const double until = seconds_now() + most; !ended && seconds_now() < until;)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      return ended.load();
    };
    const auto errors = errors_of_threads(2, [&](int rank) {
      RanksOptions options = patient_options();
      options.liveness.grace_seconds = 0.05;
      options.liveness.hold_seconds = hold_seconds;
      if (rank == 0) options.liveness.end_process = [&](const std::string&) { ended = true; };
      Ranks ranks(meet(place_of(rank, 2, port), {}), options);
      std::shared_ptr<void> hold;
      if (rank == 0) hold = ranks.liveness().hold();
      ranks.barrier();
      if (rank == 1) return;  // lost
      CHECK_FALSE(ranks.liveness().loss_within(10).empty());
      while_held = ends_within(seconds);
      hold.reset();
      CHECK(ends_within(10));
    });
    CHECK(all_empty(errors));
    return while_held.load();
  };
  CHECK_FALSE(ended_while_held(0.4, 60));
  CHECK(ended_while_held(10, 0.2));
}

/// Rank 1 of 2 is silent; what rank 0 is told in `wait`.
std::string told_of_silence(const std::function<void(Ranks&)>& wait) {
  const int port = free_port();
  const auto errors = errors_of_threads(2, [&](int rank) {
    const Meeting meeting = meet(place_of(rank, 2, port), {});
    if (rank == 1) {  // stopped: it keeps its sockets and does nothing
      std::string text;
      while (receive_message(meeting.links[0].control, text, 1000, seconds_now() + 10) ==
                 Transfer::done &&
             !text.starts_with("loss")) {
      }
      return;
    }
    RanksOptions options = patient_options();
    options.liveness.silence_seconds = 0.3;
    options.liveness.beat_seconds = 0.1;
    Ranks ranks(Meeting{.rank = 0,
                        .world = 2,
                        .links =
                            [&] {
                              std::vector<RankLink> links;
                              links.push_back(std::move(const_cast<Meeting&>(meeting).links[0]));
                              return links;
                            }()},
                options);
    wait(ranks);
  });
  return errors[0];
}

TEST_CASE("ranks: a peer that is silent for too long was lost, although its connection is open") {
  for (const std::string& told : {told_of_silence([](Ranks& ranks) { ranks.barrier(); }),
                                  told_of_silence([](Ranks& ranks) { ranks.leave(9); })}) {
    CHECK(mentions(told, "rank 1 of 2"));
    CHECK(mentions(told, "has not been heard of"));
  }
}

TEST_CASE("ranks: the first one knows how far the others are") {
  RanksOptions options = patient_options();
  options.liveness.beat_seconds = 0.05;
  CHECK(all_empty(run_ranks(
      3,
      [](Ranks& ranks) {
        ranks.liveness().progress(ranks.rank() == 2 ? 17 : 18);
        ranks.barrier();
        if (ranks.first()) {
          std::string behind;
          for (const double until = seconds_now() + 10;
               seconds_now() < until && (behind.empty() || mentions(behind, "step 0"));) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            behind = ranks.liveness().behind();
          }
          INFO(behind);
          CHECK(mentions(behind, "rank 2 of 3"));
          CHECK(mentions(behind, "is at step 17"));
          CHECK_FALSE(mentions(behind, "rank 1 of 3"));
        }
        ranks.barrier();
      },
      options)));
}

TEST_CASE("ranks: after they have left, nobody misses anybody") {
  const int port = free_port();
  const auto errors = errors_of_threads(3, [&](int rank) {
    Ranks ranks(meet(place_of(rank, 3, port), {}), patient_options());
    ranks.barrier();
    ranks.leave();
    if (rank == 0) {  // it goes on alone, as when it tests what was trained
      CHECK(ranks.liveness().loss_within(0.5) == "");
    }
  });
  CHECK(all_empty(errors));
}

TEST_CASE("ranks: a failure that somebody else watches for is a loss for all") {
  const auto errors = run_ranks(2, [](Ranks& ranks) {
    ranks.barrier();
    if (ranks.rank() == 1) {
      ranks.liveness().also_watch([] { return std::optional<std::string>("NCCL: it broke"); });
    }
    ranks.liveness().loss_within(10);
    ranks.barrier();
  });
  CHECK(errors[0] == "NCCL: it broke");
  CHECK(errors[1] == "NCCL: it broke");
}

}  // namespace
}  // namespace farsight
