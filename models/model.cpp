#include "models/model.h"

#include <numeric>

#include "models/mamba.h"
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
  return linear(model.features(tokens, rows, nullptr), model.head->operand);
}

Model make_mamba(const MambaConfig& config, Device device, DType compute) {
  const auto mamba = std::make_shared<Mamba>(config, device, compute);
  return {.family = "mamba",
          .config = config.to_json(),
          .owner = mamba,
          .parameters = &mamba->parameters(),
          .head = &mamba->head(),
          .vocab_size = config.vocab_size,
          .features = [m = mamba.get()](
                          const Tensor& tokens, const Tensor& rows,
                          const Tensor* position) { return m->features(tokens, rows, position); },
          .decoder = [mamba](std::int64_t batch) -> Decoder {
            const auto state = std::make_shared<MambaState>(mamba->empty_state(batch));
            return [mamba, state](const Tensor& tokens) {
              const NoTape inference;
              const Tensor rows = last_rows(tokens.dim(0), tokens.dim(1), tokens.device());
              return linear(mamba->features(tokens, rows, nullptr, state.get()),
                            mamba->head().operand);
            };
          }};
}

Model make_model(const Json& config, Device device, DType compute) {
  const Json& type = config.at("model_type");
  if (type.as_string() != "mamba") type.refuse("expected a known model_type: mamba");
  return make_mamba(MambaConfig::from_json(config), device, compute);
}

ForwardFlops mamba_flops(const MambaConfig& c) {
  const double d = static_cast<double>(c.d_model), I = static_cast<double>(c.d_inner());
  const double N = static_cast<double>(c.d_state), R = static_cast<double>(c.dt_rank);
  const double products =
      2 * (d * 2 * I + I * static_cast<double>(c.d_conv) + I * (R + 2 * N) + R * I + I * d);
  ForwardFlops flops;
  for (std::int64_t layer = 0; layer < c.n_layer; layer++) {
    flops.body += products + 7 * I * N;
    if (c.has_gate(layer)) flops.body += 2 * I * static_cast<double>(c.gate_kernel);
  }
  flops.head = 2 * d * static_cast<double>(c.vocab_size);
  return flops;
}

}  // namespace farsight
