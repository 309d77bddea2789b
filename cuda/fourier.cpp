#include <cufft.h>

#include <map>
#include <utility>

#include "core/check.h"
#include "cuda/runtime.h"

namespace farsight::cuda {
namespace {

void done(cufftResult result, const char* call) {
  require(result == CUFFT_SUCCESS, ExitCode::device, "{}: cuFFT's error {}", call,
          static_cast<int>(result));
}

struct Plans {
  cufftHandle forward = 0, inverse = 0;
};

cufftHandle make_plan(int n, int columns, cufftType type) {
  int length = n, reals = n, spectrum = n / 2 + 1;
  int* const from = type == CUFFT_R2C ? &reals : &spectrum;
  int* const to = type == CUFFT_R2C ? &spectrum : &reals;
  cufftHandle plan = 0;
  done(cufftPlanMany(&plan, 1, &length, from, columns, 1, to, columns, 1, type, columns),
       "cufftPlanMany");
  done(cufftSetStream(plan, stream()), "cufftSetStream");
  return plan;
}

/// They live as long as the process: a captured graph may hold a plan's work area.
const Plans& plans_for(int n, int columns) {
  static std::map<std::pair<int, int>, Plans> made;
  const std::pair<int, int> sizes(n, columns);
  if (const auto found = made.find(sizes); found != made.end()) return found->second;
  const Plans plans = {.forward = make_plan(n, columns, CUFFT_R2C),
                       .inverse = make_plan(n, columns, CUFFT_C2R)};
  return made.emplace(sizes, plans).first->second;
}

}  // namespace

void fourier_forward(int n, int columns, float* real, float2* spectrum) {
  done(cufftExecR2C(plans_for(n, columns).forward, real, spectrum), "cufftExecR2C");
}

void fourier_inverse(int n, int columns, float2* spectrum, float* real) {
  done(cufftExecC2R(plans_for(n, columns).inverse, spectrum, real), "cufftExecC2R");
}

}  // namespace farsight::cuda
