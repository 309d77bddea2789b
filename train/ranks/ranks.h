// The ranks of a job, for one of them: what they compute together over the rendezvous sockets, and
// what becomes of all when one is lost.
//
//   Ranks ranks(meet(place, facts), {});
//   ranks.all_reduce(std::span(sums));     // the same call, in the same order, on every rank
//   ranks.leave();
//
// Collectives go through rank 0, a piece at a time, and sums are made in a fixed tree (tree_sum.h):
// all ranks get the same bits, whatever the timing. That is for tests, for small numbers, and for
// training on CPUs; GPUs have NCCL. One thread at a time calls them.
//
// Every one throws Error(peer) naming the rank that was lost, or that did not take part in time; the
// other ranks hear of it too. A rank whose thread is elsewhere is ended (liveness.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "train/ranks/liveness.h"

namespace farsight {

struct RanksOptions {
  double collective_seconds = 60;  ///< for all ranks to come to a collective
  LivenessOptions liveness{};
};

class Ranks {
 public:
  Ranks(Meeting meeting, RanksOptions options);
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;
  ~Ranks();

  int rank() const { return rank_; }
  int world() const { return world_; }
  bool first() const { return rank_ == 0; }

  /// `seconds`: another time to wait; 0: the usual.
  void barrier(double seconds = 0);
  /// Everybody's bytes become rank 0's.
  void broadcast(std::span<std::byte> bytes, double seconds = 0);
  /// Every element becomes the sum of all ranks' (float, double, std::int64_t).
  template <class T>
  void all_reduce(std::span<T> values);
  /// The same, but only the rank's own part is: the `rank`-th of `world` equal ones.
  template <class T>
  void reduce_scatter(std::span<T> values);
  /// Every part becomes that of its rank.
  template <class T>
  void all_gather(std::span<T> values);
  /// All ranks' texts, by rank; on the others than rank 0 nothing.
  std::vector<std::string> gather(const std::string& mine, double seconds = 0);

  /// After the last collective, on every rank: from here on a rank's end is nobody's loss.
  void leave(double seconds = 0);
  /// This rank ends alone, and that is why. The others end too, with this sentence.
  void stop(const std::string& sentence);

  Liveness& liveness() { return *liveness_; }
  /// What ends a collective that is not made here (NCCL's) when a rank is lost, or this one stops;
  /// called once.
  void on_loss(std::function<void()> end);
  double collective_seconds() const { return options_.collective_seconds; }
  std::int64_t collectives() const { return sequence_; }

 private:
  struct Head;  // of every message
  enum class Kind : std::uint32_t;

  std::int64_t piece(std::int64_t bytes) const;
  /// Begins a collective: all ranks must be in the same one.
  void enter(Kind kind, std::uint64_t bytes, double seconds);
  void send(const RankLink& link, std::span<const std::byte> bytes);
  void receive(const RankLink& link, std::span<std::byte> bytes);
  void settle(Transfer result, const RankLink& link);
  void end_others();
  [[noreturn]] void fail_together(const std::string& sentence);
  /// On rank 0: others' elements of this piece, summed into its own.
  template <class T>
  void sum_piece(std::span<T> piece);

  int rank_, world_;
  RanksOptions options_;
  std::vector<RankLink> links_;
  std::vector<std::vector<std::byte>> received_;  // rank 0: room for a piece of each other
  std::int64_t sequence_ = 0;
  Kind current_;
  double seconds_ = 0, until_ = 0;  // of the current one
  std::atomic<bool> left_ = false;
  std::mutex ends_mutex_;
  std::vector<std::function<void()>> ends_;
  std::unique_ptr<Liveness> liveness_;
};

}  // namespace farsight
