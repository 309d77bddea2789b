// The module of a Mamba layer that sees further than the short convolution: global selection
// (equations 7 and 8 of "Revealing and Mitigating the Local Pattern Shortcuts of Mamba"), and what
// else the authors' code has (ZetangForward/Global_Mamba, models/custom_mamba_v3_fast_dev.py and
// models/modules/). x_in is the first half of in_proj's output, u the short convolution's output,
// q = dt_proj(dt), and
//   s = silu(convolution of x_in with gate_kernel taps)
//
//   longconv        q <- q s                                             the paper's global selection
//   additive        u <- u + s
//   concat          u <- fc2(relu(fc1([u; s])))                          2 I -> I / 4 -> I
//   dtlinear        q <- q + fc2(dropout(fc1(s), 0.1))                   I -> dt_rank -> I
//   attn            q <- q silu(norm(dropout(dense(attention(x_in)), 0.1) + x_in))
//   flashlongconv   q <- q silu(flash(x_in))
//   shortlongconv   u <- flash(u)
//
// q changes before dt's bias is added; a changed u is what x_proj and the scan read. Attention is
// causal, of one head as wide as I, with rotary positions on all neighbouring pairs of dims; dropout
// stands where BERT has it behind the projection, while the authors' models/modules/attention.py
// has it on the weights. And
//   flash(x) = a sigmoid(b),  [a; b] = output(dropout(gelu(convolution of x by k' + D x), 0.2))
// where k' is the kernel with weights below 0.003 squashed to 0 and the dropout's mask is the same at
// every time (Fu et al., 2023).
#pragma once

#include "core/tensor.h"
#include "models/gate_kind.h"
#include "models/parameters.h"

namespace farsight {

/// Uniform with the fan-in rule of PyTorch's Linear and Conv1d: limit 1 / sqrt(fan_in).
Distribution by_fan_in(std::int64_t fan_in);

struct GateSizes {
  GateKind kind = GateKind::longconv;
  std::int64_t inner = 0, dt_rank = 0, taps = 0;
  Init init = Init::standard;
};

/// Multiply-adds counted twice, of one token.
struct GateFlops {
  double body = 0;
  double context = 0;  ///< for every token that it looks back at
};
GateFlops gate_flops(const GateSizes& sizes);

/// What the module carries from token to token.
struct GateState {
  Tensor window{};          ///< [B, taps - 1, I]: the last inputs of its convolution
  Tensor keys{}, values{};  ///< attn: [B, S, I] of all tokens so far
};

/// Where in a sequence, in a run and in the model it is applied.
struct GatePlace {
  const Tensor* position = nullptr;  ///< of packed rows
  const Tensor* pass = nullptr;      ///< of training, for dropout
  std::uint64_t stream = 0;          ///< the layer's own, for dropout
  GateState* state = nullptr;        ///< read, then made that after x
};

class MambaGate {
 public:
  explicit MambaGate(const GateSizes& sizes);

  /// Under the names of the authors' code where they are known: PREFIX is
  /// "backbone.layers.3.mixer.module.", the long convolution PREFIX + "module.weight".
  void visit(const std::string& prefix, const ParameterVisitor& f);
  GateState empty_state(std::int64_t batch, DType compute, Device device) const;

  /// What x_proj and the scan read as u.
  Tensor input(const Tensor& x_in, const Tensor& u, const GatePlace& place) const;
  /// q as the scan reads it; *gate becomes its factor where there is one.
  Tensor step(const Tensor& x_in, const Tensor& q, const GatePlace& place, Tensor* gate) const;

 private:
  struct Linear {
    Parameter weight, bias;
  };
  Linear make_linear(std::int64_t in, std::int64_t out) const;
  Tensor convolution(const Tensor& x, const GatePlace& place) const;
  Tensor flash(const Tensor& x, const GatePlace& place) const;
  Tensor attended(const Tensor& x_in, const GatePlace& place) const;

  GateSizes sizes_;
  // Each kind has some of these; the others have no shape.
  Parameter conv_weight_, conv_bias_;
  Linear fc1_, fc2_;
  Linear query_, key_, value_, dense_;
  Parameter norm_weight_, norm_bias_;
  Parameter kernel_, skip_;
  Linear output_;
};

}  // namespace farsight
