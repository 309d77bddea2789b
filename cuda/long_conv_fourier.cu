// Long sequences: the correlations of long_conv.h as products of Fourier transforms. A group of channels
// and a row of the batch at a time, so that the transforms of a very long row fit where they are kept:
// [n, C] real, time along rows, n >= T + K - 1 so that nothing wraps around.
//
//   m = F^-1( F(k) F(w) )    dw = F^-1( conj F(k) F(dm) )    dk = F^-1( sum over rows conj F(w) F(dm) )
//
// The element by element products read and write 8 (n + 2) C bytes a row and spectrum; the transforms,
// cuFFT's, are what takes the time.
#include "cuda/fourier.cuh"
#include "cuda/long_conv.cuh"
#include "cuda/long_conv_elements.cuh"

namespace farsight::cuda {
namespace {

constexpr int kThreads = 256;

/// One group's place in the workspace of LongConvArgs.
struct Group {
  int n = 0, columns = 0;
  std::int64_t first = 0;  // channel
  float* real = nullptr;
  float2 *signal = nullptr, *taps = nullptr, *sum = nullptr;
  std::int64_t reals() const { return std::int64_t(n) * columns; }
  std::int64_t spectrum() const { return std::int64_t(n / 2 + 1) * columns; }
};

Group group_at(const LongConvArgs& a, std::int64_t first) {
  Group g{.n = int(a.fourier_n), .columns = int(a.fourier_columns), .first = first};
  g.real = static_cast<float*>(a.fourier);
  g.signal = reinterpret_cast<float2*>(g.real + g.reals());
  g.taps = g.signal + g.spectrum();
  g.sum = g.taps + g.spectrum();
  return g;
}

enum class Signal { taps, w, dm };

/// A thread an element of real: the signal, then zeros.
template <class T, Signal kSignal>
__global__ void __launch_bounds__(kThreads)
    fill(const __grid_constant__ LongConvArgs a, const __grid_constant__ Group g, std::int64_t b) {
  const std::int64_t element = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (element >= std::int64_t(g.n) * g.columns) return;
  const std::int64_t i = element / g.columns, d = g.first + element % g.columns;
  const std::int64_t filled = kSignal == Signal::taps ? reached_taps(a) : a.T;
  float value = 0;
  if (i < filled && d < a.D) {
    if (kSignal == Signal::taps) value = static_cast<const float*>(a.k)[i * a.D + d];
    if (kSignal == Signal::w) value = w_at<T>(a, b, i, d);
    if (kSignal == Signal::dm) value = dm_at<T>(a, b, i, d);
  }
  g.real[element] = value;
}

/// to = to * from, or to * conj from; a thread an element.
__global__ void __launch_bounds__(kThreads)
    multiply(float2* to, const float2* from, std::int64_t count, bool conjugate) {
  const std::int64_t i = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  const float2 x = to[i], y = from[i];
  const float im = conjugate ? -y.y : y.y;
  to[i] = {x.x * y.x - x.y * im, x.x * im + x.y * y.x};
}

/// sum (+)= conj w dm.
__global__ void __launch_bounds__(kThreads)
    add_product(float2* sum, const float2* w, const float2* dm, std::int64_t count, bool first) {
  const std::int64_t i = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  const float2 x = w[i], y = dm[i];
  float2 total = first ? float2{0, 0} : sum[i];
  total.x += x.x * y.x + x.y * y.y;
  total.y += x.x * y.y - x.y * y.x;
  sum[i] = total;
}

/// A thread a time step and channel of the group: what the sum in real is for.
template <class T, Sum kSum>
__global__ void __launch_bounds__(kThreads)
    take(const __grid_constant__ LongConvArgs a, const __grid_constant__ Group g, std::int64_t b) {
  const std::int64_t element = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t i = element / g.columns, d = g.first + element % g.columns;
  if (i >= (kSum == Sum::taps ? reached_taps(a) : a.T) || d >= a.D) return;
  const float sum = g.real[element] / float(g.n);
  finish<T, kSum>(a, b, kSum == Sum::forward ? a.T - 1 - i : i, d, sum);
}

template <class F>
void for_each_group(const LongConvArgs& a, const F& body) {
  for (std::int64_t first = 0; first < a.D; first += a.fourier_columns) {
    body(group_at(a, first));
  }
}

template <class T, Signal kSignal>
void transform(const LongConvArgs& a, const Group& g, std::int64_t b, float2* spectrum) {
  fill<T, kSignal><<<blocks_for(g.reals(), kThreads), kThreads, 0, stream()>>>(a, g, b);
  launched("long_conv, signal");
  fourier_forward(g.n, g.columns, g.real, spectrum);
}

/// The product with the taps back to time, and its use.
template <class T, Sum kSum>
void apply_taps(const LongConvArgs& a, const Group& g, std::int64_t b) {
  multiply<<<blocks_for(g.spectrum(), kThreads), kThreads, 0, stream()>>>(
      g.signal, g.taps, g.spectrum(), kSum == Sum::inputs);
  launched("long_conv, product");
  fourier_inverse(g.n, g.columns, g.signal, g.real);
  take<T, kSum><<<blocks_for(a.T * g.columns, kThreads), kThreads, 0, stream()>>>(a, g, b);
  launched("long_conv, outputs");
}

}  // namespace

void fourier_long_conv_forward(const LongConvArgs& a) {
  with_device_type(a.type, "long_conv_forward", [&]<class T>() {
    for_each_group(a, [&](const Group& g) {
      transform<T, Signal::taps>(a, g, 0, g.taps);
      for (std::int64_t b = 0; b < a.B; b++) {
        transform<T, Signal::w>(a, g, b, g.signal);
        apply_taps<T, Sum::forward>(a, g, b);
      }
    });
  });
}

void fourier_long_conv_inputs(const LongConvArgs& a) {
  with_device_type(a.type, "long_conv_backward, inputs", [&]<class T>() {
    for_each_group(a, [&](const Group& g) {
      transform<T, Signal::taps>(a, g, 0, g.taps);
      for (std::int64_t b = 0; b < a.B; b++) {
        transform<T, Signal::dm>(a, g, b, g.signal);
        apply_taps<T, Sum::inputs>(a, g, b);
      }
    });
  });
}

void fourier_long_conv_taps(const LongConvArgs& a) {
  with_device_type(a.type, "long_conv_backward, taps", [&]<class T>() {
    for_each_group(a, [&](const Group& g) {
      for (std::int64_t b = 0; b < a.B; b++) {  // in order: the same bits every time
        transform<T, Signal::w>(a, g, b, g.signal);
        transform<T, Signal::dm>(a, g, b, g.taps);
        add_product<<<blocks_for(g.spectrum(), kThreads), kThreads, 0, stream()>>>(
            g.sum, g.signal, g.taps, g.spectrum(), b == 0);
        launched("long_conv, product");
      }
      fourier_inverse(g.n, g.columns, g.sum, g.real);
      take<T, Sum::taps>
          <<<blocks_for(reached_taps(a) * g.columns, kThreads), kThreads, 0, stream()>>>(a, g, 0);
      launched("long_conv, taps");
    });
  });
}

}  // namespace farsight::cuda
