// What training, evaluation and generation need of a model, whatever its family: a struct of
// functions, made once by the registry. Nothing virtual, nothing inherited.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/json.h"
#include "core/tensor.h"
#include "models/parameters.h"
#include "models/probe.h"

namespace farsight {

/// Feeds tokens [B, T] to B sequences that remember what they saw; gives the logits [B, V] after the
/// last of them.
using Decoder = std::function<Tensor(const Tensor& tokens)>;

/// Feeds the next tokens [B, T] to B sequences that remember what they saw; gives what
/// Model::features gives at the flattened positions `rows` of these tokens.
using Stream = std::function<Tensor(const Tensor& tokens, const Tensor& rows)>;

/// Multiply-adds count two: of one token, forward.
struct ForwardFlops {
  double body = 0;     ///< whatever stands before the token; without the head
  double context = 0;  ///< for every token that it looks back at, itself included
  double head = 0;
};

struct Model {
  std::string family;           ///< "mamba", "pythia"
  Json config;                  ///< the Hugging Face config.json of these sizes
  std::shared_ptr<void> owner;  ///< the model itself, kept alive by this handle
  ParameterStore* parameters = nullptr;
  const Parameter* head = nullptr;  ///< [V, d_model]
  std::int64_t vocab_size = 0;
  ForwardFlops flops{};
  std::int64_t max_length = 0;  ///< of a sequence, in tokens; 0: any

  /// tokens [B, T] i32, rows [R] i32 increasing, position [B, T] i32 or null -> [R, d_model]: what
  /// the head turns into logits at the flattened positions `rows`. `pass`: i32, the training
  /// pass that this is, as dropout (ops/dropout.h) wants to know it; null: evaluation.
  std::function<Tensor(const Tensor& tokens, const Tensor& rows, const Tensor* position,
                       const Tensor* pass)>
      features;
  /// Shows `probe` what every layer mixes tokens [B, T] by, in order. Outside the tape.
  std::function<void(const Tensor& tokens, const Probe& probe)> probe;
  /// A decoder for B fresh sequences.
  std::function<Decoder(std::int64_t batch)> decoder;
  /// A stream for B fresh sequences, whose memory does not grow with what it was fed. Null where a
  /// token looks back at all before it: attention, and convolutions as long as the sequence.
  std::function<Stream(std::int64_t batch)> stream;
};

/// Logits [R, V] at the flattened positions `rows`.
Tensor logits_at(const Model& model, const Tensor& tokens, const Tensor& rows);

struct MambaConfig;
struct PythiaConfig;
struct HyenaConfig;
struct RwkvConfig;
Model make_mamba(const MambaConfig& config, Device device, DType compute);
Model make_pythia(const PythiaConfig& config, Device device, DType compute);
Model make_hyena(const HyenaConfig& config, Device device, DType compute);
Model make_rwkv(const RwkvConfig& config, Device device, DType compute);

/// The model that a Hugging Face config.json describes. Throws Error(corrupt) for a model_type that
/// is not known here, listing those that are.
Model make_model(const Json& config, Device device, DType compute);

ForwardFlops mamba_flops(const MambaConfig& config);
ForwardFlops pythia_flops(const PythiaConfig& config);
ForwardFlops hyena_flops(const HyenaConfig& config);
ForwardFlops rwkv_flops(const RwkvConfig& config);

}  // namespace farsight
