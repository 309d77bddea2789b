// Arguments of the four operations that mix tokens, drawn at random, with the tensors that they name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "autograd/gradcheck.h"
#include "models/probe.h"

namespace farsight {

/// One sequence of T tokens, `channels` channels; `states` of the scan, dims of an attention head.
struct MixingSizes {
  std::int64_t T = 0, channels = 0, states = 0;
};

class RandomMixing {
 public:
  RandomMixing(const MixingSizes& sizes, DType dtype, Device device = Device::cpu)
      : s_(sizes), dtype_(dtype), device_(device) {}

  /// `gate`: with global selection, as a factor of dt.
  Mixing scan(bool gate) {
    const Tensor &u = activation(s_.channels), &delta = activation(s_.channels, -1);
    const Tensor& A_log = parameter({s_.channels, s_.states}, 0.3, 0.5);
    const Tensor &B = activation(s_.states), &C = activation(s_.states);
    const Tensor &D = parameter({s_.channels}), &bias = parameter({s_.channels}, 0, 0.5);
    const Tensor& s = activation(s_.channels);
    return ScanInputs{.u = u,
                      .delta = delta,
                      .A_log = A_log,
                      .B = B,
                      .C = C,
                      .D = D,
                      .bias = bias,
                      .gate = gate ? &s : nullptr};
  }
  Mixing wkv() {
    const Tensor &k = activation(s_.channels), &v = activation(s_.channels);
    const Tensor &decay = parameter({s_.channels}, -2, 2), &first = parameter({s_.channels});
    return WkvInputs{.k = k, .v = v, .decay = decay, .first = first};
  }
  /// A kernel shorter than the sequence, where it has three tokens or more.
  Mixing long_conv() {
    const Tensor &v = activation(s_.channels), &pre = activation(s_.channels);
    const Tensor& post = activation(s_.channels);
    const std::int64_t K = s_.T < 3 ? s_.T + 2 : s_.T - 2;
    const Tensor &k = parameter({K, s_.channels}), &bias = parameter({s_.channels});
    return LongConvInputs{v, pre, post, k, bias};
  }
  /// Heads of 2 states dims, as many of which turn as `states` allows.
  Mixing attention() {
    const Tensor& qkv = activation(s_.channels * 3 * 2 * s_.states);
    return AttentionInputs{qkv, {.heads = s_.channels, .rotary = s_.states / 2 * 2}};
  }

  struct Named {
    std::string name;
    Mixing mixing;
  };
  std::vector<Named> all() {
    return {{"scan", scan(false)},
            {"scan with gate", scan(true)},
            {"wkv", wkv()},
            {"long_conv", long_conv()},
            {"attention", attention()}};
  }

 private:
  const Tensor& keep(const Tensor& x) {
    kept_.push_back(std::make_unique<Tensor>(x.to(device_)));
    return *kept_.back();
  }
  const Tensor& random(const Shape& shape, DType dtype, double mean, double spread) {
    const Tensor x = random_normal(shape, DType::f64, 41, kept_.size());
    for (double& value : x.span<double>()) {
      value = mean + spread * value;
    }
    return keep(x.to(DType::f32).to(dtype));
  }
  const Tensor& activation(std::int64_t columns, double mean = 0) {
    return random({1, s_.T, columns}, dtype_, mean, 1);
  }
  const Tensor& parameter(const Shape& shape, double mean = 0, double spread = 1) {
    return random(shape, accumulator_of(dtype_), mean, spread);
  }

  MixingSizes s_;
  DType dtype_;
  Device device_;
  std::vector<std::unique_ptr<Tensor>> kept_;
};

}  // namespace farsight
