#include "core/tensor.h"

#include <fmt/format.h>

#include <cstring>

#include "core/device_calls.h"
#include "core/parallel.h"

namespace farsight {

Shape::Shape(std::initializer_list<std::int64_t> sizes) : n(static_cast<int>(sizes.size())) {
  check(n <= kMaxDims, "Shape: at most {} dimensions, got {}", kMaxDims, n);
  std::copy(sizes.begin(), sizes.end(), dims.begin());
  for (std::int64_t size : sizes) {
    check(size >= 0, "Shape: negative size in {}", *this);
  }
}

std::int64_t Shape::operator[](int i) const {
  const int at = i < 0 ? i + n : i;
  check(at >= 0 && at < n, "Shape: dimension {} of {}", i, *this);
  return dims[static_cast<std::size_t>(at)];
}

std::int64_t Shape::elements() const {
  return rows() * last();
}

std::int64_t Shape::rows() const {
  std::int64_t product = 1;
  for (int i = 0; i + 1 < n; i++) {
    product *= dims[static_cast<std::size_t>(i)];
  }
  return product;
}

Shape Shape::with_last(std::int64_t size) const {
  check(n >= 1, "Shape: a scalar has no last dimension");
  Shape s = *this;
  s.dims[static_cast<std::size_t>(n - 1)] = size;
  return s;
}

std::string to_string(const Shape& shape) {
  return fmt::format("{}", shape);
}

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device, const char* name) {
  std::int64_t bytes = size_of(dtype);
  bool fits = true;
  for (int i = 0; i < shape.n; i++) {
    fits = !__builtin_mul_overflow(bytes, shape[i], &bytes) && fits;
  }
  check(fits, "{}: the size of a {} tensor of shape {} overflows 64 bits", name, name_of(dtype),
        shape);
  Tensor t;
  t.shape_ = shape;
  t.row_stride_ = shape.last();
  t.dtype_ = dtype;
  t.device_ = device;
  Arena& from = arena(device);
  t.data_ = from.allocate(t.bytes(), name);
  t.bytes_ = std::shared_ptr<void>(t.data_, [&from](void* address) { from.release(address); });
  return t;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device, const char* name) {
  Tensor t = empty(shape, dtype, device, name);
  t.fill_zero();
  return t;
}

void Tensor::fill_zero() const {
  if (device_ == Device::meta) return;
  const std::int64_t rows = dense() ? 1 : shape_.rows();
  const std::int64_t row_bytes = (dense() ? elements() : shape_.last()) * size_of(dtype_);
  const std::int64_t stride = row_stride_ * size_of(dtype_);
  if (device_ == Device::cuda) return device_calls().fill({data_, stride}, 0, row_bytes, rows);
  for (std::int64_t row = 0; row < rows; row++) {
    std::memset(static_cast<std::byte*>(data_) + row * stride, 0,
                static_cast<std::size_t>(row_bytes));
  }
}

void Tensor::copy_from(const Tensor& from) const {
  check(from.shape_ == shape_ && from.dtype_ == dtype_, "copy_from: {} {} into {} {}",
        name_of(from.dtype_), from.shape_, name_of(dtype_), shape_);
  if (device_ == Device::meta || from.device_ == Device::meta) return;
  const bool all_dense = dense() && from.dense();
  const std::int64_t rows = all_dense ? 1 : shape_.rows();
  const std::int64_t row_bytes = (all_dense ? elements() : shape_.last()) * size_of(dtype_);
  const std::int64_t to_stride = row_stride_ * size_of(dtype_);
  const std::int64_t from_stride = from.row_stride_ * size_of(dtype_);
  if (device_ == Device::cuda && from.device_ == Device::cuda) {
    return device_calls().copy({data_, to_stride}, {from.data_, from_stride}, row_bytes, rows);
  }
  if (device_ != from.device_) {
    // Between the memories only dense blocks move.
    if (!from.dense()) return copy_from(from.contiguous());
    if (!dense()) return copy_from(from.to(device_));
    return device_ == Device::cuda ? device_calls().upload(data_, from.data_, bytes())
                                   : device_calls().download(data_, from.data_, bytes());
  }
  for (std::int64_t row = 0; row < rows; row++) {
    std::memcpy(static_cast<std::byte*>(data_) + row * to_stride,
                static_cast<const std::byte*>(from.data_) + row * from_stride,
                static_cast<std::size_t>(row_bytes));
  }
}

Tensor Tensor::reshape(const Shape& shape) const {
  check(shape.elements() == elements(), "reshape: {} has not the elements of {}", shape, shape_);
  check(dense() || shape.last() == shape_.last(),
        "reshape: a strided view {} keeps its last dimension, got {}; use .contiguous()", shape_,
        shape);
  Tensor t = *this;
  t.shape_ = shape;
  t.row_stride_ = dense() ? shape.last() : row_stride_;
  return t;
}

Tensor Tensor::columns(std::int64_t begin, std::int64_t count) const {
  check(begin >= 0 && count >= 0 && begin + count <= shape_.last(),
        "columns: [{}, {}) of the last dimension of {}", begin, begin + count, shape_);
  Tensor t = *this;
  t.shape_ = shape_.with_last(count);
  t.data_ = static_cast<std::byte*>(data_) + begin * size_of(dtype_);
  t.grad.reset();
  return t;
}

Tensor Tensor::range(std::int64_t begin, std::int64_t count) const {
  check(shape_.n >= 2 && begin >= 0 && count >= 0 && begin + count <= shape_[0],
        "range: [{}, {}) of the first dimension of {}", begin, begin + count, shape_);
  Tensor t = *this;
  t.shape_.dims[0] = count;
  const std::int64_t rows_each = shape_[0] == 0 ? 0 : shape_.rows() / shape_[0];
  t.data_ = static_cast<std::byte*>(data_) + begin * rows_each * row_stride_ * size_of(dtype_);
  t.grad.reset();
  return t;
}

Tensor Tensor::slice_flat(std::int64_t offset, const Shape& shape) const {
  check(shape_.n == 1 && dense() && offset >= 0 && offset + shape.elements() <= elements(),
        "slice_flat: {} elements at {} of {}", shape.elements(), offset, shape_);
  Tensor t = *this;
  t.shape_ = shape;
  t.row_stride_ = shape.last();
  t.data_ = static_cast<std::byte*>(data_) + offset * size_of(dtype_);
  t.grad.reset();
  return t;
}

Tensor Tensor::without_bytes() const {
  Tensor t = *this;
  t.bytes_.reset();
  t.data_ = nullptr;
  return t;
}

Tensor Tensor::contiguous() const {
  if (dense()) return *this;
  Tensor t = empty(shape_, dtype_, device_, "contiguous");
  t.copy_from(*this);
  return t;
}

Tensor Tensor::to(Device device) const {
  if (device == device_) return *this;
  Tensor t = empty(shape_, dtype_, device, "copied");
  t.copy_from(*this);
  return t;
}

Tensor Tensor::to(DType dtype) const {
  Tensor t = empty(shape_, dtype, device_, "converted");
  if (device_ == Device::meta) return t;
  if (device_ == Device::cuda) {
    const std::int64_t size = size_of(dtype_), to_size = size_of(dtype);
    device_calls().convert({t.data_, t.row_stride_ * to_size}, dtype, {data_, row_stride_ * size},
                           dtype_, shape_.last(), shape_.rows());
    return t;
  }
  with_type(dtype_, [&]<class From>() {
    with_type(dtype, [&]<class To>() {
      const std::int64_t columns = shape_.last();
      parallel_for(shape_.rows(), [&](std::int64_t row) {
        const From* x = data<From>() + row * row_stride_;
        To* y = t.data<To>() + row * columns;
        for (std::int64_t i = 0; i < columns; i++) {
          if constexpr (std::is_same_v<From, To>) {
            y[i] = x[i];
          } else if constexpr (std::is_same_v<To, bf16>) {
            y[i] = bf16(static_cast<float>(x[i]));
          } else {
            y[i] = static_cast<To>(static_cast<accumulator_t<From>>(x[i]));
          }
        }
      });
    });
  });
  return t;
}

}  // namespace farsight

fmt::format_context::iterator fmt::formatter<farsight::Shape>::format(
    const farsight::Shape& shape, fmt::format_context& context) const {
  return fmt::format_to(context.out(), "[{}]",
                        fmt::join(shape.dims.begin(), shape.dims.begin() + shape.n, ", "));
}
