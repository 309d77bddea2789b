// config.json as others write it (models/pretrained.h).
#include <fmt/format.h>

#include "models/hyena_dialects.h"
#include "models/pretrained.h"
#include "models/rwkv_dialects.h"

namespace farsight {
namespace {

constexpr std::int64_t kWidest = 65536;

/// A switch of which this model knows one position.
void must_be(const Json& config, std::string_view key, bool wanted) {
  const Json* value = config.find(key);
  if (value != nullptr && !value->is_null() && value->as_bool() != wanted) {
    value->refuse(fmt::format("{}: expected {}; this model has no other form", key, wanted));
  }
}

/// "auto" is one in sixteen of the width, rounded up.
std::int64_t time_step_rank(const Json* rank, std::int64_t d_model) {
  if (rank == nullptr || (rank->is_string() && rank->as_string() == "auto")) {
    return (d_model + 15) / 16;
  }
  return rank->as_int(1, kWidest);
}

Json mamba_from_hugging_face(const Json& config) {
  must_be(config, "use_bias", false);
  must_be(config, "use_conv_bias", true);
  must_be(config, "tie_word_embeddings", true);
  if (const Json* activation = config.find("hidden_act")) {
    if (activation->as_string() != "silu") activation->refuse("hidden_act: expected \"silu\"");
  }
  const std::int64_t d_model = config.at("hidden_size").as_int(1, kWidest);
  const std::int64_t expand = config.at("expand").as_int(1, 16);
  if (const Json* inner = config.find("intermediate_size")) {
    if (inner->as_int(1, 16 * kWidest) != expand * d_model) {
      inner->refuse(
          fmt::format("intermediate_size: expected expand x hidden_size = {}", expand * d_model));
    }
  }
  Json result = config;
  result["time_step_rank"] = time_step_rank(config.find("time_step_rank"), d_model);
  return result;
}

Json mamba_from_state_spaces(const Json& config) {
  must_be(config, "rms_norm", true);
  must_be(config, "tie_embeddings", true);
  for (const char* key : {"attn_layer_idx", "attn_cfg"}) {
    const Json* other = config.find(key);
    if (other != nullptr && other->size() > 0) {
      other->refuse(fmt::format("{}: a model with attention is no Mamba of ours", key));
    }
  }
  if (const Json* width = config.find("d_intermediate")) width->as_int(0, 0);
  const std::int64_t d_model = config.at("d_model").as_int(1, kWidest);
  const std::int64_t vocabulary = config.at("vocab_size").as_int(1, 1 << 20);
  std::int64_t multiple = 8;
  if (const Json* given = config.find("pad_vocab_size_multiple"))
    multiple = given->as_int(1, 65536);
  const Json none = Json::object();
  const Json* ssm = config.find("ssm_cfg");
  if (ssm == nullptr || ssm->is_null()) ssm = &none;
  if (const Json* layer = ssm->find("layer")) {
    if (layer->as_string() != "Mamba1") layer->refuse("ssm_cfg: expected the layer \"Mamba1\"");
  }
  must_be(*ssm, "bias", false);
  must_be(*ssm, "conv_bias", true);
  const auto size = [&](const char* key, std::int64_t otherwise, std::int64_t most) {
    const Json* value = ssm->find(key);
    return value == nullptr ? otherwise : value->as_int(1, most);
  };
  const std::int64_t expand = size("expand", 2, 16);
  const Json* epsilon = config.find("norm_epsilon");
  return Json::object({{"architectures", Json::array({"MambaForCausalLM"})},
                       {"model_type", "mamba"},
                       {"vocab_size", (vocabulary + multiple - 1) / multiple * multiple},
                       {"hidden_size", d_model},
                       {"num_hidden_layers", config.at("n_layer").as_int(1, 1024)},
                       {"state_size", size("d_state", 16, 4096)},
                       {"conv_kernel", size("d_conv", 4, 64)},
                       {"expand", expand},
                       {"intermediate_size", expand * d_model},
                       {"time_step_rank", time_step_rank(ssm->find("dt_rank"), d_model)},
                       {"layer_norm_epsilon", epsilon == nullptr ? 1e-5 : epsilon->as_double()}});
}

}  // namespace

Json hugging_face_config(const Json& config) {
  if (const Json* type = config.find("model_type")) {
    return type->as_string() == "mamba" ? mamba_from_hugging_face(config) : config;
  }
  if (is_safari_config(config)) return hyena_from_safari(config);
  if (is_zoology_config(config)) {
    return is_zoology_rwkv(config) ? rwkv_from_zoology(config) : hyena_from_zoology(config);
  }
  if (config.contains("d_model") && config.contains("n_layer")) {
    return mamba_from_state_spaces(config);
  }
  config.refuse(
      "neither a Hugging Face config.json (no model_type) nor one of state-spaces/mamba "
      "(no d_model and n_layer), safari (no layer) or zoology (no sequence_mixer)");
}

Json blinkdl_config(const WeightFiles& files) {
  const auto matrix = [&](const char* name) -> const std::vector<std::int64_t>& {
    const StoredTensor* stored = files.find(name);
    require(
        stored != nullptr && stored->shape.size() == 2, ExitCode::data,
        "{}: without a config.json its sizes are those of the matrix {}, which it does not have",
        files.path(), name);
    return stored->shape;
  };
  const std::vector<std::int64_t>&embeddings = matrix("emb.weight"),
        &inner = matrix("blocks.0.ffn.key.weight");
  std::int64_t layers = 1;
  while (files.find(fmt::format("blocks.{}.ln1.weight", layers)) != nullptr) {
    layers++;
  }
  return Json::object({{"architectures", Json::array({"RwkvForCausalLM"})},
                       {"model_type", "rwkv"},
                       {"vocab_size", embeddings[0]},
                       {"hidden_size", embeddings[1]},
                       {"num_hidden_layers", layers},
                       {"intermediate_size", inner[0]},
                       {"layer_norm_epsilon", 1e-5}});
}

Json state_spaces_config(const Json& config) {
  const std::int64_t vocabulary = config.at("vocab_size").as_int();
  return Json::object({{"d_model", config.at("hidden_size")},
                       {"n_layer", config.at("num_hidden_layers")},
                       {"vocab_size", vocabulary},
                       {"ssm_cfg", Json::object({{"d_state", config.at("state_size")},
                                                 {"d_conv", config.at("conv_kernel")},
                                                 {"expand", config.at("expand")},
                                                 {"dt_rank", config.at("time_step_rank")}})},
                       {"rms_norm", true},
                       {"norm_epsilon", config.at("layer_norm_epsilon")},
                       {"residual_in_fp32", true},
                       {"fused_add_norm", true},
                       // The padding is in vocab_size already.
                       {"pad_vocab_size_multiple", vocabulary % 8 == 0 ? 8 : 1},
                       {"tie_embeddings", true}});
}

Json config_as(std::string_view format, const Json& config) {
  if (format == "state-spaces") return state_spaces_config(config);
  if (format == "safari") return safari_config(config);
  if (format == "zoology") {
    const bool hyena = config.at("model_type").as_string() == "hyena";
    return hyena ? zoology_config(config) : zoology_from_rwkv(config);
  }
  return config;
}

}  // namespace farsight
