#include "ops/long_conv.h"

#include <algorithm>
#include <bit>

#include "autograd/tape.h"

namespace farsight {
namespace {

/// Shares of the batch whose sums for dk are kept apart on the GPU: enough blocks of 16 channels, one
/// or (short ones) two a multiprocessor, to go round three times.
std::int64_t shares_for(std::int64_t B, std::int64_t T, std::int64_t D) {
  constexpr std::int64_t kMultiprocessors = 132, kBlockChannels = 16, kLong = 512;
  const std::int64_t blocks = 3 * kMultiprocessors * (T > kLong ? 1 : 2);
  const std::int64_t columns = std::max<std::int64_t>((D + kBlockChannels - 1) / kBlockChannels, 1);
  return std::clamp<std::int64_t>(blocks / columns, 1, std::max<std::int64_t>(B, 1));
}

/// Room for the transforms of as many channels at a time as 128 MiB hold; nothing where the GPU does
/// without.
Tensor room_for_transforms(LongConvArgs& a, Device device) {
  const bool matrix = a.type == DType::bf16 && a.T <= kLongConvMatrixSteps;
  if (device != Device::cuda || matrix || a.T < kLongConvFourierSteps) return {};
  constexpr std::int64_t kFloats = 32 << 20, kAtLeast = 8;
  a.fourier_n = static_cast<std::int64_t>(
      std::bit_ceil(static_cast<std::uint64_t>(a.T + std::min(a.K, a.T) - 1)));
  const std::int64_t floats = a.fourier_n + 6 * (a.fourier_n / 2 + 1);
  a.fourier_columns = std::clamp(kFloats / floats, std::min(kAtLeast, a.D), a.D);
  Tensor room =
      Tensor::empty({floats, a.fourier_columns}, DType::f32, device, "long_conv.transforms");
  a.fourier = room.ptr();
  return room;
}

LongConvArgs args_of(const char* name, const Tensor& v, const Tensor& pre, const Tensor& post,
                     const Tensor& k, const Tensor& bias) {
  check(v.shape().n == 3, "{}: v must be [B, T, D], got {}", name, v.shape());
  const std::int64_t D = v.dim(2);
  for (const Tensor* gate : {&pre, &post}) {
    check(gate->shape() == v.shape() && gate->dtype() == v.dtype(),
          "{}: pre and post must be {} {} as v is, got {} {}", name, name_of(v.dtype()), v.shape(),
          name_of(gate->dtype()), gate->shape());
  }
  const DType wide = accumulator_of(v.dtype());
  check(k.shape().n == 2 && k.dim(0) >= 1 && k.dim(1) == D && k.dtype() == wide && k.dense(),
        "{}: k must be dense [K, D={}] {}, got {} {}", name, D, name_of(wide), k.shape(),
        name_of(k.dtype()));
  check(bias.shape() == Shape{D} && bias.dtype() == wide, "{}: bias must be [D={}] {}, got {} {}",
        name, D, name_of(wide), bias.shape(), name_of(bias.dtype()));
  return {.v = v.ptr(),
          .pre = pre.ptr(),
          .post = post.ptr(),
          .k = k.ptr(),
          .bias = bias.ptr(),
          .B = v.dim(0),
          .T = v.dim(1),
          .D = D,
          .K = k.dim(0),
          .v_stride = v.row_stride(),
          .pre_stride = pre.row_stride(),
          .post_stride = post.row_stride(),
          .type = v.dtype()};
}

}  // namespace

Tensor long_conv(const Tensor& v, const Tensor& pre, const Tensor& post, const Tensor& k,
                 const Tensor& bias) {
  LongConvArgs a = args_of("long_conv", v, pre, post, k, bias);
  const Device device = v.device();
  Tensor y = Tensor::empty(v.shape(), v.dtype(), device, "long_conv.y");
  Tensor m;
  if (recording({&v, &pre, &post, &k, &bias})) {
    m = Tensor::empty(v.shape(), v.dtype(), device, "long_conv.m");
  }
  a.y = y.ptr();
  a.m = m.ptr();
  const Tensor forward_room = room_for_transforms(a, device);
  FARSIGHT_LAUNCH(long_conv_forward, device, a);
  record("long_conv", {&y}, {&v, &pre, &post, &k, &bias},
         [=, v_slot = Slot(v), pre_slot = Slot(pre), post_slot = Slot(post), k_slot = Slot(k),
          bias_slot = Slot(bias)](std::span<const Tensor> dy) {
           LongConvArgs g = a;
           g.v = v.ptr();  // the captures keep these bytes alive
           g.pre = pre.ptr();
           g.post = post.ptr();
           g.k = k.ptr();
           g.bias = bias.ptr();
           g.m = m.ptr();
           g.dy = dy[0].ptr();
           g.dy_stride = dy[0].row_stride();
           const Sink dv = v_slot.sink(), dpre = pre_slot.sink(), dpost = post_slot.sink();
           const Sink dk = k_slot.parameter_sink(), dbias = bias_slot.parameter_sink();
           const auto stride = [](const Sink& sink) { return sink ? sink.out.row_stride() : 0; };
           g.dv = dv.ptr();
           g.dv_add = dv.add;
           g.dv_stride = stride(dv);
           g.dpre = dpre.ptr();
           g.dpre_add = dpre.add;
           g.dpre_stride = stride(dpre);
           g.dpost = dpost.ptr();
           g.dpost_add = dpost.add;
           g.dpost_stride = stride(dpost);
           g.dk = dk.ptr();
           g.dk_add = dk.add;
           g.dbias = dbias.ptr();
           g.dbias_add = dbias.add;
           Tensor partial, room;
           if (device == Device::cuda) {
             room = room_for_transforms(g, device);
             g.shares = room ? 1 : shares_for(g.B, g.T, g.D);
             partial = Tensor::empty({g.shares, std::min(g.K, g.T), g.D}, DType::f32, device,
                                     "long_conv.partial");
             g.partial = partial.ptr();
           }
           FARSIGHT_LAUNCH(long_conv_backward, device, g);
         });
  return y;
}

Tensor long_conv_step(const Tensor& v, const Tensor& pre, const Tensor& post, const Tensor& k,
                      const Tensor& bias, const Tensor& cache, std::int64_t length) {
  LongConvArgs a = args_of("long_conv_step", v, pre, post, k, bias);
  check(cache.shape().n == 3 && cache.dim(0) == a.B && cache.dim(2) == a.D && cache.dense() &&
            cache.dtype() == v.dtype(),
        "long_conv_step: cache must be dense [B={}, C, D={}] {}, got {} {}", a.B, a.D,
        name_of(v.dtype()), cache.shape(), name_of(cache.dtype()));
  check(length >= 0 && length + a.T <= cache.dim(1),
        "long_conv_step: {} tokens after {} do not fit a cache of {}", a.T, length, cache.dim(1));
  const Tensor y = Tensor::empty(v.shape(), v.dtype(), v.device(), "long_conv.y");
  a.y = y.ptr();
  a.cache = cache.ptr();
  a.first = length;
  a.capacity = cache.dim(1);
  FARSIGHT_LAUNCH(long_conv_step, v.device(), a);
  return y;
}

}  // namespace farsight
