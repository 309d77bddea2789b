// linear through cuBLASLt: operands in their own type, sums in f32 (true f32 for f32: no TF32),
// results rounded once; the gradient of w in f32, added by the product itself (beta = 1).
// cuda/linear_plans.h says how an algorithm is chosen. What cuBLASLt has no algorithm for goes to
// plain tiles.
#include "ops/linear.h"
#include "cuda/linear_kernels.cuh"
#include "cuda/linear_plans.h"
#include "cuda/runtime.h"

namespace farsight::cuda {

void multiply(const Product& p) {
  if (p.m == 0 || p.n == 0) return;
  const Plan* plan = p.k == 0 ? nullptr : &plan_for(p);
  if (plan == nullptr || !plan->found) return multiply_plainly(p);
  multiply_by(*plan, p);
}

namespace {

void only_device_types(const LinearArgs& a, const char* kernel) {
  if (a.type != DType::f32 && a.type != DType::bf16) unsupported(kernel, name_of(a.type));
}

}  // namespace

void linear_forward(const LinearArgs& a) {
  only_device_types(a, "linear_forward");
  const void* bias = a.bias;
  if (bias != nullptr && a.type == DType::bf16) {
    round_bias(static_cast<const float*>(a.bias), a.N, static_cast<bf16*>(a.rounded_bias));
    bias = a.rounded_bias;
  }
  multiply({.a = a.x,
            .b = a.w,
            .c = a.y,
            .bias = bias,
            .m = a.rows,
            .n = a.N,
            .k = a.K,
            .a_stride = a.x_stride,
            .b_stride = a.K,
            .c_stride = a.N,
            .transpose_b = true,
            .type = a.type,
            .c_type = a.type});
}

void linear_backward(const LinearArgs& a) {
  only_device_types(a, "linear_backward");
  if (a.dx != nullptr) {
    multiply({.a = a.dy,
              .b = a.w,
              .c = a.dx,
              .m = a.rows,
              .n = a.K,
              .k = a.N,
              .a_stride = a.dy_stride,
              .b_stride = a.K,
              .c_stride = a.dx_stride,
              .add = a.dx_add,
              .type = a.type,
              .c_type = a.type});
  }
  if (a.dw != nullptr) {
    multiply({.a = a.dy,
              .b = a.x,
              .c = a.dw,
              .m = a.N,
              .n = a.K,
              .k = a.rows,
              .a_stride = a.dy_stride,
              .b_stride = a.x_stride,
              .c_stride = a.K,
              .transpose_a = true,
              .add = a.dw_add,
              .type = a.type,
              .c_type = DType::f32});
  }
  if (a.dbias != nullptr) {
    sum_columns(a);
  }
}

}  // namespace farsight::cuda
