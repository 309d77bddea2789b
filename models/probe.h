// A look at what the layers of a model mix tokens by, for those who study it (eval/probes/).
//
// A model shows every layer's operation to a probe just before it runs, as the operation itself reads
// its arguments: nothing of the forward is written twice, and what is shown is what is computed. The
// passes of training and evaluation have NoProbe, which the compiler removes.
#pragma once

#include <cstdint>
#include <functional>
#include <variant>

#include "core/tensor.h"
#include "ops/attention.h"
#include "ops/long_conv.h"
#include "ops/selective_scan.h"
#include "ops/wkv.h"

namespace farsight {

/// The arguments of long_conv.
struct LongConvInputs {
  const Tensor &v, &pre, &post, &k, &bias;
};
/// The arguments of attention.
struct AttentionInputs {
  const Tensor& qkv;
  AttentionOptions options;
};

/// What a layer mixes tokens by: Mamba, RWKV, Hyena, Pythia. It names tensors that live during the
/// call; who wants to keep one copies its Tensor.
using Mixing = std::variant<ScanInputs, WkvInputs, LongConvInputs, AttentionInputs>;

using Probe = std::function<void(std::int64_t layer, const Mixing& mixing)>;

/// Nobody looks.
struct NoProbe {
  template <class Inputs>
  void operator()(std::int64_t, const Inputs&) const {}
};

/// `rows` for a pass whose features nobody wants: the first.
inline Tensor some_row(Device device) {
  return Tensor::zeros({1}, DType::i32, device, "probe.rows");
}

}  // namespace farsight
