#include "models/hyena_dialects.h"

#include <fmt/format.h>

#include <cmath>

#include "models/config_section.h"
#include "models/hyena.h"

namespace farsight {
namespace {

constexpr std::int64_t kWidest = 65536;

/// What the mixer's section says, alike in both projects.
void read_mixer(const Json& json, HyenaConfig& c) {
  const Section mixer(json);
  for (const char* key : {"num_heads", "num_blocks", "inner_factor", "channels"}) {
    mixer.must_be(key, 1.0);
  }
  for (const char* key : {"dropout", "filter_dropout", "shift"}) {
    mixer.must_be(key, 0.0);
  }
  for (const char* key :
       {"bidirectional", "normalized", "linear_mixer", "outer_mixing", "post_order_ffn"}) {
    mixer.must_be(key, false);
  }
  mixer.must_be("order", 2.0);
  mixer.must_be("num_inner_mlps", 2.0);
  mixer.must_be("modulate", true);
  mixer.must_be("bias", true);
  mixer.must_be("fast_decay_pct", 0.3);
  mixer.must_be("slow_decay_pct", 1.5);
  mixer.must_be("target", 1e-2);
  c.l_max = json.at("l_max").as_int(2, 1 << 20);
  c.d_conv = mixer.integer("short_filter_order", 3, 1, 64);
  c.filter_width = mixer.integer("filter_order", 64, 1, kWidest);
  c.filter_features = mixer.integer("emb_dim", 3, 3, kWidest);
  c.filter_frequency = mixer.real("w", 1);
}

std::int64_t padded_vocabulary(const Json& config) {
  const std::int64_t vocabulary = config.at("vocab_size").as_int(1, 1 << 20);
  const std::int64_t multiple = Section(config).integer("pad_vocab_size_multiple", 1, 1, kWidest);
  return (vocabulary + multiple - 1) / multiple * multiple;
}

void read_rest(const Json& config, HyenaConfig& c) {
  const Section all(config);
  all.must_be("resid_dropout", 0.0);
  all.must_be("drop_path", 0.0);
  c.d_model = config.at("d_model").as_int(1, kWidest);
  c.vocab_size = padded_vocabulary(config);
  c.embed_dropout = all.real("embed_dropout", 0.1);
  c.norm_eps = all.real("layer_norm_epsilon", 1e-5);
}

Json mixer_config(const HyenaConfig& c) {
  return Json::object({{"l_max", c.l_max},
                       {"filter_order", c.filter_width},
                       {"emb_dim", c.filter_features},
                       {"w", c.filter_frequency},
                       {"num_inner_mlps", 2},
                       {"short_filter_order", c.d_conv}});
}

void require_form(const HyenaConfig& c, HyenaForm form, std::string_view format) {
  require(c.form == form, ExitCode::data,
          "--format {}: the model is of the other form, which {} has", format,
          form == HyenaForm::safari ? "zoology" : "safari");
}

}  // namespace

bool is_safari_config(const Json& config) {
  return config.contains("layer") && config.contains("n_layer");
}
bool is_zoology_config(const Json& config) {
  return config.contains("sequence_mixer") && config.contains("n_layers");
}

Json hyena_from_safari(const Json& config) {
  const Json& layer = config.at("layer");
  const Json& name = layer.at("_name_");
  if (name.as_string() != "hyena") name.refuse("layer._name_: expected \"hyena\"");
  for (const char* key : {"attn_layer_idx", "attn_cfg"}) {
    const Json* other = config.find(key);
    if (other != nullptr && other->size() > 0) {
      other->refuse(fmt::format("{}: a model with attention is no Hyena of ours", key));
    }
  }
  HyenaConfig c;
  c.form = HyenaForm::safari;
  read_mixer(layer, c);
  read_rest(config, c);
  Section(config).must_be("max_position_embeddings", 0.0);
  c.n_layer = config.at("n_layer").as_int(1, 1024);
  c.d_ff = Section(config).integer("d_inner", 4 * c.d_model, 1, 4 * kWidest);
  return c.to_json();
}

Json hyena_from_zoology(const Json& config) {
  const Json &mixer = config.at("sequence_mixer"), &mlp = config.at("state_mixer");
  const auto named = [](const Json& module, std::string_view ending) {
    const Json& name = module.at("name");
    if (!name.as_string().ends_with(ending)) {
      name.refuse(fmt::format("expected a module called ...{}", ending));
    }
  };
  named(mixer, ".Hyena");
  named(mlp, ".MLP");
  HyenaConfig c;
  read_mixer(mixer.at("kwargs"), c);
  read_rest(config, c);
  Section(config).must_be("max_position_embeddings", static_cast<double>(c.l_max));
  Section(config).must_be("layer_norm_epsilon", 1e-5);  // the blocks' norms do not read it
  c.n_layer = config.at("n_layers").as_int(1, 1024);
  const Json* kwargs = mlp.find("kwargs");
  const Json none = Json::object();
  c.d_ff = c.d_model * Section(kwargs == nullptr ? none : *kwargs).integer("hidden_mult", 1, 1, 64);
  return c.to_json();
}

Json safari_config(const Json& config) {
  const HyenaConfig c = HyenaConfig::from_json(config);
  require_form(c, HyenaForm::safari, "safari");
  Json layer = mixer_config(c);
  layer["_name_"] = "hyena";
  layer["order"] = 2;
  layer["modulate"] = true;
  return Json::object({{"_name_", "lm"},
                       {"d_model", c.d_model},
                       {"n_layer", c.n_layer},
                       {"d_inner", c.d_ff},
                       {"vocab_size", c.vocab_size},
                       {"pad_vocab_size_multiple", 1},  // vocab_size has the padding already
                       {"max_position_embeddings", 0},
                       {"resid_dropout", 0.0},
                       {"embed_dropout", c.embed_dropout},
                       {"layer_norm_epsilon", c.norm_eps},
                       {"layer", layer}});
}

Json zoology_config(const Json& config) {
  const HyenaConfig c = HyenaConfig::from_json(config);
  require_form(c, HyenaForm::authors, "zoology");
  require(c.d_ff % c.d_model == 0 && c.norm_eps == 1e-5, ExitCode::data,
          "--format zoology: it has MLPs of a multiple of d_model and norms with 1e-5, not of {} "
          "and with {}",
          c.d_ff, c.norm_eps);
  return Json::object(
      {{"sequence_mixer",
        Json::object({{"name", "zoology.mixers.hyena.Hyena"}, {"kwargs", mixer_config(c)}})},
       {"state_mixer",
        Json::object({{"name", "zoology.mixers.mlp.MLP"},
                      {"kwargs", Json::object({{"hidden_mult", c.d_ff / c.d_model}})}})},
       {"d_model", c.d_model},
       {"n_layers", c.n_layer},
       {"max_position_embeddings", c.l_max},
       {"vocab_size", c.vocab_size},
       {"pad_vocab_size_multiple", 1},
       {"resid_dropout", 0.0},
       {"embed_dropout", c.embed_dropout},
       {"layer_norm_epsilon", c.norm_eps}});
}

std::vector<NamedTensor> hyena_buffers(const Json& config, std::string_view format) {
  const HyenaConfig c = HyenaConfig::from_json(config);
  const DecayRates rates = hyena_decay(c);
  const Tensor t = Tensor::empty({1, c.l_max, 1}, DType::f32);
  for (std::int64_t i = 0; i < c.l_max; i++) {
    t.data<float>()[i] = static_cast<float>(rates.time(i));
  }
  const Tensor deltas = Tensor::empty({1, 1, c.d_model}, DType::f32);
  for (std::int64_t d = 0; d < c.d_model; d++) {
    deltas.data<float>()[d] = -static_cast<float>(rates.rate(d, c.d_model));
  }
  std::vector<NamedTensor> buffers;
  for (std::int64_t i = 0; i < c.n_layer; i++) {
    const std::string filter = fmt::format("backbone.layers.{}.{}.filter_fn.", i,
                                           format == "zoology" ? "sequence_mixer" : "mixer");
    buffers.push_back({filter + "pos_emb.t", t});
    buffers.push_back({filter + "modulation.deltas", deltas});
  }
  return buffers;
}

}  // namespace farsight
