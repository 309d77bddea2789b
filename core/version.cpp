#include "core/version.h"

#include <fmt/format.h>
#include "generated/version.h"

namespace farsight {

const BuildInfo& build_info() {
  static constexpr BuildInfo kInfo = {
      .version = FARSIGHT_VERSION,
      .commit = FARSIGHT_COMMIT,
      .build_type = FARSIGHT_BUILD_TYPE,
      .compiler = FARSIGHT_COMPILER,
      .sanitizers = FARSIGHT_SANITIZERS,
      .cpu_level = FARSIGHT_CPU_LEVEL,
      .cpu_features = FARSIGHT_CPU_FEATURES,
      .cuda_architectures = FARSIGHT_CUDA_ARCHITECTURES,
  };
  return kInfo;
}

std::string version_line() {
  const BuildInfo& build = build_info();
  const std::string gpus = build.cuda_architectures;
  const std::string sanitizers = build.sanitizers;
  return fmt::format("{} ({}, {}{}, {}, {})", build.version, build.commit, build.build_type,
                     sanitizers.empty() ? "" : " with " + sanitizers + " sanitizers",
                     build.cpu_level, gpus.empty() ? "CPU only" : "CUDA " + gpus);
}

}  // namespace farsight
