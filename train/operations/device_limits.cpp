#include "train/operations/device_limits.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "autograd/tape.h"
#include "core/clock.h"
#include "core/device_calls.h"
#include "core/parallel.h"
#include "ops/gemm.h"
#include "ops/linear.h"

namespace farsight {
namespace {

constexpr int kTries = 3;  // the best counts: others only take time away

template <class Run>
double best_seconds(const Run& run) {
  run();  // memory is touched, threads are awake
  double best = 1e9;
  for (int i = 0; i < kTries; i++) {
    const double start = seconds_now();
    run();
    best = std::min(best, seconds_now() - start);
  }
  return best;
}

double host_copy() {
  constexpr std::int64_t kBytes = std::int64_t{32} << 20;
  std::vector<std::byte> from(kBytes), to(kBytes);
  const double seconds = best_seconds([&] {
    parallel_blocks(kBytes, kBytes / threads() + 1, [&](std::int64_t begin, std::int64_t end) {
      std::memcpy(to.data() + begin, from.data() + begin, static_cast<std::size_t>(end - begin));
    });
  });
  return 2.0 * kBytes / seconds;
}

/// Products are computed in the accumulator type.
template <class A>
double host_product() {
  constexpr std::int64_t n = 512;
  std::vector<A> a(n * n, A{1}), b(n * n, A{1}), c(n * n);
  const cpu::Gemm<A> product{.a = a.data(),
                             .b = b.data(),
                             .c = c.data(),
                             .m = n,
                             .n = n,
                             .k = n,
                             .a_stride = n,
                             .b_stride = n,
                             .c_stride = n};
  return 2.0 * n * n * n / best_seconds([&] { cpu::gemm(product); });
}

template <class Run>
double device_seconds(const Run& run) {
  constexpr int kTimes = 5;
  const DeviceCalls& gpu = device_calls();
  run();
  gpu.mark(0);
  for (int i = 0; i < kTimes; i++) {
    run();
  }
  gpu.mark(1);
  return gpu.elapsed_ms(0, 1) / 1e3 / kTimes;
}

double device_copy() {
  constexpr std::int64_t kCount = std::int64_t{64} << 20;
  const Tensor from = Tensor::zeros({kCount}, DType::f32, Device::cuda, "ceiling");
  const Tensor to = Tensor::empty({kCount}, DType::f32, Device::cuda, "ceiling");
  return 2.0 * static_cast<double>(from.bytes()) / device_seconds([&] { to.copy_from(from); });
}

double device_product(DType compute) {
  constexpr std::int64_t n = 4096;
  const NoTape no_tape;
  const Tensor x = Tensor::zeros({n, n}, compute, Device::cuda, "ceiling");
  const Tensor w = Tensor::zeros({n, n}, compute, Device::cuda, "ceiling");
  return 2.0 * n * n * n / device_seconds([&] { linear(x, w); });
}

}  // namespace

std::optional<double> made_for(std::string_view device_name, DType compute) {
  struct Known {
    std::string_view name;
    double bf16, f32;
  };
  // More special names first.
  constexpr Known kKnown[] = {{"H100 PCIe", 756e12, 51e12},  {"H100 NVL", 835e12, 60e12},
                              {"H100", 989e12, 67e12},       {"H200", 989e12, 67e12},
                              {"B200", 2250e12, 80e12},      {"A100", 312e12, 19.5e12},
                              {"L40S", 362e12, 91.6e12},     {"L4", 121e12, 30.3e12},
                              {"RTX 4090", 165e12, 82.6e12}, {"A10", 125e12, 31.2e12}};
  for (const Known& known : kKnown) {
    if (device_name.find(known.name) == std::string_view::npos) continue;
    if (compute == DType::bf16) return known.bf16;
    if (compute == DType::f32) return known.f32;
  }
  return std::nullopt;
}

const DeviceLimits& limits_of(Device device, DType compute) {
  static std::map<std::pair<Device, DType>, DeviceLimits> measured;
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  const auto [place, fresh] = measured.try_emplace({device, compute});
  if (!fresh) return place->second;
  DeviceLimits& limits = place->second;
  if (device == Device::cuda) {
    limits = {device_copy(), device_product(compute), made_for(gpu_name(), compute)};
    arena(device).release_unused_segments();
    arena(device).reset_peak();
  } else {
    limits = {host_copy(), compute == DType::f64 ? host_product<double>() : host_product<float>(),
              std::nullopt};
  }
  return limits;
}

}  // namespace farsight
