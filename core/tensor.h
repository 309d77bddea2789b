// Tensor: a value that names bytes. Copies share; nothing is ever copied silently.
//
// Up to five dimensions, row-major, the last one dense. Between rows (all dimensions but the last,
// flattened) there is one stride, so that `columns` gives the parts of a fused projection as views.
// An operation that cannot take a strided view says so and names .contiguous().
#pragma once

#include <array>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/check.h"
#include "core/dtype.h"

namespace farsight {

struct Grad;  // autograd/tape.h

struct Shape {
  static constexpr int kMaxDims = 5;
  int n = 0;
  std::array<std::int64_t, kMaxDims> dims = {};

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes);  // NOLINT(google-explicit-constructor)

  /// Negative i counts from the end.
  std::int64_t operator[](int i) const;
  std::int64_t elements() const;
  std::int64_t last() const { return n == 0 ? 1 : (*this)[-1]; }
  /// Elements of all dimensions but the last.
  std::int64_t rows() const;
  /// The same shape with another last dimension.
  Shape with_last(std::int64_t size) const;
  bool operator==(const Shape&) const = default;
};
std::string to_string(const Shape& shape);

}  // namespace farsight

/// check(ok, "op: x must be [B, T, D], got {}", x.shape()): made into text only when it fails.
template <>
struct fmt::formatter<farsight::Shape> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  fmt::format_context::iterator format(const farsight::Shape& shape,
                                       fmt::format_context& context) const;
};

namespace farsight {

class Tensor {
 public:
  Tensor() = default;

  /// Uninitialised bytes from the device's arena. `name` (a literal) appears in the memory report.
  static Tensor empty(const Shape& shape, DType dtype, Device device = Device::cpu,
                      const char* name = "tensor");
  static Tensor zeros(const Shape& shape, DType dtype, Device device = Device::cpu,
                      const char* name = "tensor");
  /// A CPU tensor holding a copy of `values`.
  template <class T>
  static Tensor from(std::span<const T> values, const Shape& shape, const char* name = "tensor");

  explicit operator bool() const { return static_cast<bool>(bytes_) || data_ != nullptr; }
  const Shape& shape() const { return shape_; }
  std::int64_t dim(int i) const { return shape_[i]; }
  std::int64_t elements() const { return shape_.elements(); }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  /// Elements from one row to the next; the last dimension when dense.
  std::int64_t row_stride() const { return row_stride_; }
  bool dense() const { return row_stride_ == shape_.last(); }
  std::int64_t bytes() const { return elements() * size_of(dtype_); }

  void* ptr() const { return data_; }
  template <class T>
  T* data() const {
    check(dtype_ == dtype_of<T>, "tensor: asked for {} elements of a {} tensor of shape {}",
          name_of(dtype_of<T>), name_of(dtype_), shape_);
    return static_cast<T*>(data_);
  }
  template <class T>
  std::span<T> span() const {
    check(dense() && device_ == Device::cpu,
          "tensor: span() needs a dense CPU tensor, got {} on {}", shape_, name_of(device_));
    return {data<T>(), static_cast<std::size_t>(elements())};
  }

  /// The same bytes, another shape of the same number of elements. A strided tensor keeps its last
  /// dimension. The gradient is shared.
  Tensor reshape(const Shape& shape) const;
  /// The last dimension's [begin, begin + count), a view. Outside the tape; see split in
  /// ops/split.h.
  Tensor columns(std::int64_t begin, std::int64_t count) const;
  /// The first dimension's [begin, begin + count), a view.
  Tensor range(std::int64_t begin, std::int64_t count) const;
  /// Elements [offset, offset + shape.elements()) of a dense one-dimensional tensor, a view.
  Tensor slice_flat(std::int64_t offset, const Shape& shape) const;
  /// Same shape, type and gradient, no bytes: names a tensor without keeping it alive.
  Tensor without_bytes() const;
  /// Itself when dense, else a dense copy, which has no gradient: outside the tape.
  Tensor contiguous() const;
  /// A dense copy with every element converted, on the same device.
  Tensor to(DType dtype) const;
  /// Itself when it is there already, else a dense copy without a gradient. To the CPU it waits for
  /// everything computed before.
  Tensor to(Device device) const;
  /// Copies the elements of `from`: the same shape and type, whatever the strides and the devices.
  void copy_from(const Tensor& from) const;
  void fill_zero() const;

  /// Where the gradient of this tensor goes; null: nobody wants one.
  std::shared_ptr<Grad> grad;

 private:
  std::shared_ptr<void> bytes_;  // keeps the block alive
  void* data_ = nullptr;
  Shape shape_;
  std::int64_t row_stride_ = 0;
  DType dtype_ = DType::f32;
  Device device_ = Device::cpu;
};

/// Calls f.template operator()<T>() with T = double, float or bf16: the only dispatch over types.
template <class F>
decltype(auto) with_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f64:
      return f.template operator()<double>();
    case DType::bf16:
      return f.template operator()<bf16>();
    default:
      check(dtype == DType::f32, "expected a float type, got {}", name_of(dtype));
      return f.template operator()<float>();
  }
}

template <class T>
Tensor Tensor::from(std::span<const T> values, const Shape& shape, const char* name) {
  check(static_cast<std::int64_t>(values.size()) == shape.elements(),
        "Tensor::from: {} values do not fill shape {}", values.size(), shape);
  Tensor t = empty(shape, dtype_of<T>, Device::cpu, name);
  std::copy(values.begin(), values.end(), t.data<T>());
  return t;
}

}  // namespace farsight
