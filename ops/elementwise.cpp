#include "ops/elementwise.h"

#include <algorithm>

#include "autograd/tape.h"
#include "core/lanes.h"
#include "core/parallel.h"

namespace farsight {
namespace {

bool has_two_operands(ElementwiseKind kind) {
  return kind <= ElementwiseKind::gate;
}

const char* name_of(ElementwiseKind kind) {
  switch (kind) {
    case ElementwiseKind::add:
      return "add";
    case ElementwiseKind::multiply:
      return "multiply";
    case ElementwiseKind::gate:
      return "gate";
    case ElementwiseKind::silu:
      return "silu";
    case ElementwiseKind::relu:
      return "relu";
    case ElementwiseKind::squared_relu:
      break;
  }
  return "squared_relu";
}

Tensor elementwise(ElementwiseKind kind, const Tensor& a, const Tensor* b) {
  if (b != nullptr) {
    check(b->shape() == a.shape() && b->dtype() == a.dtype(), "{}: b must be {} {}, got {} {}",
          name_of(kind), farsight::name_of(a.dtype()), a.shape(), farsight::name_of(b->dtype()),
          b->shape());
  }
  Tensor y = Tensor::empty(a.shape(), a.dtype(), a.device(), "elementwise.y");
  const ElementwiseArgs args{.kind = kind,
                             .a = a.ptr(),
                             .b = b ? b->ptr() : nullptr,
                             .y = y.ptr(),
                             .rows = a.shape().rows(),
                             .columns = a.shape().last(),
                             .a_stride = a.row_stride(),
                             .b_stride = b ? b->row_stride() : 0,
                             .type = a.dtype()};
  FARSIGHT_LAUNCH(elementwise_forward, a.device(), args);
  // A sum needs nobody's bytes on the way back.
  const bool saves = kind != ElementwiseKind::add;
  const Tensor kept_a = saves ? a : Tensor(), kept_b = saves && b ? *b : Tensor();
  record(name_of(kind), {&y}, {&a, b},
         [args, kept_a, kept_b, device = a.device(), a_slot = Slot(a),
          b_slot = b ? Slot(*b) : Slot()](std::span<const Tensor> dy) {
           ElementwiseArgs g = args;
           g.a = kept_a.ptr();
           g.b = kept_b.ptr();
           g.dy = dy[0].ptr();
           g.dy_stride = dy[0].row_stride();
           // One at a time: when a and b are one tensor, the second must add to the first.
           const Sink da = a_slot.sink();
           g.da = da.ptr();
           g.da_add = da.add;
           g.da_stride = da ? da.out.row_stride() : 0;
           if (da) FARSIGHT_LAUNCH(elementwise_backward, device, g);
           g.da = nullptr;
           const Sink db = b_slot.sink();
           g.db = db.ptr();
           g.db_add = db.add;
           g.db_stride = db ? db.out.row_stride() : 0;
           if (db) FARSIGHT_LAUNCH(elementwise_backward, device, g);
         });
  return y;
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  return elementwise(ElementwiseKind::add, a, &b);
}
Tensor multiply(const Tensor& a, const Tensor& b) {
  return elementwise(ElementwiseKind::multiply, a, &b);
}
Tensor gate(const Tensor& a, const Tensor& b) {
  return elementwise(ElementwiseKind::gate, a, &b);
}
Tensor silu(const Tensor& a) {
  return elementwise(ElementwiseKind::silu, a, nullptr);
}
Tensor relu(const Tensor& a) {
  return elementwise(ElementwiseKind::relu, a, nullptr);
}
Tensor squared_relu(const Tensor& a) {
  return elementwise(ElementwiseKind::squared_relu, a, nullptr);
}

namespace cpu {
namespace {

/// Calls body(row, column, count) for every vector of lanes.
template <class A, class Body>
void for_each_vector(const ElementwiseArgs& a, const Body& body) {
  parallel_blocks(a.rows, std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, a.columns)),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t row = begin; row < end; row++) {
                      for (std::int64_t i = 0; i < a.columns; i += kLanes<A>) {
                        body(row, i,
                             static_cast<int>(std::min<std::int64_t>(kLanes<A>, a.columns - i)));
                      }
                    }
                  });
}

template <class A>
Lanes<A> combined(ElementwiseKind kind, Lanes<A> a, Lanes<A> b) {
  switch (kind) {
    case ElementwiseKind::add:
      return a + b;
    case ElementwiseKind::multiply:
      return a * b;
    case ElementwiseKind::gate:
      return sigmoid(a) * b;
    case ElementwiseKind::silu:
      return farsight::silu(a);
    case ElementwiseKind::relu:
      return a > 0 ? a : Lanes<A>{};
    case ElementwiseKind::squared_relu:
      break;
  }
  return a > 0 ? a * a : Lanes<A>{};
}

/// What dy is multiplied by to give the gradient of `own`, the first of the operands or not.
template <class A>
Lanes<A> factor(ElementwiseKind kind, bool first, Lanes<A> own, Lanes<A> other) {
  switch (kind) {
    case ElementwiseKind::add:
      break;
    case ElementwiseKind::multiply:
      return other;
    case ElementwiseKind::gate: {
      const Lanes<A> s = sigmoid(first ? own : other);
      return first ? s * (1 - s) * other : s;
    }
    case ElementwiseKind::silu:
      return silu_derivative(own);
    case ElementwiseKind::relu:
      return own > 0 ? broadcast<A>(1) : Lanes<A>{};
    case ElementwiseKind::squared_relu:
      return own > 0 ? 2 * own : Lanes<A>{};
  }
  return broadcast<A>(1);
}

template <class T>
void forward(const ElementwiseArgs& g) {
  using A = accumulator_t<T>;
  const T *a = static_cast<const T*>(g.a), *b = static_cast<const T*>(g.b);
  T* y = static_cast<T*>(g.y);
  for_each_vector<A>(g, [&](std::int64_t row, std::int64_t i, int count) {
    const Lanes<A> x = load_lanes(a + row * g.a_stride + i, count);
    const Lanes<A> other =
        has_two_operands(g.kind) ? load_lanes(b + row * g.b_stride + i, count) : Lanes<A>{};
    store_lanes(y + row * g.columns + i, combined<A>(g.kind, x, other), count);
  });
}

/// Writes da or db, whichever is there.
template <class T>
void backward(const ElementwiseArgs& g) {
  using A = accumulator_t<T>;
  const bool first = g.da != nullptr;
  const T* own = static_cast<const T*>(first ? g.a : g.b);
  const T* other = static_cast<const T*>(first ? g.b : g.a);
  const std::int64_t own_stride = first ? g.a_stride : g.b_stride;
  const std::int64_t other_stride = first ? g.b_stride : g.a_stride;
  const std::int64_t out_stride = first ? g.da_stride : g.db_stride;
  const bool add = first ? g.da_add : g.db_add;
  T* out = static_cast<T*>(first ? g.da : g.db);
  const T* dy = static_cast<const T*>(g.dy);
  for_each_vector<A>(g, [&](std::int64_t row, std::int64_t i, int count) {
    const Lanes<A> d = load_lanes(dy + row * g.dy_stride + i, count);
    if (g.kind == ElementwiseKind::add) {  // whose operands nobody kept
      put_lanes(out + row * out_stride + i, d, count, add);
      return;
    }
    const Lanes<A> mine = load_lanes(own + row * own_stride + i, count);
    const Lanes<A> theirs =
        has_two_operands(g.kind) ? load_lanes(other + row * other_stride + i, count) : Lanes<A>{};
    put_lanes(out + row * out_stride + i, d * factor<A>(g.kind, first, mine, theirs), count, add);
  });
}

}  // namespace

void elementwise_forward(const ElementwiseArgs& a) {
  with_type(a.type, [&]<class T>() { forward<T>(a); });
}
void elementwise_backward(const ElementwiseArgs& a) {
  with_type(a.type, [&]<class T>() { backward<T>(a); });
}

}  // namespace cpu
}  // namespace farsight
