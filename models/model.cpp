#include "models/model.h"

#include <numeric>

#include "models/hyena.h"
#include "models/mamba.h"
#include "models/pythia.h"
#include "models/rwkv.h"
#include "ops/linear.h"

namespace farsight {
namespace {

/// The rows of the last position of each of B sequences of length T.
Tensor last_rows(std::int64_t B, std::int64_t T, Device device) {
  const Tensor rows = Tensor::empty({B}, DType::i32);
  for (std::int64_t b = 0; b < B; b++) {
    rows.data<std::int32_t>()[b] = static_cast<std::int32_t>(b * T + T - 1);
  }
  return rows.to(device);
}

}  // namespace

Tensor logits_at(const Model& model, const Tensor& tokens, const Tensor& rows) {
  return linear(model.features(tokens, rows, nullptr, nullptr), model.head->operand);
}

namespace {

/// Features of a whole batch; only a model that drops something asks for the pass.
template <class M>
Tensor features_of(M& model, const Tensor& tokens, const Tensor& rows, const Tensor* position,
                   const Tensor* pass) {
  if constexpr (requires { model.features(tokens, rows, position, nullptr, pass); }) {
    return model.features(tokens, rows, position, nullptr, pass);
  } else {
    return model.features(tokens, rows, position);
  }
}

/// The struct of functions of a model class: what all families have in common.
template <class M, class State>
Model model_around(const char* family, const std::shared_ptr<M>& owner, const ForwardFlops& flops) {
  return {
      .family = family,
      .config = owner->config().to_json(),
      .owner = owner,
      .parameters = &owner->parameters(),
      .head = &owner->head(),
      .vocab_size = owner->config().vocab_size,
      .flops = flops,
      .max_length = 0,
      .features = [m = owner.get()](
                      const Tensor& tokens, const Tensor& rows, const Tensor* position,
                      const Tensor* pass) { return features_of(*m, tokens, rows, position, pass); },
      .probe = [m = owner.get()](const Tensor& tokens,
                                 const Probe& probe) { m->probe(tokens, probe); },
      .decoder = [owner](std::int64_t batch) -> Decoder {
        const auto state = std::make_shared<State>(owner->empty_state(batch));
        return [owner, state](const Tensor& tokens) {
          const NoTape inference;
          const Tensor rows = last_rows(tokens.dim(0), tokens.dim(1), tokens.device());
          return linear(owner->features(tokens, rows, nullptr, state.get()), owner->head().operand);
        };
      },
      .stream = {}};
}

/// Model::stream of a class whose state has one size whatever it saw.
template <class M, class State>
std::function<Stream(std::int64_t batch)> stream_of(const Model& model) {
  const std::shared_ptr<M> owner = std::static_pointer_cast<M>(model.owner);
  return [owner](std::int64_t batch) -> Stream {
    const auto state = std::make_shared<State>(owner->empty_state(batch));
    return [owner, state](const Tensor& tokens, const Tensor& rows) {
      const NoTape inference;
      return owner->features(tokens, rows, nullptr, state.get());
    };
  };
}

}  // namespace

Model make_mamba(const MambaConfig& config, Device device, DType compute) {
  Model model = model_around<Mamba, MambaState>(
      "mamba", std::make_shared<Mamba>(config, device, compute), mamba_flops(config));
  const bool attends = config.has_gate() && config.gate == GateKind::attn;
  if (!attends) model.stream = stream_of<Mamba, MambaState>(model);
  return model;
}

Model make_pythia(const PythiaConfig& config, Device device, DType compute) {
  return model_around<Pythia, PythiaState>(
      "pythia", std::make_shared<Pythia>(config, device, compute), pythia_flops(config));
}

Model make_hyena(const HyenaConfig& config, Device device, DType compute) {
  Model model = model_around<Hyena, HyenaState>(
      "hyena", std::make_shared<Hyena>(config, device, compute), hyena_flops(config));
  model.max_length = config.l_max;
  return model;
}

Model make_rwkv(const RwkvConfig& config, Device device, DType compute) {
  Model model = model_around<Rwkv, RwkvState>(
      "rwkv", std::make_shared<Rwkv>(config, device, compute), rwkv_flops(config));
  model.max_length = config.published() ? 0 : config.l_max;
  model.stream = stream_of<Rwkv, RwkvState>(model);
  return model;
}

Model make_model(const Json& config, Device device, DType compute) {
  const Json& type = config.at("model_type");
  const std::string name = type.as_string();
  if (name == "mamba") return make_mamba(MambaConfig::from_json(config), device, compute);
  if (name == "hyena") return make_hyena(HyenaConfig::from_json(config), device, compute);
  if (name == "gpt_neox") return make_pythia(PythiaConfig::from_json(config), device, compute);
  if (name == "rwkv" || name == "rwkv_mlp") {
    return make_rwkv(RwkvConfig::from_json(config), device, compute);
  }
  type.refuse("expected a known model_type: mamba, gpt_neox, hyena, rwkv, rwkv_mlp");
}

ForwardFlops mamba_flops(const MambaConfig& c) {
  const double d = static_cast<double>(c.d_model), I = static_cast<double>(c.d_inner());
  const double N = static_cast<double>(c.d_state), R = static_cast<double>(c.dt_rank);
  const double products =
      2 * (d * 2 * I + I * static_cast<double>(c.d_conv) + I * (R + 2 * N) + R * I + I * d);
  ForwardFlops flops;
  for (std::int64_t layer = 0; layer < c.n_layer; layer++) {
    flops.body += products + 7 * I * N;
    if (!c.has_gate(layer)) continue;
    const GateFlops gate = gate_flops(c.gate_sizes());
    flops.body += gate.body;
    flops.context += gate.context;
  }
  flops.head = 2 * d * static_cast<double>(c.vocab_size);
  return flops;
}

ForwardFlops pythia_flops(const PythiaConfig& c) {
  const double d = static_cast<double>(c.d_model), ff = static_cast<double>(c.d_ff);
  const double layers = static_cast<double>(c.n_layer);
  return {.body = layers * 2 * (4 * d * d + 2 * d * ff),
          .context = layers * 4 * d,  // scores, and the sum of values
          .head = 2 * d * static_cast<double>(c.vocab_size)};
}

ForwardFlops hyena_flops(const HyenaConfig& c) {
  const double d = static_cast<double>(c.d_model), ff = static_cast<double>(c.d_ff);
  const double layers = static_cast<double>(c.n_layer);
  return {.body = layers * 2 * (4 * d * d + 3 * d * static_cast<double>(c.d_conv) + 2 * d * ff),
          .context = layers * 2 * d,  // of the long convolution as its formula has it
          .head = 2 * d * static_cast<double>(c.vocab_size)};
}

ForwardFlops rwkv_flops(const RwkvConfig& c) {
  const double d = static_cast<double>(c.d_model), ff = static_cast<double>(c.d_ff);
  const double layers = static_cast<double>(c.n_layer);
  const double channel = c.published() ? 2 * d * ff + d * d : 2 * d * ff;
  return {.body = layers * (2 * (4 * d * d + channel) + 12 * d),  // 12: the sums of wkv
          .head = 2 * d * static_cast<double>(c.vocab_size)};
}

}  // namespace farsight
