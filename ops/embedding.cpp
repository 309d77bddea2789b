#include "ops/embedding.h"

#include <algorithm>

#include "autograd/tape.h"
#include "core/lanes.h"
#include "core/parallel.h"

namespace farsight {

Tensor embedding(const Tensor& ids, const Tensor& w) {
  check(ids.dtype() == DType::i32 && ids.dense(), "embedding: ids must be dense i32, got {}",
        name_of(ids.dtype()));
  check(ids.shape().n < Shape::kMaxDims, "embedding: ids {} leave no dimension for D", ids.shape());
  check(w.shape().n == 2 && w.dense() && w.dtype() == accumulator_of(w.dtype()),
        "embedding: w must be dense [V, D] f32 or f64, got {} {}", name_of(w.dtype()), w.shape());
  Shape shape = ids.shape();
  shape.dims[static_cast<std::size_t>(shape.n++)] = w.dim(1);
  Tensor y = Tensor::empty(shape, w.dtype(), w.device(), "embedding.y");
  const EmbeddingArgs a{.ids = ids.data<std::int32_t>(),
                        .w = w.ptr(),
                        .y = y.ptr(),
                        .count = ids.elements(),
                        .V = w.dim(0),
                        .D = w.dim(1),
                        .type = w.dtype()};
  FARSIGHT_LAUNCH(embedding_forward, w.device(), a);
  record("embedding", {&y}, {&w},
         [a, ids, device = w.device(), slot = Slot(w)](std::span<const Tensor> dy) {
           const Sink dw = slot.parameter_sink();
           EmbeddingArgs g = a;
           g.ids = ids.data<std::int32_t>();
           g.dy = dy[0].ptr();
           g.dw = dw.ptr();
           g.dw_add = dw.add;
           Tensor order, partial;
           if (device == Device::cuda) {
             const std::int64_t chunks = (g.count + kEmbeddingChunk - 1) / kEmbeddingChunk;
             order = Tensor::empty({g.count * 4 + kEmbeddingSortBlocks * kEmbeddingDigits},
                                   DType::i32, device, "embedding.order");
             partial = Tensor::empty({chunks, 2, g.D}, DType::f32, device, "embedding.partial");
             g.order = order.data<std::int32_t>();
             g.partial = partial.ptr();
           }
           FARSIGHT_LAUNCH(embedding_backward, device, g);
         });
  return y;
}

namespace cpu {
namespace {

template <class A>
void forward(const EmbeddingArgs& a) {
  const A* w = static_cast<const A*>(a.w);
  A* y = static_cast<A*>(a.y);
  parallel_blocks(a.count, 256, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i++) {
      const std::int64_t id = a.ids[i];
      require(id >= 0 && id < a.V, ExitCode::data,
              "embedding: token {} at position {} is outside the vocabulary of {}", id, i, a.V);
      std::copy_n(w + id * a.D, a.D, y + i * a.D);
    }
  });
}

/// A task owns a range of the vocabulary and meets its tokens in order: no two tasks share a row.
template <class A>
void backward(const EmbeddingArgs& a) {
  const A* dy = static_cast<const A*>(a.dy);
  A* dw = static_cast<A*>(a.dw);
  parallel_blocks(a.V, (a.V + 15) / 16, [&](std::int64_t begin, std::int64_t end) {
    if (!a.dw_add) std::fill(dw + begin * a.D, dw + end * a.D, A{});
    for (std::int64_t i = 0; i < a.count; i++) {
      const std::int64_t id = a.ids[i];
      if (id < begin || id >= end) continue;
      for (std::int64_t d = 0; d < a.D; d++) {
        dw[id * a.D + d] += dy[i * a.D + d];
      }
    }
  });
}

}  // namespace

void embedding_forward(const EmbeddingArgs& a) {
  a.type == DType::f64 ? forward<double>(a) : forward<float>(a);
}
void embedding_backward(const EmbeddingArgs& a) {
  a.type == DType::f64 ? backward<double>(a) : backward<float>(a);
}

}  // namespace cpu
}  // namespace farsight
