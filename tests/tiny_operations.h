// Operations on doubles, small enough to differentiate in one's head: for tests of the tape.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "autograd/tape.h"

namespace farsight {

using Numbers = std::vector<double>;

inline Tensor vector_of(const Numbers& values) {
  return Tensor::from<double>(values, {static_cast<std::int64_t>(values.size())});
}

/// The elements of any CPU tensor of doubles, row by row.
inline Numbers numbers(const Tensor& x) {
  const Tensor dense = x.contiguous();
  return Numbers(dense.data<double>(), dense.data<double>() + dense.elements());
}

inline void give(const Sink& sink, const Numbers& values) {
  if (!sink) return;
  const std::int64_t columns = sink.out.shape().last();
  for (std::size_t i = 0; i < values.size(); i++) {
    const auto at = static_cast<std::int64_t>(i);
    double& out = sink.out.data<double>()[at / columns * sink.out.row_stride() + at % columns];
    out = sink.add ? out + values[i] : values[i];
  }
}

/// y = factor * x; counts its forward runs.
inline Tensor scaled(const Tensor& x, double factor, int* runs = nullptr) {
  Tensor y = Tensor::empty(x.shape(), DType::f64);
  const Numbers values = numbers(x);
  for (std::size_t i = 0; i < values.size(); i++) {
    y.data<double>()[i] = factor * values[i];
  }
  if (runs != nullptr) ++*runs;
  record("tiny", {&y}, {&x}, [slot = Slot(x), factor](std::span<const Tensor> dy) {
    Numbers dx = numbers(dy[0]);
    for (double& d : dx) {
      d *= factor;
    }
    give(slot.sink(), dx);
  });
  return y;
}

/// y = a * b, element by element.
inline Tensor times(const Tensor& a, const Tensor& b) {
  const Numbers u = numbers(a), v = numbers(b);
  Tensor y = Tensor::empty(a.shape(), DType::f64);
  for (std::size_t i = 0; i < u.size(); i++) {
    y.data<double>()[i] = u[i] * v[i];
  }
  record("tiny", {&y}, {&a, &b}, [sa = Slot(a), sb = Slot(b), u, v](std::span<const Tensor> dy) {
    Numbers da = numbers(dy[0]), db = da;
    for (std::size_t i = 0; i < da.size(); i++) {
      da[i] *= v[i];
      db[i] *= u[i];
    }
    give(sa.sink(), da);
    give(sb.sink(), db);
  });
  return y;
}

/// y = sum of `parts`, of equal shapes.
inline Tensor sum(const std::vector<Tensor>& parts) {
  Tensor y = Tensor::zeros(parts[0].shape(), DType::f64);
  std::vector<Slot> slots;
  for (const Tensor& part : parts) {
    const Numbers values = numbers(part);
    for (std::size_t i = 0; i < values.size(); i++) {
      y.data<double>()[i] += values[i];
    }
    slots.emplace_back(part);
  }
  const Tensor none;
  const auto input = [&](std::size_t i) { return i < parts.size() ? &parts[i] : &none; };
  record("tiny", {&y}, {input(0), input(1), input(2), input(3)},
         [slots](std::span<const Tensor> dy) {
           for (const Slot& slot : slots) {
             give(slot.sink(), numbers(dy[0]));
           }
         });
  return y;
}

inline void run_backward(Tape& tape, const Tensor& y) {
  Tensor ones = Tensor::empty(y.shape(), DType::f64);
  std::fill_n(ones.data<double>(), ones.elements(), 1.0);
  tape.backward(y, ones);
}

inline Numbers gradient(const Tensor& x) {
  return x.grad->filled ? numbers(x.grad->value) : Numbers();
}

}  // namespace farsight
