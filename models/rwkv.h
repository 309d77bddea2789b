// RWKV-4 (Peng et al., 2023), in the two forms that the paper's comparison knows.
//
// Time mixing (Peng et al., section 3.1), x a normalised token and x' the one before it:
//   k = key (mix_k x + (1 - mix_k) x'),  v and r likewise,  y = output( sigmoid(r) wkv(k, v) )
// Channel mixing (the same section):
//   k = key (mix_k x + (1 - mix_k) x'),  r likewise,  y = sigmoid(r) (value max(k, 0)^2)
// A layer adds both to the residual stream s, which stays f32:
//   s += time(LN1(s));  s += channel(LN2(s))
//
//   published  as its authors have it: a LayerNorm behind the embedding, a head of its own. Names are
//              those of the Hugging Face checkpoints (rwkv.blocks.N.attention.key.weight).
//   authors    the code of "Revealing and Mitigating the Local Pattern Shortcuts of Mamba": learned
//              positions, dropout on the embeddings, fc2(gelu(fc1(LN2(s)))) instead of channel mixing,
//              a tied head. Names are those of zoology, which that code is made from
//              (backbone.layers.N.sequence_mixer.key.weight).
// Generation has constant memory; the authors' form ends where its positions do.
#pragma once

#include <memory>
#include <vector>

#include "core/json.h"
#include "models/parameters.h"
#include "models/probe.h"

namespace farsight {

enum class RwkvForm : std::uint8_t { authors, published };

struct RwkvConfig {
  RwkvForm form = RwkvForm::authors;
  std::int64_t vocab_size = 50256;
  std::int64_t d_model = 1024;
  std::int64_t n_layer = 12;
  std::int64_t d_ff = 2048;
  std::int64_t l_max = 1024;   ///< authors: learned positions. published: said, and no limit
  double embed_dropout = 0.1;  ///< authors; the published form drops nothing
  double norm_eps = 1e-5;

  bool published() const { return form == RwkvForm::published; }

  /// config.json: model_type "rwkv" as Hugging Face has it, or "rwkv_mlp", which is nobody else's.
  Json to_json() const;
  /// Throws Error(corrupt) naming the key, also for what this model has no form of: a tied head, or
  /// an attention_hidden_size of its own.
  static RwkvConfig from_json(const Json& json);
  /// Throws Error(data) for sizes that make no model.
  void validate() const;
};

/// What generation carries from token to token.
struct RwkvState {
  struct Layer {
    Tensor time;     ///< [B, d_model]: the token before, as time mixing read it
    Tensor sums;     ///< [B, 3, d_model]: of wkv
    Tensor channel;  ///< [B, d_model]: the token before, as channel mixing read it
  };
  std::int64_t length = 0;  ///< tokens seen
  std::vector<Layer> layers;
};

class Rwkv {
 public:
  Rwkv(const RwkvConfig& config, Device device, DType compute);
  Rwkv(const Rwkv&) = delete;
  Rwkv& operator=(const Rwkv&) = delete;

  const RwkvConfig& config() const { return config_; }
  ParameterStore& parameters() { return *parameters_; }
  Parameter& head() { return config_.published() ? head_ : embeddings_; }

  /// The last layer's normalised output at the flattened positions `rows`, ready for the head:
  /// [R, d_model]. tokens: [B, T] i32; rows: [R] i32 increasing; position: [B, T] i32 for packed
  /// rows, else null. `state` (when given) is what came before and becomes what comes after; there
  /// is no gradient then, and no packing. `pass`: see Model::features.
  /// Throws Error(data) for more tokens than there are learned positions.
  Tensor features(const Tensor& tokens, const Tensor& rows, const Tensor* position = nullptr,
                  RwkvState* state = nullptr, const Tensor* pass = nullptr);
  /// Shows `probe` what every layer mixes tokens [B, T] by. Outside the tape.
  void probe(const Tensor& tokens, const Probe& probe);
  /// Before the first token of B sequences.
  RwkvState empty_state(std::int64_t batch) const;

 private:
  struct WithBias {
    Parameter weight, bias;
  };
  struct TimeMix {
    Parameter decay, first, mix_key, mix_value, mix_receptance;
    Parameter key, value, receptance, output;
  };
  struct ChannelMix {
    Parameter mix_key, mix_receptance, key, receptance, value;
  };
  struct Layer {
    WithBias norm1, norm2;
    TimeMix time;
    ChannelMix channel;  // published
    WithBias fc1, fc2;   // authors
  };
  Layer make_layer(std::int64_t index) const;
  void visit(const ParameterVisitor& f);
  void visit_published(const ParameterVisitor& f);
  void visit_authors(const ParameterVisitor& f);
  Tensor embedded(const Tensor& tokens, const Tensor* position, std::int64_t length,
                  const Tensor* pass) const;
  template <class Look>
  Tensor mix_time(const TimeMix& mixer, const Tensor& x, const Tensor* position,
                  RwkvState::Layer* state, const Look& look) const;
  template <class Shown>
  Tensor run(const Tensor& tokens, const Tensor& rows, const Tensor* position, RwkvState* state,
             const Tensor* pass, const Shown& shown);
  Tensor mix_channels(const ChannelMix& mixer, const Tensor& x, const Tensor* position,
                      RwkvState::Layer* state) const;

  RwkvConfig config_;
  Device device_;
  DType compute_;
  Parameter embeddings_, positions_, head_;
  WithBias pre_norm_, final_norm_;
  std::vector<Layer> layers_;
  std::unique_ptr<ParameterStore> parameters_;
};

}  // namespace farsight
