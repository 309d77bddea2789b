// Pythia (Biderman et al., 2023): the GPT-NeoX transformer with attention and MLP side by side.
//
// A layer (Black et al., 2022, section 2.1), x the residual stream:
//   x += dense(attention(query_key_value(LN1(x)))) + dense_4h_to_h(gelu(dense_h_to_4h(LN2(x))))
// and logits = embed_out * LN(x): the head is a matrix of its own. Rotary positions on the first
// part of every head's dims; biases everywhere but in the head; the exact GELU.
// Names and shapes are those of the Hugging Face checkpoints (gpt_neox.layers.N.attention.dense.weight).
#pragma once

#include <memory>
#include <vector>

#include "core/json.h"
#include "models/parameters.h"
#include "models/probe.h"

namespace farsight {

struct PythiaConfig {
  std::int64_t vocab_size = 50304;
  std::int64_t d_model = 768;
  std::int64_t n_layer = 12;
  std::int64_t n_head = 12;
  std::int64_t d_ff = 3072;
  double rotary_pct = 0.25;  ///< share of a head's dims that turn
  double rotary_base = 10000;
  std::int64_t max_length = 2048;  ///< written to config.json; nothing here depends on it
  double norm_eps = 1e-5;

  std::int64_t head_dim() const { return d_model / n_head; }
  /// Dims that turn: rotary_pct of a head, rounded down, as the Hugging Face class computes it.
  std::int64_t rotary() const;

  /// config.json of the Hugging Face directory: model_type "gpt_neox", hidden_size ...
  Json to_json() const;
  /// The keys of any version of transformers: rotary_pct and rotary_emb_base, or rope_parameters,
  /// which comes first. Throws Error(corrupt) naming the key, also for a variant of GPT-NeoX that is
  /// not Pythia's: attention and MLP one after the other, a tied head, another activation than gelu.
  static PythiaConfig from_json(const Json& json);
  /// Throws Error(data) for sizes that make no model.
  void validate() const;
};

/// What generation carries from token to token: every layer's keys and values.
struct PythiaState {
  std::int64_t length = 0;    ///< tokens seen
  std::vector<Tensor> cache;  ///< of each layer: [B, capacity, 2 d_model], as attention_step has it
};

class Pythia {
 public:
  Pythia(const PythiaConfig& config, Device device, DType compute);
  Pythia(const Pythia&) = delete;
  Pythia& operator=(const Pythia&) = delete;

  const PythiaConfig& config() const { return config_; }
  ParameterStore& parameters() { return *parameters_; }
  Parameter& head() { return embed_out_; }

  /// The last layer's normalised output at the flattened positions `rows`, ready for the head:
  /// [R, d_model]. tokens: [B, T] i32; rows: [R] i32 increasing; position: [B, T] i32 for packed
  /// rows, else null. `state` (when given) is what came before and becomes what comes after; there
  /// is no gradient then, and no packing.
  Tensor features(const Tensor& tokens, const Tensor& rows, const Tensor* position = nullptr,
                  PythiaState* state = nullptr);
  /// Shows `probe` what every layer mixes tokens [B, T] by. Outside the tape.
  void probe(const Tensor& tokens, const Probe& probe);
  /// Before the first token of B sequences.
  PythiaState empty_state(std::int64_t batch) const;

 private:
  struct Norm {
    Parameter weight, bias;
  };
  struct Layer {
    Norm input, post;
    Parameter qkv_weight, qkv_bias, dense_weight, dense_bias;
    Parameter up_weight, up_bias, down_weight, down_bias;
  };
  Norm make_norm() const;
  Layer make_layer() const;
  void visit(const ParameterVisitor& f);
  void make_room(PythiaState& state, std::int64_t tokens) const;
  template <class Shown>
  Tensor run(const Tensor& tokens, const Tensor& rows, const Tensor* position, PythiaState* state,
             const Shown& shown);

  PythiaConfig config_;
  Device device_;
  DType compute_;
  Parameter embed_in_, embed_out_;
  Norm final_norm_;
  std::vector<Layer> layers_;
  std::unique_ptr<ParameterStore> parameters_;
};

}  // namespace farsight
