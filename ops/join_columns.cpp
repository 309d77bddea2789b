#include "ops/join_columns.h"

#include "autograd/tape.h"
#include "ops/elementwise.h"

namespace farsight {

Tensor join_columns(const Tensor& a, const Tensor& b) {
  const std::int64_t A = a.shape().last(), B = b.shape().last();
  check(a.shape().with_last(B) == b.shape() && a.dtype() == b.dtype(),
        "join_columns: b must be {} {}, got {} {}", a.shape().with_last(B), name_of(a.dtype()),
        b.shape(), name_of(b.dtype()));
  Tensor y = Tensor::empty(a.shape().with_last(A + B), a.dtype(), a.device(), "join_columns.y");
  y.columns(0, A).copy_from(a);
  y.columns(A, B).copy_from(b);
  record(
      "join_columns", {&y}, {&a, &b},
      [A, B, device = a.device(), a_slot = Slot(a), b_slot = Slot(b)](std::span<const Tensor> dy) {
        // A sum's backward adds dy, or a part of it, to whatever gradient is there.
        const auto put = [&](const Slot& slot, std::int64_t begin, std::int64_t count) {
          const Sink sink = slot.sink();
          if (!sink) return;
          const Tensor part = dy[0].columns(begin, count);
          const ElementwiseArgs g{.kind = ElementwiseKind::add,
                                  .dy = part.ptr(),
                                  .da = sink.ptr(),
                                  .da_add = sink.add,
                                  .rows = part.shape().rows(),
                                  .columns = count,
                                  .da_stride = sink.out.row_stride(),
                                  .dy_stride = part.row_stride(),
                                  .type = part.dtype()};
          FARSIGHT_LAUNCH(elementwise_backward, device, g);
        };
        put(a_slot, 0, A);
        put(b_slot, A, B);
      });
  return y;
}

}  // namespace farsight
