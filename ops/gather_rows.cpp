#include "ops/gather_rows.h"

#include <algorithm>

#include "autograd/tape.h"
#include "core/lanes.h"
#include "core/parallel.h"

namespace farsight {

Tensor gather_rows(const Tensor& x, const Tensor& rows) {
  check(rows.dtype() == DType::i32 && rows.shape().n == 1 && rows.dense(),
        "gather_rows: rows must be dense [R] i32, got {} {}", name_of(rows.dtype()), rows.shape());
  const std::int64_t R = rows.elements(), D = x.shape().last();
  Tensor y = Tensor::empty({R, D}, x.dtype(), x.device(), "gather_rows.y");
  const GatherRowsArgs a{.x = x.ptr(),
                         .rows = rows.data<std::int32_t>(),
                         .y = y.ptr(),
                         .R = R,
                         .D = D,
                         .x_rows = x.shape().rows(),
                         .x_stride = x.row_stride(),
                         .type = x.dtype()};
  FARSIGHT_LAUNCH(gather_rows_forward, x.device(), a);
  record("gather_rows", {&y}, {&x},
         [a, rows, device = x.device(), slot = Slot(x)](std::span<const Tensor> dy) {
           const Sink dx = slot.sink();
           GatherRowsArgs g = a;
           g.rows = rows.data<std::int32_t>();
           g.dy = dy[0].ptr();
           g.dx = dx.ptr();
           g.dx_add = dx.add;
           g.dx_stride = dx.out.row_stride();
           FARSIGHT_LAUNCH(gather_rows_backward, device, g);
         });
  return y;
}

namespace cpu {
namespace {

template <class T>
void forward(const GatherRowsArgs& a) {
  const T* x = static_cast<const T*>(a.x);
  T* y = static_cast<T*>(a.y);
  for (std::int64_t i = 0; i < a.R; i++) {
    const std::int64_t row = a.rows[i];
    if (row == -1) {
      std::fill_n(y + i * a.D, a.D, T{});
      continue;
    }
    check(row >= 0 && row < a.x_rows && (i == 0 || a.rows[i - 1] < row) &&
              (i == 0 || a.rows[i - 1] != -1),
          "gather_rows: rows must be strictly increasing in [0, {}), then -1, got {} at {}",
          a.x_rows, row, i);
    std::copy_n(x + row * a.x_stride, a.D, y + i * a.D);
  }
}

template <class T>
void backward(const GatherRowsArgs& a) {
  using A = accumulator_t<T>;
  T* dx = static_cast<T*>(a.dx);
  const T* dy = static_cast<const T*>(a.dy);
  if (!a.dx_add) {
    parallel_blocks(a.x_rows, 256, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; row++) {
        std::fill_n(dx + row * a.dx_stride, a.D, T{});
      }
    });
  }
  parallel_blocks(a.R, 256, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i++) {
      if (a.rows[i] < 0) break;
      T* to = dx + a.rows[i] * a.dx_stride;
      for (std::int64_t d = 0; d < a.D; d++) {
        to[d] = T(static_cast<A>(to[d]) + static_cast<A>(dy[i * a.D + d]));
      }
    }
  });
}

}  // namespace

void gather_rows_forward(const GatherRowsArgs& a) {
  with_type(a.type, [&]<class T>() { forward<T>(a); });
}
void gather_rows_backward(const GatherRowsArgs& a) {
  with_type(a.type, [&]<class T>() { backward<T>(a); });
}

}  // namespace cpu
}  // namespace farsight
