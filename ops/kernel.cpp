#include "ops/kernel.h"

#include "core/check.h"

namespace farsight {

void no_cuda(const char* kernel) {
  fail(ExitCode::device, "{}: this build has no CUDA; use --device cpu", kernel);
}

}  // namespace farsight
