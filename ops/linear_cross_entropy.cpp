#include "ops/linear_cross_entropy.h"

#include <algorithm>
#include <vector>

#include "autograd/tape.h"
#include "core/lanes.h"
#include "core/parallel.h"
#include "ops/linear.h"

namespace farsight {
namespace {

/// Logits up to `keep` bytes are kept for the backward, more are made `chunk` bytes at a time.
struct LogitsBudget {
  std::int64_t keep, chunk;
};
LogitsBudget budget_of(Device device) {
  constexpr std::int64_t kMiB = std::int64_t{1} << 20;
  // A chunk that stays in the CPU's caches; on a GPU one that fills all its multiprocessors.
  if (device == Device::cuda) return {8192 * kMiB, 1024 * kMiB};
  return {256 * kMiB, 32 * kMiB};
}

/// The rows of one chunk and everything that belongs to them.
struct Chunk {
  std::int64_t begin = 0, count = 0;
};

std::vector<Chunk> chunks_of(std::int64_t R, std::int64_t row_bytes, std::int64_t chunk_bytes) {
  const std::int64_t each = std::max<std::int64_t>(64, chunk_bytes / row_bytes);
  std::vector<Chunk> chunks;
  for (std::int64_t begin = 0; begin < R; begin += each) {
    chunks.push_back({begin, std::min(each, R - begin)});
  }
  return chunks;
}

template <class P>
P* offset(void* base, DType type, std::int64_t elements) {
  return reinterpret_cast<P*>(static_cast<std::byte*>(base) + elements * size_of(type));
}

void make_logits(const Tensor& x, const Tensor& w, const Chunk& chunk, const Tensor& logits) {
  const LinearArgs a{.x = x.range(chunk.begin, chunk.count).ptr(),
                     .w = w.ptr(),
                     .y = logits.ptr(),
                     .rows = chunk.count,
                     .K = x.dim(1),
                     .N = w.dim(0),
                     .x_stride = x.row_stride(),
                     .type = x.dtype()};
  FARSIGHT_LAUNCH(linear_forward, x.device(), a);
}

}  // namespace

Tensor linear_cross_entropy(const Tensor& x, const Tensor& w, const Tensor& targets, double scale,
                            Tensor* predictions) {
  check(x.shape().n == 2, "linear_cross_entropy: x must be [R, D], got {}", x.shape());
  const std::int64_t R = x.dim(0), D = x.dim(1), V = w.dim(0);
  check(w.shape() == Shape{V, D} && w.dense() && w.dtype() == x.dtype(),
        "linear_cross_entropy: w must be dense [V, D={}] {}, got {} {}", D, name_of(x.dtype()),
        w.shape(), name_of(w.dtype()));
  check(targets.shape() == Shape{R} && targets.dtype() == DType::i32,
        "linear_cross_entropy: targets must be [R={}] i32, got {} {}", R, targets.shape(),
        name_of(targets.dtype()));
  const Device device = x.device();
  const DType wide = accumulator_of(x.dtype());
  const std::int64_t row_bytes = V * size_of(x.dtype());
  const bool records = recording({&x, &w});
  const LogitsBudget budget = budget_of(device);
  const bool keep = records && R * row_bytes <= budget.keep;
  const std::vector<Chunk> chunks = chunks_of(R, row_bytes, keep ? budget.keep : budget.chunk);

  Tensor loss = Tensor::empty({1}, wide, device, "loss");
  const Tensor losses = Tensor::empty({R}, wide, device, "loss.rows");
  const Tensor log_sums = Tensor::empty({R}, wide, device, "loss.log_sums");
  if (predictions != nullptr) {
    *predictions = Tensor::empty({R}, DType::i32, device, "predictions");
  }
  Tensor logits;
  for (const Chunk& chunk : chunks) {
    if (!logits) logits = Tensor::empty({chunk.count, V}, x.dtype(), device, "logits");
    make_logits(x, w, chunk, logits);
    const CrossEntropyArgs a{
        .logits = logits.ptr(),
        .targets = targets.data<std::int32_t>() + chunk.begin,
        .losses = offset<void>(losses.ptr(), wide, chunk.begin),
        .log_sums = offset<void>(log_sums.ptr(), wide, chunk.begin),
        .predictions = predictions ? predictions->data<std::int32_t>() + chunk.begin : nullptr,
        .R = chunk.count,
        .V = V,
        .type = x.dtype()};
    FARSIGHT_LAUNCH(cross_entropy_forward, device, a);
  }
  FARSIGHT_LAUNCH(sum_forward, device, (SumArgs{losses.ptr(), loss.ptr(), R, scale, wide}));
  if (!keep) logits = Tensor();

  record("linear_cross_entropy", {&loss}, {&x, &w},
         [=, x_slot = Slot(x), w_slot = Slot(w)](std::span<const Tensor> dy) {
           const Sink dx = x_slot.sink(), dw = w_slot.parameter_sink();
           if (R == 0) {  // no label: nothing flows back, but a first writer must leave zeros
             if (dw && !dw.add) dw.out.fill_zero();
             return;
           }
           Tensor made = logits;
           for (const Chunk& chunk : chunks) {
             if (!keep) {
               if (!made) made = Tensor::empty({chunk.count, V}, x.dtype(), device, "logits");
               make_logits(x, w, chunk, made);
             }
             const CrossEntropyArgs g{.logits = made.ptr(),
                                      .targets = targets.data<std::int32_t>() + chunk.begin,
                                      .log_sums = offset<void>(log_sums.ptr(), wide, chunk.begin),
                                      .dloss = dy[0].ptr(),
                                      .R = chunk.count,
                                      .V = V,
                                      .scale = scale,
                                      .type = x.dtype()};
             FARSIGHT_LAUNCH(cross_entropy_backward, device, g);
             const LinearArgs back{
                 .x = x.range(chunk.begin, chunk.count).ptr(),
                 .w = w.ptr(),
                 .dy = made.ptr(),
                 .dx = dx ? dx.out.range(chunk.begin, chunk.count).ptr() : nullptr,
                 .dw = dw.ptr(),
                 .dx_add = dx.add,
                 .dw_add = dw.add || chunk.begin > 0,
                 .rows = chunk.count,
                 .K = D,
                 .N = V,
                 .x_stride = x.row_stride(),
                 .dy_stride = V,
                 .dx_stride = dx ? dx.out.row_stride() : 0,
                 .type = x.dtype()};
             FARSIGHT_LAUNCH(linear_backward, device, back);
           }
         });
  return loss;
}

Tensor argmax_rows(const Tensor& logits) {
  check(logits.shape().n == 2 && logits.dense(), "argmax_rows: logits must be dense [R, V], got {}",
        logits.shape());
  Tensor best = Tensor::empty({logits.dim(0)}, DType::i32, logits.device(), "predictions");
  const CrossEntropyArgs a{.logits = logits.ptr(),
                           .predictions = best.data<std::int32_t>(),
                           .R = logits.dim(0),
                           .V = logits.dim(1),
                           .type = logits.dtype()};
  FARSIGHT_LAUNCH(cross_entropy_forward, logits.device(), a);
  return best;
}

void cross_entropy_rows(const Tensor& logits, const Tensor& targets, const Tensor& losses,
                        const Tensor& predictions) {
  check(logits.shape().n == 2 && logits.dense(),
        "cross_entropy_rows: logits must be dense [R, V], got {}", logits.shape());
  const Shape rows = {logits.dim(0)};
  const DType wide = accumulator_of(logits.dtype());
  check(targets.shape() == rows && targets.dtype() == DType::i32,
        "cross_entropy_rows: targets must be {} i32, got {} {}", rows, targets.shape(),
        name_of(targets.dtype()));
  check(losses.shape() == rows && losses.dtype() == wide,
        "cross_entropy_rows: losses must be {} {}, got {} {}", rows, name_of(wide), losses.shape(),
        name_of(losses.dtype()));
  check(predictions.shape() == rows && predictions.dtype() == DType::i32,
        "cross_entropy_rows: predictions must be {} i32, got {} {}", rows, predictions.shape(),
        name_of(predictions.dtype()));
  const Tensor log_sums = Tensor::empty(rows, wide, logits.device(), "loss.log_sums");
  const CrossEntropyArgs a{.logits = logits.ptr(),
                           .targets = targets.data<std::int32_t>(),
                           .losses = losses.ptr(),
                           .log_sums = log_sums.ptr(),
                           .predictions = predictions.data<std::int32_t>(),
                           .R = logits.dim(0),
                           .V = logits.dim(1),
                           .alike = true,
                           .type = logits.dtype()};
  FARSIGHT_LAUNCH(cross_entropy_forward, logits.device(), a);
}

namespace cpu {
namespace {

/// Largest value of a row, and where it first stands.
template <class T>
std::int32_t argmax(const T* row, std::int64_t V, accumulator_t<T>* largest) {
  using A = accumulator_t<T>;
  constexpr int L = kLanes<A>;
  Lanes<A> best = broadcast(static_cast<A>(row[0]));
  for (std::int64_t v = 0; v + L <= V; v += L) {
    const Lanes<A> x = load_lanes(row + v);
    best = x > best ? x : best;
  }
  A most = best[0];
  for (int i = 1; i < L; i++) {
    most = std::max<A>(most, best[i]);
  }
  for (std::int64_t v = V / L * L; v < V; v++) {
    most = std::max(most, static_cast<A>(row[v]));
  }
  *largest = most;
  for (std::int64_t v = 0; v < V; v++) {
    if (static_cast<A>(row[v]) == most) return static_cast<std::int32_t>(v);
  }
  return 0;  // only a row of NaN gets here
}

template <class T>
void forward(const CrossEntropyArgs& a) {
  using A = accumulator_t<T>;
  constexpr int L = kLanes<A>;
  parallel_blocks(a.R, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i++) {
      const T* row = static_cast<const T*>(a.logits) + i * a.V;
      A most;
      const std::int32_t best = argmax(row, a.V, &most);
      if (a.predictions != nullptr) a.predictions[i] = best;
      if (a.targets == nullptr) continue;
      const std::int64_t target = a.targets[i];
      if (target == -1) {
        static_cast<A*>(a.log_sums)[i] = static_cast<A*>(a.losses)[i] = 0;
        continue;
      }
      require(target >= 0 && target < a.V, ExitCode::data,
              "linear_cross_entropy: target {} of row {} is outside the vocabulary of {}", target,
              i, a.V);
      Lanes<A> sums = {};
      A sum = {};
      for (std::int64_t v = 0; v < a.V; v += L) {
        const int count = static_cast<int>(std::min<std::int64_t>(L, a.V - v));
        const Lanes<A> e = exp(load_lanes(row + v, count) - most);
        if (count == L) {
          sums += e;
        } else {
          for (int lane = 0; lane < count; lane++) {
            sum += e[lane];
          }
        }
      }
      const A log_sum = most + std::log(sum + sum_lanes<A>(sums));
      static_cast<A*>(a.log_sums)[i] = log_sum;
      static_cast<A*>(a.losses)[i] = log_sum - static_cast<A>(row[target]);
    }
  });
}

template <class T>
void backward(const CrossEntropyArgs& a) {
  using A = accumulator_t<T>;
  constexpr int L = kLanes<A>;
  const A factor = *static_cast<const A*>(a.dloss) * static_cast<A>(a.scale);
  parallel_blocks(a.R, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i++) {
      T* row = static_cast<T*>(a.logits) + i * a.V;
      const A log_sum = static_cast<const A*>(a.log_sums)[i];
      const std::int64_t target = a.targets[i];
      if (target == -1) {
        std::fill_n(row, a.V, T{});
        continue;
      }
      const A chance = std::exp(static_cast<A>(row[target]) - log_sum);
      for (std::int64_t v = 0; v < a.V; v += L) {
        const int count = static_cast<int>(std::min<std::int64_t>(L, a.V - v));
        store_lanes(row + v, factor * exp(load_lanes(row + v, count) - log_sum), count);
      }
      row[target] = T(factor * (chance - 1));
    }
  });
}

/// In double, from the first to the last: the count of rows is small beside the logits.
template <class A>
void sum(const SumArgs& a) {
  double total = 0;
  for (std::int64_t i = 0; i < a.count; i++) {
    total += static_cast<double>(static_cast<const A*>(a.values)[i]);
  }
  *static_cast<A*>(a.sum) = static_cast<A>(total * a.scale);
}

}  // namespace

void cross_entropy_forward(const CrossEntropyArgs& a) {
  with_type(a.type, [&]<class T>() { forward<T>(a); });
}
void cross_entropy_backward(const CrossEntropyArgs& a) {
  with_type(a.type, [&]<class T>() { backward<T>(a); });
}
void sum_forward(const SumArgs& a) {
  a.type == DType::f64 ? sum<double>(a) : sum<float>(a);
}

}  // namespace cpu
}  // namespace farsight
