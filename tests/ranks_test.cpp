// What ranks compute together, and what the others notice when one is lost.
#include "train/ranks/ranks.h"

#include <cmath>
#include <numeric>

#include "core/clock.h"
#include "core/philox.h"
#include "tests/rank_threads.h"
#include "tests/temporary_folder.h"
#include "train/ranks/tree_sum.h"

namespace farsight {
namespace {

std::vector<float> noise(int rank, std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; i++) {
    const Random4 r = philox4x32(static_cast<std::uint64_t>(rank), 5, i);
    values[i] = static_cast<float>(uniform_double(r.v[0], r.v[1]) - 0.5) *
                std::ldexp(1.0f, static_cast<int>(r.v[2] % 40));
  }
  return values;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

TEST_CASE("ranks: an all-reduce is the tree's sum on every rank, bit by bit, at any size") {
  for (const int world : {2, 3, 4, 5, 8}) {
    for (const std::size_t count : {0u, 1u, 1000u, 600001u}) {  // more than two pieces
      if (world > 4 && count > 1000) continue;
      std::vector<std::vector<float>> terms;
      for (int rank = 0; rank < world; rank++)
        terms.push_back(noise(rank, count));
      std::vector<float*> pointers;
      for (auto& term : terms)
        pointers.push_back(term.data());
      tree_sum<float>(pointers, static_cast<std::int64_t>(count));
      CHECK(all_empty(run_ranks(world, [&](Ranks& ranks) {
        std::vector<float> mine = noise(ranks.rank(), count);
        ranks.all_reduce(std::span(mine));
        CHECK(same_bits(mine, terms[0]));
      })));
    }
  }
}

TEST_CASE("ranks: the tree is the one of its definition, and other orders give other bits") {
  std::vector<float> x = {1e8f, 1.0f, -1e8f, 1.0f, 0.3f, 3e7f, 0.7f, -3e7f};
  const float expected = ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
  CHECK(expected != std::accumulate(x.begin(), x.end(), 0.0f));
  std::vector<float*> terms;
  for (float& value : x)
    terms.push_back(&value);
  tree_sum<float>(terms, 1);
  CHECK(x[0] == expected);
}

TEST_CASE("ranks: sums of doubles and whole numbers") {
  CHECK(all_empty(run_ranks(4, [](Ranks& ranks) {
    std::vector<double> real = {0.1 * ranks.rank(), 1e-300};
    ranks.all_reduce(std::span(real));
    CHECK(real[0] == (0.0 + 0.1) + (0.1 * 2 + 0.1 * 3));
    std::vector<std::int64_t> whole = {std::int64_t{1} << (50 + ranks.rank())};
    ranks.all_reduce(std::span(whole));
    CHECK(whole[0] == std::int64_t{15} << 50);
  })));
}

TEST_CASE("ranks: reduce-scatter and all-gather together are an all-reduce") {
  for (const int world : {2, 4}) {
    CHECK(all_empty(run_ranks(world, [&](Ranks& ranks) {
      const std::size_t count = 300000 * static_cast<std::size_t>(world);
      std::vector<float> whole = noise(ranks.rank(), count), parts = whole;
      ranks.all_reduce(std::span(whole));
      ranks.reduce_scatter(std::span(parts));
      const auto begin = static_cast<std::size_t>(ranks.rank()) * 300000;
      CHECK(std::memcmp(&whole[begin], &parts[begin], 300000 * sizeof(float)) == 0);
      ranks.all_gather(std::span(parts));
      CHECK(same_bits(whole, parts));
    })));
  }
}

TEST_CASE("ranks: broadcast and gather") {
  CHECK(all_empty(run_ranks(3, [](Ranks& ranks) {
    std::vector<float> values = noise(ranks.rank(), 400000);
    ranks.broadcast(std::as_writable_bytes(std::span(values)));
    CHECK(same_bits(values, noise(0, 400000)));
    const std::string mine(static_cast<std::size_t>(ranks.rank()) * 100000, 'x');
    const std::vector<std::string> all = ranks.gather(mine);
    CHECK(all.size() == (ranks.first() ? 3u : 0u));
    for (std::size_t i = 0; i < all.size(); i++)
      CHECK(all[i].size() == i * 100000);
    ranks.barrier();
  })));
}

TEST_CASE("ranks: those that do not do the same are told what each does") {
  const auto errors = run_ranks(2, [](Ranks& ranks) {
    std::vector<float> values(10);
    ranks.first() ? ranks.barrier() : ranks.all_reduce(std::span(values));
  });
  for (const std::string& error : errors) {
    CHECK(mentions(error, "all-reduce 1 of 40 bytes"));
    CHECK(mentions(error, "barrier 1 of 0 bytes"));
  }
  const auto sizes = run_ranks(2, [](Ranks& ranks) {
    std::vector<float> values(ranks.first() ? 10 : 11);
    ranks.all_reduce(std::span(values));
  });
  CHECK(mentions(sizes[0], "40 bytes"));
  CHECK(mentions(sizes[1], "44 bytes"));
}

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
  const auto errors = run_ranks(
      3,
      [](Ranks& ranks) {
        ranks.barrier();
        if (ranks.rank() == 2) {
          std::string loss = ranks.liveness().loss_within(20);
          CHECK(mentions(loss, "rank 2"));
        }
        ranks.barrier();
      },
      patient_options(0.4));
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
