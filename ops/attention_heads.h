// What attention on the CPU is cut into: a head of a row of the batch, and a tile of its queries.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/tensor.h"
#include "ops/attention.h"

namespace farsight::cpu {

inline constexpr std::int64_t kQueryTile = 64;

/// One head of one row: where its tokens are, and how they are read and written.
template <class T>
class Head {
 public:
  using A = accumulator_t<T>;
  Head(const AttentionArgs& a, std::int64_t task) : a_(a), b_(task / a.H), h_(task % a.H) {}

  std::int64_t position(std::int64_t t) const {
    return a_.position ? a_.position[b_ * a_.T + t] : t;
  }
  /// The first key that token t sees.
  std::int64_t start(std::int64_t t) const { return t - position(t); }
  A scale() const { return 1 / std::sqrt(static_cast<A>(a_.head)); }
  A* lse() const { return static_cast<A*>(a_.lse) + (b_ * a_.H + h_) * a_.T; }
  T* y(std::int64_t t) const {
    return static_cast<T*>(a_.y) + ((b_ * a_.T + t) * a_.H + h_) * a_.head;
  }
  const T* dy(std::int64_t t) const {
    return static_cast<const T*>(a_.dy) + (b_ * a_.T + t) * a_.dy_stride + h_ * a_.head;
  }
  /// part 0, 1, 2: q, k, v.
  const T* qkv(std::int64_t t, int part) const {
    return static_cast<const T*>(a_.qkv) + (b_ * a_.T + t) * a_.qkv_stride +
           (h_ * 3 + part) * a_.head;
  }
  T* dqkv(std::int64_t t, int part) const {
    return static_cast<T*>(a_.dqkv) + (b_ * a_.T + t) * a_.dqkv_stride + (h_ * 3 + part) * a_.head;
  }
  T* cached(std::int64_t row) const {
    return static_cast<T*>(a_.cache) + ((b_ * a_.capacity + row) * a_.H + h_) * 2 * a_.head;
  }

  /// x: [head]; turns it by the angles of row t of the table, or back.
  void turn(std::int64_t t, A* x, bool back = false) const {
    const std::int64_t half = a_.rotary / 2;
    const A* turns = static_cast<const A*>(a_.turns) + position(t) * a_.rotary;
    for (std::int64_t i = 0; i < half; i++) {
      const A cosine = turns[2 * i], sine = back ? -turns[2 * i + 1] : turns[2 * i + 1];
      const A low = x[i], high = x[i + half];
      x[i] = low * cosine - high * sine;
      x[i + half] = high * cosine + low * sine;
    }
  }
  void gather(int part, A* to) const {
    for (std::int64_t t = 0; t < a_.T; t++) {
      widen(qkv(t, part), to + t * a_.head);
      if (part < 2) turn(t, to + t * a_.head);
    }
  }
  void widen(const T* from, A* to) const {
    for (std::int64_t i = 0; i < a_.head; i++) {
      to[i] = static_cast<A>(from[i]);
    }
  }
  void put(const A* from, T* to, bool add) const {
    for (std::int64_t i = 0; i < a_.head; i++) {
      to[i] = T(add ? static_cast<A>(to[i]) + from[i] : from[i]);
    }
  }

 private:
  const AttentionArgs& a_;
  std::int64_t b_, h_;
};

/// Queries [begin, end) and the keys [first, end) that any of them sees.
struct Tile {
  std::int64_t begin, end, first;
  std::int64_t queries() const { return end - begin; }
  std::int64_t keys() const { return end - first; }
};

template <class T>
Tile tile_at(const Head<T>& head, std::int64_t begin, std::int64_t T_all) {
  Tile tile{begin, std::min(begin + kQueryTile, T_all), begin};
  for (std::int64_t t = begin; t < tile.end; t++) {
    tile.first = std::min(tile.first, head.start(t));
  }
  return tile;
}

}  // namespace farsight::cpu
