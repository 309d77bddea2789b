#include "bench/operations.h"

#include <algorithm>

#include "autograd/gradcheck.h"
#include "autograd/tape.h"
#include "bench/machine.h"

namespace farsight::bench {
namespace {

constexpr std::int64_t kRotatedBytes = std::int64_t{64} << 20;
constexpr std::int64_t kMostCopies = 16;
constexpr std::uint64_t kSeed = 20241015;

using Tensors = std::vector<Tensor>;

bool is_real(const Tensor& t) {
  return t.dtype() != DType::i32;
}

Tensors copy_of(const Tensors& tensors) {
  Tensors copies;
  for (const Tensor& t : tensors) {
    copies.push_back(is_real(t) ? t.to(t.dtype()) : t);
  }
  return copies;
}

std::vector<Tensors> rotated_inputs(const OpCase& operation, const Sizes& sizes) {
  std::vector<Tensors> copies = {make_inputs(operation.inputs(sizes), DType::f32, kSeed)};
  std::int64_t bytes = 1;
  for (const Tensor& t : copies.front()) {
    bytes += t.bytes();
  }
  const std::int64_t count = std::clamp<std::int64_t>(kRotatedBytes / bytes + 1, 2, kMostCopies);
  while (static_cast<std::int64_t>(copies.size()) < count) {
    copies.push_back(copy_of(copies.front()));
  }
  return copies;
}

Tensors cotangents_of(const OpCase& operation, const Tensors& inputs) {
  Tensors cotangents;
  std::uint64_t stream = 500;
  for (const Tensor& y : operation.call(inputs)) {
    cotangents.push_back(random_normal(y.shape(), y.dtype(), kSeed, stream++));
  }
  return cotangents;
}

struct Seconds {
  double forward = 0, backward = 0;
};

Seconds time_once(const OpCase& operation, const Tensors& inputs, const Tensors& cotangents) {
  const Tensors dy = copy_of(cotangents);  // backward may use their bytes for gradients
  Tape tape;
  Tensors leaves;
  for (const Tensor& x : inputs) {
    leaves.push_back(is_real(x) ? leaf(x) : x);
  }
  const double start = seconds_now();
  const Tensors y = operation.call(leaves);
  const double between = seconds_now();
  // The walk starts at one tensor; further outputs already hold their gradients when it begins.
  for (std::size_t i = 1; i < y.size(); i++) {
    y[i].grad->value = dy[i];
    y[i].grad->filled = true;
  }
  tape.backward(y[0], dy[0]);
  return {.forward = between - start, .backward = seconds_now() - between};
}

}  // namespace

OperationTimes time_operation(const OpCase& operation, const Sizes& sizes, const Effort& effort) {
  const std::vector<Tensors> copies = rotated_inputs(operation, sizes);
  const Tensors cotangents = cotangents_of(operation, copies.front());
  time_once(operation, copies.back(), cotangents);
  const OtherPrograms others;
  std::vector<double> forward, backward;
  for (Repetition again(effort); again.wanted();) {
    const Tensors& inputs = copies[forward.size() % copies.size()];
    const Seconds seconds = time_once(operation, inputs, cotangents);
    forward.push_back(1e3 * seconds.forward);
    backward.push_back(1e3 * seconds.backward);
  }
  return {.forward_ms = median(forward),
          .backward_ms = median(backward),
          .runs = forward.size(),
          .others = others.processors()};
}

}  // namespace farsight::bench
