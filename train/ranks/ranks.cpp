#include "train/ranks/ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/check.h"
#include "core/clock.h"
#include "train/ranks/tree_sum.h"

namespace farsight {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
constexpr double kSlackSeconds = 5;  // others wait longer than rank 0, which knows who is late
constexpr double kVerdictSeconds = 0.3;

template <class T>
std::span<std::byte> bytes_of(std::span<T> values) {
  return std::as_writable_bytes(values);
}

/// Calls body(part) for pieces of `values`, in order.
template <class T, class Body>
void in_pieces(std::span<T> values, const Body& body) {
  constexpr std::size_t most = kPieceBytes / sizeof(T);
  for (std::size_t begin = 0; begin < values.size(); begin += most)
    body(values.subspan(begin, std::min(most, values.size() - begin)));
}

}  // namespace

enum class Ranks::Kind : std::uint32_t {
  barrier,
  broadcast,
  all_reduce,
  reduce_scatter,
  all_gather,
  gather
};

namespace {
constexpr const char* kNames[] = {"barrier",        "broadcast",  "all-reduce",
                                  "reduce-scatter", "all-gather", "gather"};
}  // namespace

struct Ranks::Head {
  std::uint32_t kind = 0, spare = 0;
  std::uint64_t bytes = 0, sequence = 0;
};

Ranks::Ranks(Meeting meeting, RanksOptions options)
    : rank_(meeting.rank),
      world_(meeting.world),
      options_(std::move(options)),
      links_(std::move(meeting.links)),
      received_(links_.size()),
      current_(Kind::barrier) {
  liveness_ = std::make_unique<Liveness>(rank_, world_, links_, options_.liveness, [this] {
    for (const RankLink& link : links_)
      link.data.shut_down();
    end_others();
  });
}

Ranks::~Ranks() = default;

void Ranks::on_loss(std::function<void()> end) {
  const std::lock_guard lock(ends_mutex_);
  ends_.push_back(std::move(end));
}

void Ranks::end_others() {
  const std::lock_guard lock(ends_mutex_);
  // Each once: a rank that stops often sees the others go a moment later.
  for (const std::function<void()>& end : std::exchange(ends_, {}))
    end();
}

void Ranks::fail_together(const std::string& sentence) {
  // Whoever else saw it may have said it better: that a process is gone, not that a wire is cut.
  const std::string known = liveness_->loss_within(kVerdictSeconds);
  if (!known.empty()) fail(ExitCode::peer, "{}", known);
  liveness_->report(sentence);
  fail(ExitCode::peer, "{}", sentence);
}

void Ranks::settle(Transfer result, const RankLink& link) {
  if (result == Transfer::done) return;
  const char* name = kNames[static_cast<std::size_t>(current_)];
  if (result == Transfer::closed) {
    fail_together(fmt::format("{} was lost: its connection closed during {} {}",
                              liveness_->name_of(link), name, sequence_));
  }
  fail_together(
      fmt::format("{} did not come to {} {} in time ({:.0f} s{}): it hangs, or does something "
                  "else",
                  liveness_->name_of(link), name, sequence_, seconds_,
                  seconds_ == options_.collective_seconds ? ", ranks.timeout" : ""));
}

void Ranks::send(const RankLink& link, std::span<const std::byte> bytes) {
  settle(send_bytes(link.data, bytes, until_), link);
}

void Ranks::receive(const RankLink& link, std::span<std::byte> bytes) {
  settle(receive_bytes(link.data, bytes, until_), link);
}

void Ranks::enter(Kind kind, std::uint64_t bytes, double seconds) {
  check(!left_, "ranks: a collective after leave()");
  const std::string lost = liveness_->loss();
  if (!lost.empty()) fail(ExitCode::peer, "{}", lost);
  current_ = kind;
  sequence_++;
  seconds_ = seconds > 0 ? seconds : options_.collective_seconds;
  until_ = seconds_now() + seconds_ + (first() ? 0 : kSlackSeconds);
  const Head mine{.kind = static_cast<std::uint32_t>(kind),
                  .bytes = bytes,
                  .sequence = static_cast<std::uint64_t>(sequence_)};
  if (!first()) {
    send(links_.front(), std::as_bytes(std::span(&mine, 1)));
    return;
  }
  for (const RankLink& link : links_) {
    Head other;
    receive(link, std::as_writable_bytes(std::span(&other, 1)));
    if (std::memcmp(&mine, &other, sizeof mine) == 0) continue;
    const char* theirs = other.kind < std::size(kNames) ? kNames[other.kind] : "nothing known";
    fail_together(fmt::format(
        "the ranks do not do the same: {} is in {} {} of {} bytes, rank 0 in {} {} of {} bytes",
        liveness_->name_of(link), theirs, other.sequence, other.bytes,
        kNames[static_cast<std::size_t>(kind)], mine.sequence, mine.bytes));
  }
}

void Ranks::barrier(double seconds) {
  enter(Kind::barrier, 0, seconds);
  std::byte released{};
  for (const RankLink& link : links_) {
    first() ? send(link, {&released, 1}) : receive(link, {&released, 1});
  }
}

void Ranks::broadcast(std::span<std::byte> bytes, double seconds) {
  enter(Kind::broadcast, bytes.size(), seconds);
  for (const RankLink& link : links_) {
    first() ? send(link, bytes) : receive(link, bytes);
  }
}

template <class T>
void Ranks::sum_piece(std::span<T> piece) {
  std::vector<T*> terms{piece.data()};
  for (std::size_t i = 0; i < links_.size(); i++) {
    received_[i].resize(kPieceBytes);
    receive(links_[i], std::span(received_[i]).first(piece.size_bytes()));
    terms.push_back(reinterpret_cast<T*>(received_[i].data()));
  }
  tree_sum<T>(terms, static_cast<std::int64_t>(piece.size()));
}

template <class T>
void Ranks::all_reduce(std::span<T> values) {
  enter(Kind::all_reduce, values.size_bytes(), 0);
  in_pieces(values, [&](std::span<T> part) {
    if (first()) {
      sum_piece(part);
      for (const RankLink& link : links_)
        send(link, bytes_of(part));
    } else {  // in step with rank 0: two that both send would wait for each other
      send(links_.front(), bytes_of(part));
      receive(links_.front(), bytes_of(part));
    }
  });
}

template <class T>
void Ranks::reduce_scatter(std::span<T> values) {
  check(values.size() % static_cast<std::size_t>(world_) == 0,
        "reduce_scatter: {} elements are no {} equal parts", values.size(), world_);
  enter(Kind::reduce_scatter, values.size_bytes(), 0);
  const std::size_t count = values.size() / static_cast<std::size_t>(world_);
  for (int owner = 0; owner < world_; owner++) {
    in_pieces(values.subspan(static_cast<std::size_t>(owner) * count, count),
              [&](std::span<T> part) {
                if (!first()) {
                  send(links_.front(), bytes_of(part));
                  if (owner == rank_) receive(links_.front(), bytes_of(part));
                  return;
                }
                if (owner == 0) {
                  sum_piece(part);
                  return;
                }
                // Its own addends of others' parts are nobody's business afterwards, but stay as they were.
                std::vector<T> sum(part.begin(), part.end());
                sum_piece(std::span<T>(sum));
                send(links_[static_cast<std::size_t>(owner - 1)], bytes_of(std::span<T>(sum)));
              });
  }
}

template <class T>
void Ranks::all_gather(std::span<T> values) {
  check(values.size() % static_cast<std::size_t>(world_) == 0,
        "all_gather: {} elements are no {} equal parts", values.size(), world_);
  enter(Kind::all_gather, values.size_bytes(), 0);
  const std::size_t count = values.size() / static_cast<std::size_t>(world_);
  for (int owner = 0; owner < world_; owner++) {
    in_pieces(values.subspan(static_cast<std::size_t>(owner) * count, count),
              [&](std::span<T> part) {
                if (!first()) {
                  owner == rank_ ? send(links_.front(), bytes_of(part))
                                 : receive(links_.front(), bytes_of(part));
                  return;
                }
                if (owner != 0)
                  receive(links_[static_cast<std::size_t>(owner - 1)], bytes_of(part));
                for (const RankLink& link : links_) {
                  if (link.rank != owner) send(link, bytes_of(part));
                }
              });
  }
}

std::vector<std::string> Ranks::gather(const std::string& mine, double seconds) {
  enter(Kind::gather, 0, seconds);
  const std::uint64_t bytes = mine.size();
  if (!first()) {
    send(links_.front(), std::as_bytes(std::span(&bytes, 1)));
    send(links_.front(), std::as_bytes(std::span(mine)));
    return {};
  }
  std::vector<std::string> all{mine};
  for (const RankLink& link : links_) {
    std::uint64_t theirs = 0;
    receive(link, std::as_writable_bytes(std::span(&theirs, 1)));
    constexpr std::uint64_t kMost = std::uint64_t{1} << 24;  // names, hashes, sentences
    check(theirs < kMost, "gather: {} bytes of rank {} are too many", theirs, link.rank);
    all.emplace_back(theirs, '\0');
    receive(link, std::as_writable_bytes(std::span(all.back())));
  }
  return all;
}

void Ranks::leave(double seconds) {
  if (left_) return;
  // A connection that closes from here on is noticed by the barrier itself.
  liveness_->expect_ends();
  barrier(seconds);
  left_ = true;
  liveness_->expect_silence();
}

void Ranks::stop(const std::string& sentence) {
  if (!left_ && liveness_->loss().empty()) {
    liveness_->stop(sentence);
    end_others();  // what is queued waits for ranks that end now
  }
  left_ = true;
}

template void Ranks::all_reduce(std::span<float>);
template void Ranks::all_reduce(std::span<double>);
template void Ranks::all_reduce(std::span<std::int64_t>);
template void Ranks::reduce_scatter(std::span<float>);
template void Ranks::reduce_scatter(std::span<double>);
template void Ranks::all_gather(std::span<float>);
template void Ranks::all_gather(std::span<double>);

}  // namespace farsight
