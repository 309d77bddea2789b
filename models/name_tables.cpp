#include "models/name_tables.h"

#include <array>

namespace farsight {
namespace {

using enum NameRule::Kind;

/// Called the same by us.
constexpr NameRule same(std::string_view name) {
  return {name, name};
}

template <std::size_t... kCounts>
constexpr auto joined(const std::array<NameRule, kCounts>&... parts) {
  std::array<NameRule, (kCounts + ...)> all{};
  std::size_t at = 0;
  const auto append = [&](const auto& part) {
    for (const NameRule& rule : part) {
      all[at++] = rule;
    }
  };
  (append(parts), ...);
  return all;
}

/// What both have of Mamba beside the embedding.
constexpr auto kMambaBody = std::to_array<NameRule>({
    same("backbone.layers.#.norm.weight"),
    same("backbone.layers.#.mixer.in_proj.weight"),
    same("backbone.layers.#.mixer.conv1d.weight"),
    same("backbone.layers.#.mixer.conv1d.bias"),
    same("backbone.layers.#.mixer.x_proj.weight"),
    same("backbone.layers.#.mixer.dt_proj.weight"),
    same("backbone.layers.#.mixer.dt_proj.bias"),
    same("backbone.layers.#.mixer.A_log"),
    same("backbone.layers.#.mixer.D"),
    same("backbone.layers.#.mixer.out_proj.weight"),
    // The selection gate, as the authors' code (Global_Mamba) calls it.
    same("backbone.layers.#.mixer.module.module.weight"),
    same("backbone.layers.#.mixer.module.module.bias"),
    same("backbone.norm_f.weight"),
    {"lm_head.weight", "backbone.embeddings.weight", tied},
});
constexpr auto kOtherGates = std::to_array<NameRule>({
    same("backbone.layers.#.mixer.module.fc1.weight"),
    same("backbone.layers.#.mixer.module.fc1.bias"),
    same("backbone.layers.#.mixer.module.fc2.weight"),
    same("backbone.layers.#.mixer.module.fc2.bias"),
    same("backbone.layers.#.mixer.module.query.weight"),
    same("backbone.layers.#.mixer.module.query.bias"),
    same("backbone.layers.#.mixer.module.key.weight"),
    same("backbone.layers.#.mixer.module.key.bias"),
    same("backbone.layers.#.mixer.module.value.weight"),
    same("backbone.layers.#.mixer.module.value.bias"),
    same("backbone.layers.#.mixer.module.dense.weight"),
    same("backbone.layers.#.mixer.module.dense.bias"),
    same("backbone.layers.#.mixer.module.norm.weight"),
    same("backbone.layers.#.mixer.module.norm.bias"),
    same("backbone.layers.#.mixer.module.kernel"),
    same("backbone.layers.#.mixer.module.D"),
    same("backbone.layers.#.mixer.module.output.weight"),
    same("backbone.layers.#.mixer.module.output.bias"),
});
constexpr auto kMamba =
    joined(std::to_array<NameRule>({same("backbone.embeddings.weight")}), kMambaBody, kOtherGates);
constexpr auto kStateSpaces =
    joined(std::to_array<NameRule>({{"backbone.embedding.weight", "backbone.embeddings.weight"}}),
           kMambaBody);
constexpr NameRule kGptNeox[] = {
    same("gpt_neox.embed_in.weight"),
    same("gpt_neox.layers.#.input_layernorm.weight"),
    same("gpt_neox.layers.#.input_layernorm.bias"),
    same("gpt_neox.layers.#.post_attention_layernorm.weight"),
    same("gpt_neox.layers.#.post_attention_layernorm.bias"),
    same("gpt_neox.layers.#.attention.query_key_value.weight"),
    same("gpt_neox.layers.#.attention.query_key_value.bias"),
    same("gpt_neox.layers.#.attention.dense.weight"),
    same("gpt_neox.layers.#.attention.dense.bias"),
    same("gpt_neox.layers.#.mlp.dense_h_to_4h.weight"),
    same("gpt_neox.layers.#.mlp.dense_h_to_4h.bias"),
    same("gpt_neox.layers.#.mlp.dense_4h_to_h.weight"),
    same("gpt_neox.layers.#.mlp.dense_4h_to_h.bias"),
    same("gpt_neox.final_layer_norm.weight"),
    same("gpt_neox.final_layer_norm.bias"),
    same("embed_out.weight"),
    {"lm_head.weight", "embed_out.weight"},  // as transformers 5 calls it in memory
    {"gpt_neox.layers.#.attention.bias", "", buffer},
    {"gpt_neox.layers.#.attention.masked_bias", "", buffer},
    {"gpt_neox.layers.#.attention.rotary_emb.inv_freq", "", buffer},
    {"gpt_neox.rotary_emb.inv_freq", "", buffer},
};
constexpr NameRule kRwkv[] = {
    same("rwkv.embeddings.weight"),
    same("rwkv.blocks.#.pre_ln.weight"),
    same("rwkv.blocks.#.pre_ln.bias"),
    same("rwkv.blocks.#.ln1.weight"),
    same("rwkv.blocks.#.ln1.bias"),
    same("rwkv.blocks.#.ln2.weight"),
    same("rwkv.blocks.#.ln2.bias"),
    same("rwkv.blocks.#.attention.time_decay"),
    same("rwkv.blocks.#.attention.time_first"),
    same("rwkv.blocks.#.attention.time_mix_key"),
    same("rwkv.blocks.#.attention.time_mix_value"),
    same("rwkv.blocks.#.attention.time_mix_receptance"),
    same("rwkv.blocks.#.attention.key.weight"),
    same("rwkv.blocks.#.attention.value.weight"),
    same("rwkv.blocks.#.attention.receptance.weight"),
    same("rwkv.blocks.#.attention.output.weight"),
    same("rwkv.blocks.#.feed_forward.time_mix_key"),
    same("rwkv.blocks.#.feed_forward.time_mix_receptance"),
    same("rwkv.blocks.#.feed_forward.key.weight"),
    same("rwkv.blocks.#.feed_forward.receptance.weight"),
    same("rwkv.blocks.#.feed_forward.value.weight"),
    same("rwkv.ln_out.weight"),
    same("rwkv.ln_out.bias"),
    same("head.weight"),
};
// The time mixer of zoology in its language model: what the paper trains as RWKV.
constexpr NameRule kZoologyRwkv[] = {
    same("backbone.embeddings.word_embeddings.weight"),
    same("backbone.embeddings.position_embeddings.weight"),
    same("backbone.layers.#.sequence_mixer.time_decay"),
    same("backbone.layers.#.sequence_mixer.time_first"),
    same("backbone.layers.#.sequence_mixer.time_mix_k"),
    same("backbone.layers.#.sequence_mixer.time_mix_v"),
    same("backbone.layers.#.sequence_mixer.time_mix_r"),
    same("backbone.layers.#.sequence_mixer.key.weight"),
    same("backbone.layers.#.sequence_mixer.value.weight"),
    same("backbone.layers.#.sequence_mixer.receptance.weight"),
    same("backbone.layers.#.sequence_mixer.output.weight"),
    same("backbone.layers.#.state_mixer.fc1.weight"),
    same("backbone.layers.#.state_mixer.fc1.bias"),
    same("backbone.layers.#.state_mixer.fc2.weight"),
    same("backbone.layers.#.state_mixer.fc2.bias"),
    same("backbone.layers.#.norm1.weight"),
    same("backbone.layers.#.norm1.bias"),
    same("backbone.layers.#.norm2.weight"),
    same("backbone.layers.#.norm2.bias"),
    same("backbone.ln_f.weight"),
    same("backbone.ln_f.bias"),
    {"lm_head.weight", "backbone.embeddings.word_embeddings.weight", tied},
};
constexpr NameRule kBlinkRwkv[] = {
    {"emb.weight", "rwkv.embeddings.weight"},
    {"blocks.#.ln0.weight", "rwkv.blocks.#.pre_ln.weight"},
    {"blocks.#.ln0.bias", "rwkv.blocks.#.pre_ln.bias"},
    {"blocks.#.ln1.weight", "rwkv.blocks.#.ln1.weight"},
    {"blocks.#.ln1.bias", "rwkv.blocks.#.ln1.bias"},
    {"blocks.#.ln2.weight", "rwkv.blocks.#.ln2.weight"},
    {"blocks.#.ln2.bias", "rwkv.blocks.#.ln2.bias"},
    {"blocks.#.att.time_decay", "rwkv.blocks.#.attention.time_decay"},
    {"blocks.#.att.time_first", "rwkv.blocks.#.attention.time_first"},
    {"blocks.#.att.time_mix_k", "rwkv.blocks.#.attention.time_mix_key"},
    {"blocks.#.att.time_mix_v", "rwkv.blocks.#.attention.time_mix_value"},
    {"blocks.#.att.time_mix_r", "rwkv.blocks.#.attention.time_mix_receptance"},
    {"blocks.#.att.key.weight", "rwkv.blocks.#.attention.key.weight"},
    {"blocks.#.att.value.weight", "rwkv.blocks.#.attention.value.weight"},
    {"blocks.#.att.receptance.weight", "rwkv.blocks.#.attention.receptance.weight"},
    {"blocks.#.att.output.weight", "rwkv.blocks.#.attention.output.weight"},
    {"blocks.#.ffn.time_mix_k", "rwkv.blocks.#.feed_forward.time_mix_key"},
    {"blocks.#.ffn.time_mix_r", "rwkv.blocks.#.feed_forward.time_mix_receptance"},
    {"blocks.#.ffn.key.weight", "rwkv.blocks.#.feed_forward.key.weight"},
    {"blocks.#.ffn.receptance.weight", "rwkv.blocks.#.feed_forward.receptance.weight"},
    {"blocks.#.ffn.value.weight", "rwkv.blocks.#.feed_forward.value.weight"},
    {"ln_out.weight", "rwkv.ln_out.weight"},
    {"ln_out.bias", "rwkv.ln_out.bias"},
    {"head.weight", "head.weight"},
};

// Safari's are ours. The three sines of a filter are one module, which has three names.
constexpr NameRule kSafari[] = {
    same("backbone.embeddings.word_embeddings.weight"),
    same("backbone.embeddings.position_embeddings.weight"),
    same("backbone.layers.#.mixer.in_proj.weight"),
    same("backbone.layers.#.mixer.in_proj.bias"),
    same("backbone.layers.#.mixer.out_proj.weight"),
    same("backbone.layers.#.mixer.out_proj.bias"),
    same("backbone.layers.#.mixer.short_filter.weight"),
    same("backbone.layers.#.mixer.short_filter.bias"),
    same("backbone.layers.#.mixer.filter_fn.bias"),
    same("backbone.layers.#.mixer.filter_fn.pos_emb.z"),
    same("backbone.layers.#.mixer.filter_fn.implicit_filter.0.weight"),
    same("backbone.layers.#.mixer.filter_fn.implicit_filter.0.bias"),
    same("backbone.layers.#.mixer.filter_fn.implicit_filter.1.freq"),
    same("backbone.layers.#.mixer.filter_fn.implicit_filter.2.weight"),
    same("backbone.layers.#.mixer.filter_fn.implicit_filter.2.bias"),
    same("backbone.layers.#.mixer.filter_fn.implicit_filter.4.weight"),
    same("backbone.layers.#.mixer.filter_fn.implicit_filter.4.bias"),
    same("backbone.layers.#.mixer.filter_fn.implicit_filter.6.weight"),
    same("backbone.layers.#.norm1.weight"),
    same("backbone.layers.#.norm1.bias"),
    same("backbone.layers.#.mlp.fc1.weight"),
    same("backbone.layers.#.mlp.fc1.bias"),
    same("backbone.layers.#.mlp.fc2.weight"),
    same("backbone.layers.#.mlp.fc2.bias"),
    same("backbone.layers.#.norm2.weight"),
    same("backbone.layers.#.norm2.bias"),
    same("backbone.ln_f.weight"),
    same("backbone.ln_f.bias"),
    {"backbone.layers.#.mixer.filter_fn.implicit_filter.3.freq",
     "backbone.layers.#.mixer.filter_fn.implicit_filter.1.freq", tied},
    {"backbone.layers.#.mixer.filter_fn.implicit_filter.5.freq",
     "backbone.layers.#.mixer.filter_fn.implicit_filter.1.freq", tied},
    {"lm_head.weight", "backbone.embeddings.word_embeddings.weight", tied},
    {"backbone.layers.#.mixer.filter_fn.pos_emb.t", "", buffer},
    {"backbone.layers.#.mixer.filter_fn.modulation.deltas", "", buffer},
};
constexpr NameRule kZoologyHyena[] = {
    same("backbone.embeddings.word_embeddings.weight"),
    same("backbone.embeddings.position_embeddings.weight"),
    {"backbone.layers.#.sequence_mixer.in_proj.weight", "backbone.layers.#.mixer.in_proj.weight"},
    {"backbone.layers.#.sequence_mixer.in_proj.bias", "backbone.layers.#.mixer.in_proj.bias"},
    {"backbone.layers.#.sequence_mixer.out_proj.weight", "backbone.layers.#.mixer.out_proj.weight"},
    {"backbone.layers.#.sequence_mixer.out_proj.bias", "backbone.layers.#.mixer.out_proj.bias"},
    {"backbone.layers.#.sequence_mixer.short_filter.weight",
     "backbone.layers.#.mixer.short_filter.weight"},
    {"backbone.layers.#.sequence_mixer.short_filter.bias",
     "backbone.layers.#.mixer.short_filter.bias"},
    {"backbone.layers.#.sequence_mixer.filter_fn.bias", "backbone.layers.#.mixer.filter_fn.bias"},
    {"backbone.layers.#.sequence_mixer.filter_fn.pos_emb.z",
     "backbone.layers.#.mixer.filter_fn.pos_emb.z"},
    {"backbone.layers.#.sequence_mixer.filter_fn.implicit_filter.0.weight",
     "backbone.layers.#.mixer.filter_fn.implicit_filter.0.weight"},
    {"backbone.layers.#.sequence_mixer.filter_fn.implicit_filter.0.bias",
     "backbone.layers.#.mixer.filter_fn.implicit_filter.0.bias"},
    {"backbone.layers.#.sequence_mixer.filter_fn.implicit_filter.1.freq",
     "backbone.layers.#.mixer.filter_fn.implicit_filter.1.freq"},
    {"backbone.layers.#.sequence_mixer.filter_fn.implicit_filter.2.weight",
     "backbone.layers.#.mixer.filter_fn.implicit_filter.2.weight"},
    {"backbone.layers.#.sequence_mixer.filter_fn.implicit_filter.2.bias",
     "backbone.layers.#.mixer.filter_fn.implicit_filter.2.bias"},
    {"backbone.layers.#.sequence_mixer.filter_fn.implicit_filter.4.weight",
     "backbone.layers.#.mixer.filter_fn.implicit_filter.4.weight"},
    {"backbone.layers.#.sequence_mixer.filter_fn.implicit_filter.4.bias",
     "backbone.layers.#.mixer.filter_fn.implicit_filter.4.bias"},
    {"backbone.layers.#.sequence_mixer.filter_fn.implicit_filter.6.weight",
     "backbone.layers.#.mixer.filter_fn.implicit_filter.6.weight"},
    same("backbone.layers.#.norm1.weight"),
    same("backbone.layers.#.norm1.bias"),
    {"backbone.layers.#.state_mixer.fc1.weight", "backbone.layers.#.mlp.fc1.weight"},
    {"backbone.layers.#.state_mixer.fc1.bias", "backbone.layers.#.mlp.fc1.bias"},
    {"backbone.layers.#.state_mixer.fc2.weight", "backbone.layers.#.mlp.fc2.weight"},
    {"backbone.layers.#.state_mixer.fc2.bias", "backbone.layers.#.mlp.fc2.bias"},
    same("backbone.layers.#.norm2.weight"),
    same("backbone.layers.#.norm2.bias"),
    same("backbone.ln_f.weight"),
    same("backbone.ln_f.bias"),
    {"backbone.layers.#.sequence_mixer.filter_fn.implicit_filter.3.freq",
     "backbone.layers.#.mixer.filter_fn.implicit_filter.1.freq", tied},
    {"backbone.layers.#.sequence_mixer.filter_fn.implicit_filter.5.freq",
     "backbone.layers.#.mixer.filter_fn.implicit_filter.1.freq", tied},
    {"lm_head.weight", "backbone.embeddings.word_embeddings.weight", tied},
    {"backbone.layers.#.sequence_mixer.filter_fn.pos_emb.t", "", buffer},
    {"backbone.layers.#.sequence_mixer.filter_fn.modulation.deltas", "", buffer},
};

constexpr NameFamily kFamilies[] = {
    {"hf", "mamba", kMamba},
    {"hf", "gpt_neox", kGptNeox},
    {"hf", "rwkv", kRwkv},
    {"state-spaces", "mamba", kStateSpaces},
    {"blinkdl", "rwkv", kBlinkRwkv},
    {"hf", "rwkv_mlp", kZoologyRwkv},
    {"hf", "hyena", kSafari},
    {"safari", "hyena", kSafari},
    {"zoology", "hyena", kZoologyHyena},
    {"zoology", "rwkv_mlp", kZoologyRwkv},
};

}  // namespace

std::span<const NameFamily> name_families() {
  return kFamilies;
}

}  // namespace farsight
