// Hyena (Poli et al., 2023), in the two forms that the paper's comparison knows.
//
// A layer (Poli et al., section 3), r the residual stream, always f32, which LayerNorms read:
//   [chunks] = conv1d(in_proj(LN1(r)))          depthwise, causal, 3 taps, over 3 d_model channels
//   r += out_proj( post * (k (*) (v pre) + bias (v pre)) )       k: as long as the sequence
//   r += fc2(gelu(fc1(LN2(r))))
// and logits = embedding * LN(r): the head is tied. Dropout on the embeddings alone.
//
// k is implicit: what a network makes of the position features z (Sitzmann et al., 2020), in f32:
//   k[t] = W4 sin(f (W3' sin(f (W2' sin(f (W1 z[t] + b1)) + b2)) + b3)) * exp(-rate t / (l_max - 1))
// with one trainable frequency f for its three sines. z [l_max, filter_features] is a parameter too;
// it begins as t / (l_max - 1) and cosines and sines. A sequence is at most l_max tokens long.
//
//   authors  the code of "Revealing and Mitigating the Local Pattern Shortcuts of Mamba": learned
//            positions, chunks (pre, post, v), the exact GELU
//   safari   as published by the authors of Hyena: no positions, chunks (post, pre, v), the tanh GELU
// Names are safari's (backbone.layers.N.mixer.filter_fn.bias), also in the authors' form.
#pragma once

#include <memory>
#include <vector>

#include "core/json.h"
#include "models/parameters.h"
#include "models/probe.h"
#include "ops/decay.h"

namespace farsight {

enum class HyenaForm : std::uint8_t { authors, safari };

struct HyenaConfig {
  HyenaForm form = HyenaForm::authors;
  std::int64_t vocab_size = 50256;
  std::int64_t d_model = 864;
  std::int64_t n_layer = 18;
  std::int64_t d_ff = 1728;
  std::int64_t d_conv = 3;
  std::int64_t l_max = 1024;  ///< longest sequence: rows of z and of the learned positions
  std::int64_t filter_width = 64;
  std::int64_t filter_features = 33;  ///< columns of z: time, and as many cosines as sines
  double filter_frequency = 14;       ///< of the sines when training begins
  double embed_dropout = 0.1;
  double norm_eps = 1e-5;

  bool has_positions() const { return form == HyenaForm::authors; }

  /// config.json, model_type "hyena"; the keys are Hugging Face's where it has such a size.
  Json to_json() const;
  /// Throws Error(corrupt) naming the key.
  static HyenaConfig from_json(const Json& json);
  /// Throws Error(data) for sizes that make no model.
  void validate() const;
};

/// The window of its filters: a channel's falls to 1 % within 1.5 to 0.3 of l_max.
DecayRates hyena_decay(const HyenaConfig& config);

/// What generation carries from token to token.
struct HyenaState {
  struct Layer {
    Tensor conv;   ///< [B, d_conv - 1, 3 d_model]: the last inputs of the short convolution
    Tensor cache;  ///< [B, capacity, d_model]: v pre of all tokens, as long_conv_step has it
    Tensor k;      ///< [l_max, d_model]: the filter, made once
  };
  std::int64_t length = 0;  ///< tokens seen
  std::vector<Layer> layers;
};

class Hyena {
 public:
  Hyena(const HyenaConfig& config, Device device, DType compute);
  Hyena(const Hyena&) = delete;
  Hyena& operator=(const Hyena&) = delete;

  const HyenaConfig& config() const { return config_; }
  ParameterStore& parameters() { return *parameters_; }
  Parameter& head() { return embeddings_; }

  /// The last layer's normalised output at the flattened positions `rows`, ready for the head:
  /// [R, d_model]. tokens: [B, T] i32; rows: [R] i32 increasing. position must be null: the filter
  /// runs through whole rows, which so hold one sequence each. `state` (when given) is what came
  /// before and becomes what comes after; there is no gradient then. `pass`: see Model::features.
  /// Throws Error(data) for more than l_max tokens.
  Tensor features(const Tensor& tokens, const Tensor& rows, const Tensor* position = nullptr,
                  HyenaState* state = nullptr, const Tensor* pass = nullptr);
  /// Shows `probe` what every layer mixes tokens [B, T] by. Outside the tape.
  void probe(const Tensor& tokens, const Probe& probe);
  /// Before the first token of B sequences.
  HyenaState empty_state(std::int64_t batch) const;

 private:
  struct WithBias {
    Parameter weight, bias;
  };
  struct Layer {
    WithBias norm1, norm2, in_proj, out_proj, short_filter, fc1, fc2;
    Parameter filter_bias, z, frequency, filter_out;
    std::vector<WithBias> filter_hidden;  ///< three: from z, and two more
  };
  Layer make_layer() const;
  void visit(const ParameterVisitor& f);
  Tensor filter(const Layer& layer) const;
  template <class Look>
  Tensor mix(const Layer& layer, const Tensor& x, std::int64_t length, HyenaState::Layer* state,
             const Look& look) const;
  template <class Shown>
  Tensor run(const Tensor& tokens, const Tensor& rows, const Tensor* position, HyenaState* state,
             const Tensor* pass, const Shown& shown);
  void make_room(HyenaState& state, std::int64_t tokens) const;

  HyenaConfig config_;
  Device device_;
  DType compute_;
  Parameter embeddings_, positions_;
  WithBias final_norm_;
  std::vector<Layer> layers_;
  std::unique_ptr<ParameterStore> parameters_;
};

}  // namespace farsight
