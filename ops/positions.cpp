#include "ops/positions.h"

#include "autograd/tape.h"
#include "core/parallel.h"

namespace farsight {

Tensor add_positions(const Tensor& x, const Tensor& table, std::int64_t first) {
  check(x.shape().n == 3 && x.dense() && x.dtype() == accumulator_of(x.dtype()),
        "add_positions: x must be dense [B, T, D] f32 or f64, got {} {}", name_of(x.dtype()),
        x.shape());
  check(table.shape().n == 2 && table.dim(1) == x.dim(2) && table.dtype() == x.dtype(),
        "add_positions: table must be [L, D={}] {}, got {} {}", x.dim(2), name_of(x.dtype()),
        table.shape(), name_of(table.dtype()));
  check(first >= 0 && first + x.dim(1) <= table.dim(0),
        "add_positions: {} positions from {} on do not fit a table of {}", x.dim(1), first,
        table.dim(0));
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device(), "positions.y");
  const PositionsArgs a{.x = x.ptr(),
                        .table = table.ptr(),
                        .y = y.ptr(),
                        .B = x.dim(0),
                        .T = x.dim(1),
                        .D = x.dim(2),
                        .L = table.dim(0),
                        .first = first,
                        .type = x.dtype()};
  FARSIGHT_LAUNCH(add_positions_forward, x.device(), a);
  record("add_positions", {&y}, {&x, &table},
         [a, device = x.device(), x_slot = Slot(x),
          table_slot = Slot(table)](std::span<const Tensor> dy) {
           PositionsArgs g = a;
           g.dy = dy[0].ptr();
           const Sink dx = x_slot.adopt(dy[0]), dtable = table_slot.parameter_sink();
           if (dx.ptr() != dy[0].ptr()) {
             g.dx = dx.ptr();
             g.dx_add = dx.add;
           }
           g.dtable = dtable.ptr();
           g.dtable_add = dtable.add;
           FARSIGHT_LAUNCH(add_positions_backward, device, g);
         });
  return y;
}

namespace cpu {
namespace {

template <class A>
void forward(const PositionsArgs& a) {
  parallel_blocks(a.B * a.T, 32, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; row++) {
      const A* x = static_cast<const A*>(a.x) + row * a.D;
      const A* place = static_cast<const A*>(a.table) + (a.first + row % a.T) * a.D;
      A* y = static_cast<A*>(a.y) + row * a.D;
      for (std::int64_t d = 0; d < a.D; d++) {
        y[d] = x[d] + place[d];
      }
    }
  });
}

template <class A>
void backward(const PositionsArgs& a) {
  parallel_blocks(a.L, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t place = begin; place < end; place++) {
      const std::int64_t t = place - a.first;
      A* out = a.dtable == nullptr ? nullptr : static_cast<A*>(a.dtable) + place * a.D;
      for (std::int64_t d = 0; out != nullptr && !a.dtable_add && d < a.D; d++) {
        out[d] = 0;
      }
      for (std::int64_t b = 0; b < a.B && t >= 0 && t < a.T; b++) {
        const std::int64_t at = (b * a.T + t) * a.D;
        const A* dy = static_cast<const A*>(a.dy) + at;
        A* dx = a.dx == nullptr ? nullptr : static_cast<A*>(a.dx) + at;
        for (std::int64_t d = 0; d < a.D; d++) {
          if (dx != nullptr) dx[d] = (a.dx_add ? dx[d] : A{}) + dy[d];
          if (out != nullptr) out[d] += dy[d];
        }
      }
    }
  });
}

}  // namespace

void add_positions_forward(const PositionsArgs& a) {
  with_type(a.type, [&]<class T>() { forward<accumulator_t<T>>(a); });
}
void add_positions_backward(const PositionsArgs& a) {
  with_type(a.type, [&]<class T>() { backward<accumulator_t<T>>(a); });
}

}  // namespace cpu
}  // namespace farsight
