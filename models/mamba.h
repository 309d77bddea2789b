// Mamba (Gu and Dao, 2023) with, optionally, the global selection gate of "Revealing and Mitigating
// the Local Pattern Shortcuts of Mamba" (You et al., 2024, equations 7 and 8).
//
// A layer (Gu and Dao, section 3.4), r the residual stream:
//   [x_in; z] = in_proj(RMSNorm(r))
//   u = silu(conv1d(x_in))                       depthwise, causal, 4 taps
//   [dt; B; C] = x_proj(u)
//   delta = softplus(dt_proj(dt) * s + bias)     s = silu(long convolution of x_in); plain Mamba: 1,
//                                                other gates: models/mamba_gates.h
//   r += out_proj( scan(u, delta, A, B, C, D) * silu(z) )
// and logits = embedding * RMSNorm(r): the head is tied.
// Names and shapes are those of the Hugging Face checkpoints (backbone.layers.N.mixer.in_proj.weight).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/json.h"
#include "models/mamba_gates.h"
#include "models/parameters.h"
#include "models/probe.h"

namespace farsight {

struct MambaConfig {
  std::int64_t vocab_size = 50280;
  std::int64_t d_model = 768;
  std::int64_t n_layer = 24;
  std::int64_t d_state = 16;
  std::int64_t d_conv = 4;
  std::int64_t expand = 2;
  std::int64_t dt_rank = 48;
  double norm_eps = 1e-5;
  GateKind gate = GateKind::longconv;
  std::int64_t gate_kernel = 0;  ///< taps of the gate; 0: plain Mamba, unless the gate has none
  std::vector<std::int64_t> gate_layers{};  ///< which layers have it, from 0; empty: all
  Init init = Init::standard;

  std::int64_t d_inner() const { return expand * d_model; }
  bool has_gate() const { return gate_kernel > 0 || !has_taps(gate); }
  bool has_gate(std::int64_t layer) const;
  GateSizes gate_sizes() const;

  /// config.json of the Hugging Face directory: model_type "mamba", hidden_size, state_size ...;
  /// gate, gate_kernel and gate_layers are ours.
  Json to_json() const;
  /// Throws Error(corrupt) naming the key; keys that do not concern the shapes are ignored.
  static MambaConfig from_json(const Json& json);
  /// Throws Error(data) for sizes that make no model.
  void validate() const;
};

/// What a layer carries from token to token.
struct MambaLayerState {
  Tensor conv;   ///< [B, d_conv - 1, d_inner]: the last inputs of the short convolution
  Tensor state;  ///< [B, d_inner, d_state] f32 (f64)
  GateState gate;
};
using MambaState = std::vector<MambaLayerState>;

class Mamba {
 public:
  Mamba(const MambaConfig& config, Device device, DType compute);
  Mamba(const Mamba&) = delete;
  Mamba& operator=(const Mamba&) = delete;

  const MambaConfig& config() const { return config_; }
  ParameterStore& parameters() { return *parameters_; }
  Parameter& head() { return embeddings_; }

  /// The last layer's normalised output at the flattened positions `rows`, ready for the head:
  /// [R, d_model]. tokens: [B, T] i32; rows: [R] i32 increasing; position: [B, T] i32 for packed
  /// rows, else null. `state` (when given) is read as what came before and becomes what comes
  /// after, so a sequence may be fed in pieces, one token at a time at the least. `pass`: of
  /// training, for the dropout of some gates.
  Tensor features(const Tensor& tokens, const Tensor& rows, const Tensor* position = nullptr,
                  MambaState* state = nullptr, const Tensor* pass = nullptr);
  /// Shows `probe` what every layer mixes tokens [B, T] by. Outside the tape.
  void probe(const Tensor& tokens, const Probe& probe);
  /// All zeros: before the first token of B sequences.
  MambaState empty_state(std::int64_t batch) const;

 private:
  struct Layer {
    Parameter norm, in_proj, conv_weight, conv_bias, x_proj, dt_proj, dt_bias, A_log, D, out_proj;
    std::optional<MambaGate> gate;
  };
  Layer make_layer(std::int64_t index) const;
  void visit(const ParameterVisitor& f);
  template <class Look>
  Tensor mix(Layer& layer, const Tensor& x, MambaLayerState* state, const GatePlace& place,
             const Look& look) const;
  template <class Shown>
  Tensor run(const Tensor& tokens, const Tensor& rows, const Tensor* position, MambaState* state,
             const Tensor* pass, const Shown& shown);

  MambaConfig config_;
  Device device_;
  DType compute_;
  Parameter embeddings_, final_norm_;
  std::vector<Layer> layers_;
  std::unique_ptr<ParameterStore> parameters_;
};

}  // namespace farsight
