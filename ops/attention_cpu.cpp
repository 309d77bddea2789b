// On the CPU: a task is one head of one row of the batch. Its q, k and v are gathered (turned, as
// the arithmetic type), queries are taken in tiles of kQueryTile, and every product of a tile is one
// matrix product over the keys that the tile can see. The softmax has whole rows before it.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/lanes.h"
#include "core/parallel.h"
#include "core/tensor.h"
#include "ops/attention.h"
#include "ops/attention_heads.h"
#include "ops/gemm.h"

namespace farsight::cpu {
namespace {

/// The buffers of one task, kept by each thread from call to call.
template <class A>
struct Scratch {
  std::vector<A> q, k, v, y, dy, dq, dk, dv, p, dp;
  static Scratch& of_this_thread() {
    thread_local Scratch scratch;
    return scratch;
  }
};

template <class A>
A* sized(std::vector<A>& buffer, std::int64_t count) {
  if (buffer.size() < static_cast<std::size_t>(count))
    buffer.resize(static_cast<std::size_t>(count));
  return buffer.data();
}

template <class A>
void make_turns(const AttentionArgs& a) {
  A* turns = static_cast<A*>(a.turns);
  const std::int64_t half = a.rotary / 2;
  parallel_blocks(a.T, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; t++) {
      for (std::int64_t i = 0; i < half; i++) {
        const double exponent = 2 * static_cast<double>(i) / static_cast<double>(a.rotary);
        const A frequency = 1 / static_cast<A>(std::pow(a.base, exponent));
        const A angle = static_cast<A>(a.first + t) * frequency;
        turns[(t * half + i) * 2] = std::cos(angle);
        turns[(t * half + i) * 2 + 1] = std::sin(angle);
      }
    }
  });
}

/// p[row, key - first] = scale q'.k'
template <class A>
void products(const Tile& tile, const A* rows, const A* keys, std::int64_t width, A* p) {
  gemm(Gemm<A>{.a = rows + tile.begin * width,
               .b = keys + tile.first * width,
               .c = p,
               .m = tile.queries(),
               .n = tile.keys(),
               .k = width,
               .a_stride = width,
               .b_stride = width,
               .c_stride = tile.keys(),
               .transpose_b = true});
}

/// sums[row] = sum over the tile's keys of weights[row, key - first] rows[key]
template <class A>
void sum_of_rows(const Tile& tile, const A* weights, const A* rows, std::int64_t width, A* sums) {
  gemm(Gemm<A>{.a = weights,
               .b = rows + tile.first * width,
               .c = sums,
               .m = tile.queries(),
               .n = width,
               .k = tile.keys(),
               .a_stride = tile.keys(),
               .b_stride = width,
               .c_stride = width});
}

/// Scores of one query to probabilities; zero outside [from, to). Returns the log-sum-exp.
template <class A>
A softmax(A* p, std::int64_t from, std::int64_t to, std::int64_t keys, A scale) {
  std::fill(p, p + from, A{});
  std::fill(p + to, p + keys, A{});
  const A most = *std::max_element(p + from, p + to);
  Lanes<A> total = {};
  for (std::int64_t j = from; j < to; j += kLanes<A>) {
    const int count = static_cast<int>(std::min<std::int64_t>(kLanes<A>, to - j));
    store_lanes(p + j, exp((load_lanes(p + j, count) - most) * scale), count);
    total += load_lanes(p + j, count);
  }
  const A sum = sum_lanes<A>(total);
  for (std::int64_t j = from; j < to; j++) {
    p[j] /= sum;
  }
  return most * scale + std::log(sum);
}

template <class T>
void forward(const AttentionArgs& a, std::int64_t task) {
  using A = accumulator_t<T>;
  const Head<T> head(a, task);
  auto& scratch = Scratch<A>::of_this_thread();
  const std::int64_t hd = a.head;
  A *q = sized(scratch.q, a.T * hd), *k = sized(scratch.k, a.T * hd);
  A *v = sized(scratch.v, a.T * hd), *y = sized(scratch.y, kQueryTile * hd);
  A* p = sized(scratch.p, kQueryTile * a.T);
  head.gather(0, q);
  head.gather(1, k);
  head.gather(2, v);
  for (std::int64_t begin = 0; begin < a.T; begin += kQueryTile) {
    const Tile tile = tile_at(head, begin, a.T);
    products(tile, q, k, hd, p);
    for (std::int64_t t = tile.begin; t < tile.end; t++) {
      head.lse()[t] = softmax(p + (t - tile.begin) * tile.keys(), head.start(t) - tile.first,
                              t + 1 - tile.first, tile.keys(), head.scale());
    }
    sum_of_rows(tile, p, v, hd, y);
    for (std::int64_t t = tile.begin; t < tile.end; t++) {
      head.put(y + (t - tile.begin) * hd, head.y(t), false);
    }
  }
}

/// p: scores, becomes P; dp: dy v^T, becomes dS / sqrt(hd).
template <class T>
void differentiate_scores(const AttentionArgs& a, const Head<T>& head, const Tile& tile,
                          const accumulator_t<T>* dy, accumulator_t<T>* p, accumulator_t<T>* dp) {
  using A = accumulator_t<T>;
  const A scale = head.scale();
  for (std::int64_t t = tile.begin; t < tile.end; t++) {
    A delta = 0;
    for (std::int64_t i = 0; i < a.head; i++) {
      delta += dy[t * a.head + i] * static_cast<A>(head.y(t)[i]);
    }
    const A lse = head.lse()[t];
    A *row = p + (t - tile.begin) * tile.keys(), *drow = dp + (t - tile.begin) * tile.keys();
    const std::int64_t from = head.start(t) - tile.first, to = t + 1 - tile.first;
    std::fill(row, row + from, A{});
    std::fill(drow, drow + from, A{});
    std::fill(row + to, row + tile.keys(), A{});
    std::fill(drow + to, drow + tile.keys(), A{});
    for (std::int64_t j = from; j < to; j += kLanes<A>) {
      const int count = static_cast<int>(std::min<std::int64_t>(kLanes<A>, to - j));
      const Lanes<A> probability = exp(load_lanes(row + j, count) * scale - lse);
      store_lanes(row + j, probability, count);
      store_lanes(drow + j, probability * (load_lanes(drow + j, count) - delta) * scale, count);
    }
  }
}

template <class T>
void backward(const AttentionArgs& a, std::int64_t task) {
  using A = accumulator_t<T>;
  const Head<T> head(a, task);
  auto& scratch = Scratch<A>::of_this_thread();
  const std::int64_t hd = a.head, all = a.T * hd;
  A *q = sized(scratch.q, all), *k = sized(scratch.k, all), *v = sized(scratch.v, all);
  A *dy = sized(scratch.dy, all), *dq = sized(scratch.dq, kQueryTile * hd);
  A *dk = sized(scratch.dk, all), *dv = sized(scratch.dv, all);
  A *p = sized(scratch.p, kQueryTile * a.T), *dp = sized(scratch.dp, kQueryTile * a.T);
  head.gather(0, q);
  head.gather(1, k);
  head.gather(2, v);
  for (std::int64_t t = 0; t < a.T; t++) {
    head.widen(head.dy(t), dy + t * hd);
  }
  std::fill_n(dk, all, A{});
  std::fill_n(dv, all, A{});
  for (std::int64_t begin = 0; begin < a.T; begin += kQueryTile) {
    const Tile tile = tile_at(head, begin, a.T);
    products(tile, q, k, hd, p);
    products(tile, dy, v, hd, dp);
    differentiate_scores<T>(a, head, tile, dy, p, dp);
    const auto onto_keys = [&](const A* weights, const A* rows, A* out) {
      gemm(Gemm<A>{.a = weights,
                   .b = rows + tile.begin * hd,
                   .c = out + tile.first * hd,
                   .m = tile.keys(),
                   .n = hd,
                   .k = tile.queries(),
                   .a_stride = tile.keys(),
                   .b_stride = hd,
                   .c_stride = hd,
                   .transpose_a = true,
                   .add = true});
    };
    onto_keys(p, dy, dv);
    onto_keys(dp, q, dk);
    sum_of_rows(tile, dp, k, hd, dq);
    for (std::int64_t t = tile.begin; t < tile.end; t++) {
      A* row = dq + (t - tile.begin) * hd;
      head.turn(t, row, true);
      head.put(row, head.dqkv(t, 0), a.dqkv_add);
    }
  }
  for (std::int64_t t = 0; t < a.T; t++) {
    head.turn(t, dk + t * hd, true);
    head.put(dk + t * hd, head.dqkv(t, 1), a.dqkv_add);
    head.put(dv + t * hd, head.dqkv(t, 2), a.dqkv_add);
  }
}

template <class T>
void step(const AttentionArgs& a, std::int64_t task) {
  using A = accumulator_t<T>;
  const Head<T> head(a, task);
  auto& scratch = Scratch<A>::of_this_thread();
  const std::int64_t hd = a.head;
  A *q = sized(scratch.q, hd), *y = sized(scratch.y, hd);
  A* p = sized(scratch.p, a.first + a.T);
  for (std::int64_t t = 0; t < a.T; t++) {
    head.widen(head.qkv(t, 1), q);
    head.turn(t, q);
    head.put(q, head.cached(a.first + t), false);
    head.widen(head.qkv(t, 2), q);
    head.put(q, head.cached(a.first + t) + hd, false);
    head.widen(head.qkv(t, 0), q);
    head.turn(t, q);
    const std::int64_t keys = a.first + t + 1;
    for (std::int64_t j = 0; j < keys; j++) {
      const T* k = head.cached(j);
      p[j] = 0;
      for (std::int64_t i = 0; i < hd; i++) {
        p[j] += q[i] * static_cast<A>(k[i]);
      }
    }
    softmax(p, 0, keys, keys, head.scale());
    std::fill_n(y, hd, A{});
    for (std::int64_t j = 0; j < keys; j++) {
      const T* v = head.cached(j) + hd;
      for (std::int64_t i = 0; i < hd; i++) {
        y[i] += p[j] * static_cast<A>(v[i]);
      }
    }
    head.put(y, head.y(t), false);
  }
}

}  // namespace

void attention_forward(const AttentionArgs& a) {
  with_type(a.type, [&]<class T>() {
    make_turns<accumulator_t<T>>(a);
    parallel_for(a.B * a.H, [&](std::int64_t task) { forward<T>(a, task); });
  });
}
void attention_backward(const AttentionArgs& a) {
  with_type(a.type, [&]<class T>() {
    parallel_for(a.B * a.H, [&](std::int64_t task) { backward<T>(a, task); });
  });
}
void attention_step(const AttentionArgs& a) {
  with_type(a.type, [&]<class T>() {
    make_turns<accumulator_t<T>>(a);
    parallel_for(a.B * a.H, [&](std::int64_t task) { step<T>(a, task); });
  });
}

}  // namespace farsight::cpu
