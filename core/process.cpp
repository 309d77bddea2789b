#include "core/process.h"

#include <malloc.h>

#include <csignal>

#include "core/check.h"
#include "core/version.h"

namespace farsight {

void prepare_process() {
#if defined(__x86_64__)
#if defined(__AVX512F__)
  const bool supported = __builtin_cpu_supports("avx512f") > 0 &&
                         __builtin_cpu_supports("avx512vl") > 0 &&
                         __builtin_cpu_supports("avx512bw") > 0;
#elif defined(__AVX2__)
  const bool supported = __builtin_cpu_supports("avx2") > 0 && __builtin_cpu_supports("fma") > 0;
#else
  const bool supported = true;
#endif
  require(supported, ExitCode::device,
          "this program was built for {} processors and this one is none: build it here, or with "
          "-DFARSIGHT_CPU=x86-64-v3 or lower",
          build_info().cpu_level);
#endif
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGCHLD,
              SIG_DFL);  // ignored, as a launcher may leave it, no child could be waited for
  constexpr int kKeep = 256 << 20;
  mallopt(M_MMAP_THRESHOLD, 64 << 20);
  mallopt(M_TRIM_THRESHOLD, kKeep);
}

}  // namespace farsight
