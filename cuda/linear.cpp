// linear through cuBLASLt: operands in their own type, sums in f32 (true f32 for f32: no TF32),
// results rounded once; the gradient of w in f32, added by the product itself (beta = 1).
//
// Plans (descriptors and the algorithm) are kept by everything that the choice depends on: sizes,
// strides, types, transposes, beta, and how the addresses are aligned. The algorithm is the
// heuristic's first that sums in f32 and in a fixed order, so the same build on the same device
// computes the same bits; timing several at start-up would be faster by a few percent and is the
// place for a stored choice per device. What cuBLASLt has no algorithm for goes to plain tiles.
#include <cublasLt.h>

#include <compare>
#include <map>

#include "core/check.h"
#include "cuda/linear_kernels.cuh"
#include "cuda/runtime.h"
#include "ops/linear.h"

namespace farsight::cuda {
namespace {

void succeeded(cublasStatus_t status, const char* call) {
  require(status == CUBLAS_STATUS_SUCCESS, ExitCode::device, "{}: {}", call,
          cublasLtGetStatusString(status));
}

cublasLtHandle_t handle() {
  static const cublasLtHandle_t created = [] {
    cublasLtHandle_t fresh = nullptr;
    succeeded(cublasLtCreate(&fresh), "cublasLtCreate");
    return fresh;
  }();
  return created;
}

/// The largest power of two, 256 at most, that divides the address.
std::uint32_t alignment_of(const void* address) {
  const auto bits = reinterpret_cast<std::uintptr_t>(address) | 256u;
  return static_cast<std::uint32_t>(bits & (~bits + 1));
}

/// What a plan depends on.
struct PlanKey {
  std::int64_t m, n, k, a_stride, b_stride, c_stride;
  std::uint32_t a_alignment, b_alignment, c_alignment;
  DType type, c_type;
  bool transpose_a, transpose_b, add;
  auto operator<=>(const PlanKey&) const = default;
};

PlanKey key_of(const Product& p) {
  return {p.m,
          p.n,
          p.k,
          p.a_stride,
          p.b_stride,
          p.c_stride,
          alignment_of(p.a),
          alignment_of(p.b),
          alignment_of(p.c),
          p.type,
          p.c_type,
          p.transpose_a,
          p.transpose_b,
          p.add};
}

/// Row-major C = A B is column-major C^T = B^T A^T: cuBLAS's first operand is our B.
struct Plan {
  bool found = false;  // else: plain tiles
  cublasLtMatmulDescOpaque_t product = {};
  cublasLtMatrixLayoutOpaque_t first = {}, second = {}, result = {};
  cublasLtMatmulAlgo_t algorithm = {};
};

cudaDataType_t cuda_type(DType type) {
  return type == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

template <class T>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
         T value) {
  succeeded(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)),
            "cublasLtMatmulPreferenceSetAttribute");
}

/// A row-major [rows, columns] matrix as cuBLAS sees it.
void describe(cublasLtMatrixLayout_t layout, DType type, std::int64_t rows, std::int64_t columns,
              std::int64_t stride) {
  succeeded(cublasLtMatrixLayoutInit(layout, cuda_type(type), static_cast<std::uint64_t>(columns),
                                     static_cast<std::uint64_t>(rows), stride),
            "cublasLtMatrixLayoutInit");
}

Plan make_plan(const PlanKey& key) {
  Plan plan;
  succeeded(cublasLtMatmulDescInit(&plan.product, CUBLAS_COMPUTE_32F, CUDA_R_32F),
            "cublasLtMatmulDescInit");
  const auto transpose = [&](cublasLtMatmulDescAttributes_t attribute, bool wanted) {
    const cublasOperation_t operation = wanted ? CUBLAS_OP_T : CUBLAS_OP_N;
    succeeded(
        cublasLtMatmulDescSetAttribute(&plan.product, attribute, &operation, sizeof(operation)),
        "cublasLtMatmulDescSetAttribute");
  };
  transpose(CUBLASLT_MATMUL_DESC_TRANSA, key.transpose_b);
  transpose(CUBLASLT_MATMUL_DESC_TRANSB, key.transpose_a);
  describe(&plan.first, key.type, key.transpose_b ? key.n : key.k, key.transpose_b ? key.k : key.n,
           key.b_stride);
  describe(&plan.second, key.type, key.transpose_a ? key.k : key.m, key.transpose_a ? key.m : key.k,
           key.a_stride);
  describe(&plan.result, key.c_type, key.m, key.n, key.c_stride);

  cublasLtMatmulPreferenceOpaque_t preference;
  succeeded(cublasLtMatmulPreferenceInit(&preference), "cublasLtMatmulPreferenceInit");
  set(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
      static_cast<std::uint64_t>(workspace().bytes));
  set(&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.b_alignment);
  set(&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.a_alignment);
  set(&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.c_alignment);
  set(&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.c_alignment);
  // Shares of K meet in the workspace and in f32, never in the rounded output.
  set(&preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  cublasLtMatmulHeuristicResult_t best = {};
  int results = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle(), &plan.product, &plan.first, &plan.second,
                                     &plan.result, &plan.result, &preference, 1, &best, &results);
  plan.found =
      status == CUBLAS_STATUS_SUCCESS && results > 0 && best.state == CUBLAS_STATUS_SUCCESS;
  if (plan.found) plan.algorithm = best.algo;
  return plan;
}

const Plan& plan_for(const PlanKey& key) {
  // Batches of labelled rows come in any number: a run meets more sizes than are worth keeping.
  constexpr std::size_t kMostPlans = 4096;
  static std::map<PlanKey, Plan> plans;
  const auto at = plans.find(key);
  if (at != plans.end()) return at->second;
  if (plans.size() >= kMostPlans) plans.clear();
  return plans.emplace(key, make_plan(key)).first->second;
}

void multiply(const Product& p) {
  if (p.m == 0 || p.n == 0) return;
  const Plan* plan = p.k == 0 ? nullptr : &plan_for(key_of(p));
  if (plan == nullptr || !plan->found) return multiply_plainly(p);
  const float alpha = 1, beta = p.add ? 1 : 0;
  // The library takes handles by pointers to mutable, and changes nothing behind them.
  Plan called = *plan;
  const Workspace scratch = workspace();
  succeeded(
      cublasLtMatmul(handle(), &called.product, &alpha, p.b, &called.first, p.a, &called.second,
                     &beta, p.c, &called.result, p.c, &called.result, &called.algorithm,
                     scratch.address, static_cast<std::size_t>(scratch.bytes), stream()),
      "cublasLtMatmul");
  launched("linear");
}

void only_device_types(const LinearArgs& a, const char* kernel) {
  if (a.type != DType::f32 && a.type != DType::bf16) unsupported(kernel, name_of(a.type));
}

}  // namespace

void linear_forward(const LinearArgs& a) {
  only_device_types(a, "linear_forward");
  const bool rounds_later = a.bias != nullptr && a.type == DType::bf16;
  void* sums = rounds_later ? a.wide : a.y;
  multiply({.a = a.x,
            .b = a.w,
            .c = sums,
            .m = a.rows,
            .n = a.N,
            .k = a.K,
            .a_stride = a.x_stride,
            .b_stride = a.K,
            .c_stride = a.N,
            .transpose_b = true,
            .type = a.type,
            .c_type = rounds_later ? DType::f32 : a.type});
  if (a.bias != nullptr) {
    add_bias(a.y, static_cast<const float*>(sums), static_cast<const float*>(a.bias), a.rows, a.N,
             a.type);
  }
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
    sum_columns(a.dy, a.dy_stride, a.rows, a.N, a.type, static_cast<float*>(a.dbias), a.dbias_add);
  }
}

}  // namespace farsight::cuda
