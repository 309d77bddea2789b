#include "cuda/linear_plans.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <limits>
#include <map>
#include <span>
#include <string_view>

#include "core/arena.h"
#include "core/check.h"
#include "core/device_calls.h"
#include "core/stored_choices.h"
#include "cuda/plan_key.h"
#include "cuda/runtime.h"

namespace farsight::cuda {
namespace {

constexpr int kCandidates = 12;
constexpr int kTimedRuns = 5;
// Below this a product takes microseconds, and choosing costs more than it gains.
constexpr double kWorthMeasuring = 2e9;  // multiply-adds counted twice
// How much faster than the heuristic's first another algorithm must be: less is noise.
constexpr double kClearlyFaster = 0.98;

using cuda::succeeded;
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

cudaDataType_t cuda_type(DType type) {
  return type == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

template <class T>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
         T value) {
  succeeded(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)),
            "cublasLtMatmulPreferenceSetAttribute");
}

/// A row-major [rows, columns] matrix as cuBLAS sees it, or `batch` of them.
void describe(cublasLtMatrixLayout_t layout, DType type, std::int64_t rows, std::int64_t columns,
              std::int64_t stride, std::int64_t batch, std::int64_t step) {
  succeeded(cublasLtMatrixLayoutInit(layout, cuda_type(type), static_cast<std::uint64_t>(columns),
                                     static_cast<std::uint64_t>(rows), stride),
            "cublasLtMatrixLayoutInit");
  if (batch == 1) return;
  const auto count = static_cast<std::int32_t>(batch);
  succeeded(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                             sizeof(count)),
            "cublasLtMatrixLayoutSetAttribute");
  succeeded(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                             &step, sizeof(step)),
            "cublasLtMatrixLayoutSetAttribute");
}

template <class T>
void set(cublasLtMatmulDescOpaque_t& product, cublasLtMatmulDescAttributes_t attribute, T value) {
  succeeded(cublasLtMatmulDescSetAttribute(&product, attribute, &value, sizeof(value)),
            "cublasLtMatmulDescSetAttribute");
}

Plan described(const PlanKey& key) {
  Plan plan;
  succeeded(cublasLtMatmulDescInit(&plan.product, CUBLAS_COMPUTE_32F, CUDA_R_32F),
            "cublasLtMatmulDescInit");
  set(plan.product, CUBLASLT_MATMUL_DESC_TRANSA, key.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(plan.product, CUBLASLT_MATMUL_DESC_TRANSB, key.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (key.bias) set(plan.product, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
  describe(&plan.first, key.type, key.transpose_b ? key.n : key.k, key.transpose_b ? key.k : key.n,
           key.b_stride, key.batch, key.b_step);
  describe(&plan.second, key.type, key.transpose_a ? key.k : key.m, key.transpose_a ? key.m : key.k,
           key.a_stride, key.batch, key.a_step);
  describe(&plan.result, key.c_type, key.m, key.n, key.c_stride, key.batch, key.c_step);
  return plan;
}

using Candidates = std::array<cublasLtMatmulHeuristicResult_t, kCandidates>;

/// The heuristic's best, the first `count` of `room`; best first.
int find_candidates(const PlanKey& key, Plan& plan, Candidates& room, int most) {
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
  int results = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      handle(), &plan.product, &plan.first, &plan.second, &plan.result, &plan.result, &preference,
      most, room.data(), &results);
  return status == CUBLAS_STATUS_SUCCESS ? results : 0;
}

/// Milliseconds of the fastest of a few runs; infinite if the algorithm does not run.
double time_of(const Plan& plan, const Product& p) {
  static const std::array<cudaEvent_t, 2> events = [] {
    std::array<cudaEvent_t, 2> made = {};
    for (cudaEvent_t& event : made) {
      succeeded(cudaEventCreate(&event), "cudaEventCreate");
    }
    return made;
  }();
  double least = std::numeric_limits<double>::infinity();
  for (int run = 0; run <= kTimedRuns; run++) {
    succeeded(cudaEventRecord(events[0], stream()), "cudaEventRecord");
    try {
      multiply_by(plan, p);
    } catch (const Error&) {
      return least;
    }
    succeeded(cudaEventRecord(events[1], stream()), "cudaEventRecord");
    succeeded(cudaEventSynchronize(events[1]), "cudaEventSynchronize");
    float milliseconds = 0;
    succeeded(cudaEventElapsedTime(&milliseconds, events[0], events[1]), "cudaEventElapsedTime");
    if (run > 0) least = std::min(least, static_cast<double>(milliseconds));
  }
  return least;
}

/// Runs every candidate on the product's operands. A sum that is added to goes to a block of its
/// own: it must be added once.
cublasLtMatmulAlgo_t fastest(const Plan& plan, const Product& p,
                             std::span<const cublasLtMatmulHeuristicResult_t> candidates) {
  Product measured = p;
  void* scratch = nullptr;
  if (p.add) {
    const std::int64_t last = (p.batch - 1) * p.c_step + (p.m - 1) * p.c_stride;
    const std::int64_t bytes = (last + p.n) * size_of(p.c_type);
    scratch = arena(Device::cuda).allocate(bytes, "linear.measured");
    measured.c = scratch;
    measured.add = false;  // of what is there, not a number may be made
  }
  Plan tried = plan;
  cublasLtMatmulAlgo_t best = candidates[0].algo;
  double least = 0;
  for (std::size_t i = 0; i < candidates.size(); i++) {
    if (candidates[i].state != CUBLAS_STATUS_SUCCESS) continue;
    tried.algorithm = candidates[i].algo;
    const double time = time_of(tried, measured);
    if (i == 0) {
      least = time * kClearlyFaster;
    } else if (time < least) {
      least = time;
      best = candidates[i].algo;
    }
  }
  if (scratch != nullptr) arena(Device::cuda).release(scratch);
  return best;
}

/// Whether launches are computed, and not kept for a graph, in which nothing can be measured.
bool computes() {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  succeeded(cudaStreamIsCapturing(stream(), &status), "cudaStreamIsCapturing");
  return status == cudaStreamCaptureStatusNone;
}

/// FARSIGHT_TUNE. Who has not asked for it gets the same bits on every machine of a kind, whatever ran
/// there before.
bool tunes() {
  static const bool wanted = [] {
    const char* value = std::getenv("FARSIGHT_TUNE");
    return value != nullptr && std::string_view(value) != "0" && *value != '\0';
  }();
  return wanted;
}

/// Of this device and of the library that knows what an algorithm's words mean.
StoredChoices& choices() {
  static StoredChoices stored(
      choices_file(gpu_name(), fmt::format("cublaslt-{}", cublasLtGetVersion())));
  return stored;
}

/// From the file, if the library agrees that it can compute this product.
bool recall(const std::string& name, Plan& plan) {
  const StoredChoices::Words* words = choices().find(name);
  if (words == nullptr) return false;
  static_assert(sizeof(StoredChoices::Words) == sizeof(cublasLtMatmulAlgo_t));
  plan.algorithm = __builtin_bit_cast(cublasLtMatmulAlgo_t, *words);
  cublasLtMatmulHeuristicResult_t checked = {};
  const cublasStatus_t status =
      cublasLtMatmulAlgoCheck(handle(), &plan.product, &plan.first, &plan.second, &plan.result,
                              &plan.result, &plan.algorithm, &checked);
  return status == CUBLAS_STATUS_SUCCESS &&
         checked.workspaceSize <= static_cast<std::size_t>(workspace().bytes);
}

Plan make_plan(const PlanKey& key, const Product& p) {
  Plan plan = described(key);
  if (key.bias) set(plan.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
  const double work = 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) *
                      static_cast<double>(p.k) * static_cast<double>(p.batch);
  const bool measures = tunes() && work >= kWorthMeasuring && computes();
  const std::string name = measures ? name_of(key) : std::string();
  if (measures && recall(name, plan)) {
    plan.found = true;
    return plan;
  }
  Candidates candidates = {};
  const int count = find_candidates(key, plan, candidates, measures ? kCandidates : 1);
  plan.found = count > 0 && candidates[0].state == CUBLAS_STATUS_SUCCESS;
  if (!plan.found) return plan;
  plan.algorithm = candidates[0].algo;
  if (measures) {
    plan.algorithm = fastest(plan, p, std::span(candidates).first(static_cast<std::size_t>(count)));
    choices().add(name, __builtin_bit_cast(StoredChoices::Words, plan.algorithm));
  }
  return plan;
}

}  // namespace

const Plan& plan_for(const Product& p) {
  // Batches come in many sizes: a run meets more than are worth keeping.
  constexpr std::size_t kMostPlans = 4096;
  static std::map<PlanKey, Plan> plans;
  const PlanKey key = key_of(p);
  const auto at = plans.find(key);
  if (at != plans.end()) return at->second;
  if (plans.size() >= kMostPlans) plans.clear();
  return plans.emplace(key, make_plan(key, p)).first->second;
}

void multiply_by(const Plan& plan, const Product& p) {
  const float alpha = 1, beta = p.add ? 1 : 0;
  // The library takes handles by pointers to mutable, and changes nothing behind them.
  Plan called = plan;
  if (p.bias != nullptr) set(called.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
  const Workspace scratch = workspace();
  succeeded(
      cublasLtMatmul(handle(), &called.product, &alpha, p.b, &called.first, p.a, &called.second,
                     &beta, p.c, &called.result, p.c, &called.result, &called.algorithm,
                     scratch.address, static_cast<std::size_t>(scratch.bytes), stream()),
      "cublasLtMatmul");
  launched("linear");
}

}  // namespace farsight::cuda
