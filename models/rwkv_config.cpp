#include <fmt/format.h>

#include "models/config_section.h"
#include "models/rwkv.h"

namespace farsight {

void RwkvConfig::validate() const {
  const auto positive = [](const char* name, std::int64_t value) {
    require(value >= 1, ExitCode::data, "rwkv: {} must be at least 1, got {}", name, value);
  };
  positive("vocab_size", vocab_size);
  positive("d_model", d_model);
  positive("n_layer", n_layer);
  positive("d_ff", d_ff);
  positive("l_max", l_max);
  require(embed_dropout >= 0 && embed_dropout < 1, ExitCode::data,
          "rwkv: embed_dropout must be from 0 to below 1, got {}", embed_dropout);
}

Json RwkvConfig::to_json() const {
  if (published()) {
    return Json::object({{"architectures", Json::array({"RwkvForCausalLM"})},
                         {"model_type", "rwkv"},
                         {"vocab_size", vocab_size},
                         {"hidden_size", d_model},
                         {"num_hidden_layers", n_layer},
                         {"attention_hidden_size", d_model},
                         {"intermediate_size", d_ff},
                         {"context_length", l_max},
                         {"layer_norm_epsilon", norm_eps},
                         {"rescale_every", 6},
                         {"tie_word_embeddings", false}});
  }
  return Json::object({{"model_type", "rwkv_mlp"},
                       {"vocab_size", vocab_size},
                       {"hidden_size", d_model},
                       {"num_hidden_layers", n_layer},
                       {"intermediate_size", d_ff},
                       {"max_position_embeddings", l_max},
                       {"embed_dropout", embed_dropout},
                       {"layer_norm_epsilon", norm_eps},
                       {"hidden_act", "gelu"},
                       {"tie_word_embeddings", true}});
}

RwkvConfig RwkvConfig::from_json(const Json& json) {
  // The ranges of the settings: whatever such a file says, sizes in bytes fit 64 bits.
  constexpr std::int64_t kWidest = 65536, kLongest = 1 << 20;
  const Json& type = json.at("model_type");
  const std::string name = type.as_string();
  if (name != "rwkv" && name != "rwkv_mlp") type.refuse("expected \"rwkv\" or \"rwkv_mlp\"");
  RwkvConfig c;
  c.form = name == "rwkv" ? RwkvForm::published : RwkvForm::authors;
  c.vocab_size = json.at("vocab_size").as_int(1, 1 << 20);
  c.d_model = json.at("hidden_size").as_int(1, kWidest);
  c.n_layer = json.at("num_hidden_layers").as_int(1, 1024);
  c.norm_eps = json.at("layer_norm_epsilon").as_double();
  const Json* tied = json.find("tie_word_embeddings");
  if (tied != nullptr && tied->as_bool() == c.published()) {
    tied->refuse(fmt::format("expected {}: this model has no other form", !c.published()));
  }
  if (!c.published()) {
    c.d_ff = json.at("intermediate_size").as_int(1, 4 * kWidest);
    c.l_max = json.at("max_position_embeddings").as_int(1, kLongest);
    if (const Json* dropout = json.find("embed_dropout")) {
      c.embed_dropout = dropout->as_double();
      if (!(c.embed_dropout >= 0 && c.embed_dropout < 1)) {
        dropout->refuse("expected a share from 0 to below 1");
      }
    }
    return c;
  }
  const Section all(json);
  c.embed_dropout = 0;
  c.d_ff = all.integer("intermediate_size", 4 * c.d_model, 1, 4 * kWidest);
  c.l_max = all.integer("context_length", c.l_max, 1, 1 << 30);
  all.must_be("attention_hidden_size", static_cast<double>(c.d_model));
  return c;
}

}  // namespace farsight
