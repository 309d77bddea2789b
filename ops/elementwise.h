// Element by element, on tensors of one shape; rows may be strided.
//
//   add: y = a + b        multiply: y = a b        gate: y = sigmoid(a) b
//   silu: y = a sigmoid(a)        relu: y = max(a, 0)        squared_relu: y = max(a, 0)^2
//
// Only what no fused operation covers: the models' hot chains live inside their neighbours
// (add_rms_norm, causal_conv1d, selective_scan, wkv).
#pragma once

#include "ops/kernel.h"

namespace farsight {

Tensor add(const Tensor& a, const Tensor& b);
Tensor multiply(const Tensor& a, const Tensor& b);
Tensor gate(const Tensor& a, const Tensor& b);
Tensor silu(const Tensor& a);
Tensor relu(const Tensor& a);
Tensor squared_relu(const Tensor& a);

/// Those of two operands first.
enum class ElementwiseKind : std::uint8_t { add, multiply, gate, silu, relu, squared_relu };

struct ElementwiseArgs {
  ElementwiseKind kind = ElementwiseKind::add;
  const void *a = nullptr, *b = nullptr, *dy = nullptr;
  void *y = nullptr, *da = nullptr, *db = nullptr;
  bool da_add = false, db_add = false;
  std::int64_t rows = 0, columns = 0;
  std::int64_t a_stride = 0, b_stride = 0, da_stride = 0, db_stride = 0, dy_stride = 0;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(elementwise_forward, ElementwiseArgs)
FARSIGHT_KERNEL(elementwise_backward, ElementwiseArgs)
