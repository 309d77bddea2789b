#include "models/rwkv_dialects.h"

#include <fmt/format.h>

#include "models/config_section.h"
#include "models/rwkv.h"

namespace farsight {
namespace {

constexpr std::int64_t kWidest = 65536;

}  // namespace

bool is_zoology_rwkv(const Json& config) {
  const Json* mixer = config.find("sequence_mixer");
  return mixer != nullptr && mixer->at("name").as_string().ends_with(".RWKVTimeMixer");
}

Json rwkv_from_zoology(const Json& config) {
  const Json& mlp = config.at("state_mixer");
  if (!mlp.at("name").as_string().ends_with(".MLP")) {
    mlp.at("name").refuse("expected a module called ....MLP: the paper's RWKV has no other");
  }
  Section(config).must_be("resid_dropout", 0.0);
  Section(config).must_be("drop_path", 0.0);
  Section(config).must_be("layer_norm_epsilon", 1e-5);  // the blocks' norms do not read it
  RwkvConfig c;
  c.d_model = config.at("d_model").as_int(1, kWidest);
  c.n_layer = config.at("n_layers").as_int(1, 1024);
  const std::int64_t vocabulary = config.at("vocab_size").as_int(1, 1 << 20);
  const std::int64_t multiple = Section(config).integer("pad_vocab_size_multiple", 1, 1, kWidest);
  c.vocab_size = (vocabulary + multiple - 1) / multiple * multiple;
  c.l_max = config.at("max_position_embeddings").as_int(1, 1 << 20);
  c.embed_dropout = Section(config).real("embed_dropout", 0.1);
  const Json* kwargs = Section(mlp).given("kwargs");
  c.d_ff = c.d_model * (kwargs == nullptr ? 1 : Section(*kwargs).integer("hidden_mult", 1, 1, 64));
  return c.to_json();
}

Json zoology_from_rwkv(const Json& config) {
  const RwkvConfig c = RwkvConfig::from_json(config);
  require(c.d_ff % c.d_model == 0 && c.norm_eps == 1e-5, ExitCode::data,
          "--format zoology: it has MLPs of a multiple of d_model and norms with 1e-5, not of {} "
          "and with {}",
          c.d_ff, c.norm_eps);
  return Json::object(
      {{"sequence_mixer",
        Json::object({{"name", "zoology.mixers.rwkv.RWKVTimeMixer"},
                      {"kwargs", Json::object({{"l_max", c.l_max}, {"n_layer", c.n_layer}})}})},
       {"state_mixer",
        Json::object({{"name", "zoology.mixers.mlp.MLP"},
                      {"kwargs", Json::object({{"hidden_mult", c.d_ff / c.d_model}})}})},
       {"d_model", c.d_model},
       {"n_layers", c.n_layer},
       {"max_position_embeddings", c.l_max},
       {"vocab_size", c.vocab_size},
       {"pad_vocab_size_multiple", 1},  // vocab_size has the padding already
       {"resid_dropout", 0.0},
       {"embed_dropout", c.embed_dropout},
       {"layer_norm_epsilon", c.norm_eps}});
}

}  // namespace farsight
