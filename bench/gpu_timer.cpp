#include "bench/gpu_timer.h"

#include <algorithm>

#include "autograd/gradcheck.h"
#include "bench/measurement.h"
#include "core/device_calls.h"
#include "ops/linear.h"

namespace farsight::bench {
namespace {

constexpr std::int64_t kFlushBytes = std::int64_t{512} << 20;  // ten second-level caches
constexpr std::int64_t kCopyBytes = std::int64_t{2} << 30;
constexpr std::int64_t kGemmSize = 8192;
constexpr int kWarmUps = 3;
constexpr std::int64_t kPool = std::int64_t{1} << 22;  // elements
constexpr std::int64_t kPoolStep = 1'234'567;
constexpr std::uint64_t kSeed = 20241015;

double median_ms(const GpuTimer& timer, int runs, const std::function<void()>& work) {
  for (int i = 0; i < kWarmUps; i++) {
    timer.ms_of(work);
  }
  std::vector<double> ms;
  for (int i = 0; i < runs; i++) {
    ms.push_back(timer.ms_of(work));
  }
  return median(ms);
}

}  // namespace

GpuTimer::GpuTimer()
    : flushed_(Tensor::empty({kFlushBytes / 4}, DType::f32, Device::cuda, "bench.flush")) {}

double GpuTimer::ms_of(const std::function<void()>& work) const {
  const DeviceCalls& gpu = device_calls();
  gpu.fill({.address = flushed_.ptr(), .stride = kFlushBytes}, 0, kFlushBytes, 1);
  gpu.mark(0);
  work();
  gpu.mark(1);
  return gpu.elapsed_ms(0, 1);
}

const RandomTensors::Pool& RandomTensors::pool_of(double mean, double spread) {
  for (const Pool& pool : pools_) {
    if (pool.mean == mean && pool.spread == spread) return pool;
  }
  if (!source_) source_ = random_normal({kPool}, DType::f32, kSeed);
  const Tensor scaled = Tensor::empty({kPool}, DType::f32);
  std::ranges::transform(source_.span<float>(), scaled.data<float>(), [&](float x) {
    return static_cast<float>(mean + spread * static_cast<double>(x));
  });
  const Tensor f32 = scaled.to(Device::cuda);
  pools_.push_back({.mean = mean, .spread = spread, .f32 = f32, .bf16 = f32.to(DType::bf16)});
  return pools_.back();
}

Tensor RandomTensors::normal(const Shape& shape, DType dtype, double mean, double spread) {
  const Pool& pool = pool_of(mean, spread);
  const Tensor& from = dtype == DType::bf16 ? pool.bf16 : pool.f32;
  const Tensor made = Tensor::empty(shape, dtype, Device::cuda, "bench.input");
  const std::int64_t count = made.elements();
  const Tensor to = made.reshape({count});
  next_ = (next_ + kPoolStep) % kPool;
  std::int64_t begin = next_;
  for (std::int64_t done = 0; done < count;) {
    const std::int64_t part = std::min(count - done, kPool - begin);
    to.slice_flat(done, {part}).copy_from(from.slice_flat(begin, {part}));
    done += part;
    begin = 0;
  }
  return made;
}

Tensor RandomTensors::make(const OpInput& input, DType dtype) {
  if (input.kind == OpInput::Kind::integer) {
    return make_inputs({input}, dtype, kSeed).front().to(Device::cuda);
  }
  const bool parameter = input.kind == OpInput::Kind::parameter;
  return normal(input.shape, parameter ? accumulator_of(dtype) : dtype, input.mean, input.spread);
}

GpuCeilings measure_gpu_ceilings(const GpuTimer& timer, RandomTensors& random, int runs) {
  GpuCeilings ceilings;
  const Shape square{kGemmSize, kGemmSize};
  const Tensor a = random.normal(square, DType::bf16), b = random.normal(square, DType::bf16);
  const double gemm_ms = median_ms(timer, runs, [&] { linear(a, b); });
  const double size = static_cast<double>(kGemmSize);
  ceilings.gemm_tflop_per_s = 2 * size * size * size / gemm_ms / 1e9;
  const Tensor from = random.normal({kCopyBytes / 4}, DType::f32);
  const Tensor to = Tensor::empty(from.shape(), DType::f32, Device::cuda, "bench.copy");
  const double copy_ms = median_ms(timer, runs, [&] { to.copy_from(from); });
  ceilings.copy_gb_per_s = 2 * static_cast<double>(kCopyBytes) / copy_ms / 1e6;
  return ceilings;
}

}  // namespace farsight::bench
