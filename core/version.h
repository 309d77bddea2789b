// What this build is: written into --version, result.json and the report of `make doctor`.
#pragma once

#include <string>

namespace farsight {

/// All strings are empty where they do not apply. The commit is "unknown" outside a git checkout,
/// and ends in "+changes" when tracked files differed from it at build time.
struct BuildInfo {
  const char* version;       ///< "0.1.0"
  const char* commit;        ///< "624f5de"
  const char* build_type;    ///< "Release"
  const char* compiler;      ///< "GNU 12.2.0"
  const char* sanitizers;    ///< "address,undefined"
  const char* cpu_level;     ///< "x86-64-v4": the highest level whose instructions may be used
  const char* cpu_features;  ///< "sse4_2 avx avx2 ...", as /proc/cpuinfo names them
  const char* cuda_architectures;  ///< "80-real 90-real 90-virtual"; empty without CUDA
};

const BuildInfo& build_info();

/// "0.1.0 (624f5de, Release, x86-64-v4, CPU only)": one line for --version and headers of reports.
std::string version_line();

}  // namespace farsight
