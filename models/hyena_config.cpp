#include <cmath>

#include "core/check.h"
#include "models/hyena.h"

namespace farsight {

DecayRates hyena_decay(const HyenaConfig& config) {
  constexpr double kFloor = 0.01, kSlowest = 1.5, kFastest = 0.3;
  return {.first = -std::log(kFloor) / kSlowest,
          .last = -std::log(kFloor) / kFastest,
          .span = static_cast<double>(config.l_max - 1)};
}

void HyenaConfig::validate() const {
  const auto positive = [](const char* name, std::int64_t value) {
    require(value >= 1, ExitCode::data, "hyena: {} must be at least 1, got {}", name, value);
  };
  positive("vocab_size", vocab_size);
  positive("d_model", d_model);
  positive("n_layer", n_layer);
  positive("d_ff", d_ff);
  positive("d_conv", d_conv);
  positive("filter_width", filter_width);
  require(l_max >= 2, ExitCode::data, "hyena: l_max must be at least 2, got {}", l_max);
  require(filter_features >= 3 && filter_features % 2 == 1, ExitCode::data,
          "hyena: filter_features must be 3, 5, 7 ..., got {}", filter_features);
  require(embed_dropout >= 0 && embed_dropout < 1, ExitCode::data,
          "hyena: embed_dropout must be from 0 to below 1, got {}", embed_dropout);
}

Json HyenaConfig::to_json() const {
  return Json::object({{"model_type", "hyena"},
                       {"form", form == HyenaForm::safari ? "safari" : "authors"},
                       {"vocab_size", vocab_size},
                       {"hidden_size", d_model},
                       {"num_hidden_layers", n_layer},
                       {"intermediate_size", d_ff},
                       {"conv_kernel", d_conv},
                       {"max_position_embeddings", l_max},
                       {"filter_order", filter_width},
                       {"filter_emb_dim", filter_features},
                       {"filter_frequency", filter_frequency},
                       {"embed_dropout", embed_dropout},
                       {"layer_norm_eps", norm_eps},
                       {"hidden_act", form == HyenaForm::safari ? "gelu_new" : "gelu"},
                       {"tie_word_embeddings", true}});
}

HyenaConfig HyenaConfig::from_json(const Json& json) {
  // The ranges of the settings: whatever such a file says, sizes in bytes fit 64 bits.
  constexpr std::int64_t kWidest = 65536;
  const Json& type = json.at("model_type");
  if (type.as_string() != "hyena") type.refuse("expected model_type \"hyena\"");
  HyenaConfig c;
  const Json& form = json.at("form");
  if (form.as_string() != "authors" && form.as_string() != "safari") {
    form.refuse("expected \"authors\" or \"safari\"");
  }
  c.form = form.as_string() == "safari" ? HyenaForm::safari : HyenaForm::authors;
  c.vocab_size = json.at("vocab_size").as_int(1, 1 << 20);
  c.d_model = json.at("hidden_size").as_int(1, kWidest);
  c.n_layer = json.at("num_hidden_layers").as_int(1, 1024);
  c.d_ff = json.at("intermediate_size").as_int(1, 4 * kWidest);
  c.d_conv = json.at("conv_kernel").as_int(1, 64);
  c.l_max = json.at("max_position_embeddings").as_int(2, 1 << 20);
  c.filter_width = json.at("filter_order").as_int(1, kWidest);
  const Json& features = json.at("filter_emb_dim");
  c.filter_features = features.as_int(3, kWidest);
  if (c.filter_features % 2 == 0) features.refuse("expected an odd number");
  if (const Json* frequency = json.find("filter_frequency")) {
    c.filter_frequency = frequency->as_double();
  }
  if (const Json* dropout = json.find("embed_dropout")) {
    c.embed_dropout = dropout->as_double();
    if (!(c.embed_dropout >= 0 && c.embed_dropout < 1)) {
      dropout->refuse("expected a share from 0 to below 1");
    }
  }
  c.norm_eps = json.at("layer_norm_eps").as_double();
  return c;
}

}  // namespace farsight
