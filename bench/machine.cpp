#include "bench/machine.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <fstream>
#include <thread>

#include "autograd/gradcheck.h"
#include "core/parallel.h"
#include "ops/gemm.h"

namespace farsight::bench {
namespace {

/// Each of the two arrays: beyond the shared caches of today's servers.
constexpr std::int64_t kCopyBytes = std::int64_t{512} << 20;
constexpr std::int64_t kGemmSize = 2048;

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  gmtime_r(&now, &parts);
  char text[32];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text, length};
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

double copy_gb_per_s(const Effort& effort) {
  const Tensor from = Tensor::zeros({kCopyBytes / 4}, DType::f32, Device::cpu, "copied from");
  const Tensor to = Tensor::zeros({kCopyBytes / 4}, DType::f32, Device::cpu, "copied to");
  const std::int64_t share = kCopyBytes / threads();
  std::vector<double> rates;
  for (Repetition again(effort); again.wanted();) {
    const double start = seconds_now();
    parallel_for(threads(), [&](std::int64_t i) {
      std::memcpy(static_cast<std::byte*>(to.ptr()) + i * share,
                  static_cast<const std::byte*>(from.ptr()) + i * share,
                  static_cast<std::size_t>(share));
    });
    const double bytes = 2.0 * static_cast<double>(share * threads());
    rates.push_back(bytes / (seconds_now() - start) / 1e9);
  }
  return median(rates);
}

double sgemm_gflop_per_s(const Effort& effort) {
  constexpr std::int64_t n = kGemmSize;
  const Tensor a = random_normal({n, n}, DType::f32, 1);
  const Tensor b = random_normal({n, n}, DType::f32, 2);
  const Tensor c = Tensor::zeros({n, n}, DType::f32);
  const cpu::Gemm<float> product{.a = a.data<float>(),
                                 .b = b.data<float>(),
                                 .c = c.data<float>(),
                                 .m = n,
                                 .n = n,
                                 .k = n,
                                 .a_stride = n,
                                 .b_stride = n,
                                 .c_stride = n};
  cpu::gemm(product);
  std::vector<double> rates;
  for (Repetition again(effort); again.wanted();) {
    const double start = seconds_now();
    cpu::gemm(product);
    rates.push_back(2.0 * static_cast<double>(n * n * n) / (seconds_now() - start) / 1e9);
  }
  return median(rates);
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

/// Seconds of processor time that all others have used since the machine started.
double used_by_others() {
  std::ifstream file("/proc/stat");
  std::string label;
  double user = 0, nice = 0, system = 0, idle = 0, waiting = 0, interrupts = 0, soft = 0,
         stolen = 0;
  file >> label >> user >> nice >> system >> idle >> waiting >> interrupts >> soft >> stolen;
  if (!file) return 0;
  const double busy = user + nice + system + interrupts + soft + stolen;
  rusage own = {};
  getrusage(RUSAGE_SELF, &own);
  return busy / static_cast<double>(sysconf(_SC_CLK_TCK)) - seconds_of(own.ru_utime) -
         seconds_of(own.ru_stime);
}

}  // namespace

OtherPrograms::OtherPrograms() : start_(seconds_now()), busy_(used_by_others()) {}

double OtherPrograms::processors() const {
  return std::max(0.0, (used_by_others() - busy_) / (seconds_now() - start_));
}

Machine this_machine() {
  return {.date = utc_now(),
          .device = fmt::format("{}, {} processors", processor_name(),
                                std::thread::hardware_concurrency()),
          .threads = threads(),
          .blas = cpu::blas_description()};
}

Ceilings measure_ceilings(const Effort& effort) {
  const OtherPrograms others;
  Ceilings ceilings{.copy_gb_per_s = copy_gb_per_s(effort),
                    .sgemm_gflop_per_s = sgemm_gflop_per_s(effort)};
  ceilings.others = others.processors();
  return ceilings;
}

}  // namespace farsight::bench
