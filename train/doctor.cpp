#include "train/doctor.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/check.h"
#include "core/device_calls.h"
#include "core/parallel.h"
#include "core/version.h"
#include "ops/gemm.h"

namespace farsight {
namespace {

/// The variables that the sources read; README.md describes each (tests/layering_test.cpp
/// compares).
constexpr std::string_view kVariables[] = {"FARSIGHT_CACHE", "FARSIGHT_DATA",    "FARSIGHT_JOB",
                                           "FARSIGHT_SYNC",  "FARSIGHT_THREADS", "FARSIGHT_TUNE"};

/// One verdict a line, in the columns of cmake/doctor.sh. Counts what will not work.
class Report {
 public:
  void ok(const char* topic, const std::string& text) { line("ok", topic, text); }
  void warn(const char* topic, const std::string& text) { line("warn", topic, text); }
  void fail(const char* topic, const std::string& text) {
    line("fail", topic, text);
    failures_++;
  }
  int failures() const { return failures_; }

 private:
  static void line(const char* verdict, const char* topic, const std::string& text) {
    fmt::print("{:<5} {:<14} {}\n", verdict, topic, text);
  }
  int failures_ = 0;
};

bool has_avx512() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f") > 0 && __builtin_cpu_supports("avx512bw") > 0 &&
         __builtin_cpu_supports("avx512dq") > 0 && __builtin_cpu_supports("avx512vl") > 0;
#else
  return false;
#endif
}

void report_build(Report& report) {
  const BuildInfo& build = build_info();
  const std::string text = fmt::format("{}, {}", version_line(), build.compiler);
  if (std::string_view(build.build_type) == "Debug" || *build.sanitizers != '\0') {
    report.warn("build", text + ": made for finding errors, many times slower than Release");
  } else {
    report.ok("build", text);
  }
}

void report_blas(Report& report) {
  const std::string blas = cpu::blas_description();
  const bool avx2_kernels =
      blas.find("Haswell") != std::string::npos || blas.find("Zen") != std::string::npos;
  if (has_avx512() && avx2_kernels) {
    report.warn("BLAS", blas +
                            ", although this CPU has AVX-512: OPENBLAS_CORETYPE=SkylakeX makes "
                            "matrix products up to twice as fast (and changes last bits)");
  } else {
    report.ok("BLAS", blas);
  }
}

void report_threads(Report& report) {
  const int present = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  try {
    const int used = threads();
    const std::string text = fmt::format("{} used, {} processors", used, present);
    if (used > present) {
      report.warn("threads", text + ": more threads than processors slow each other down");
    } else {
      report.ok("threads", text);
    }
  } catch (const Error& error) {
    report.fail("threads", error.what());
  }
}

void report_environment(Report& report) {
  std::vector<std::string> known;
  int set = 0;
  for (char** entry = environ; *entry != nullptr; entry++) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    if (!name.starts_with("FARSIGHT_")) continue;
    set++;
    if (std::find(std::begin(kVariables), std::end(kVariables), name) == std::end(kVariables)) {
      report.warn("environment", fmt::format("{} is set, but nothing reads it", name));
    } else {
      known.emplace_back(text);
    }
  }
  std::sort(known.begin(), known.end());
  for (const std::string& text : known) {
    report.ok("environment", text);
  }
  if (set == 0) report.ok("environment", "no FARSIGHT_ variable is set");
}

void report_gpu(Report& report) {
  std::string why;
  if (!gpu_available(&why)) {
    report.ok("GPU", why + ": training runs on the CPU");
    return;
  }
  try {
    select_gpu();
    report.ok("GPU", gpu_name() + ", used unless --device cpu is given");
  } catch (const Error& error) {
    report.fail("GPU", error.what());
  }
}

}  // namespace

int doctor() {
  Report report;
  report_build(report);
  report_environment(report);
  report_blas(report);
  report_threads(report);
  report_gpu(report);
  return report.failures() == 0 ? 0 : 1;
}

}  // namespace farsight
