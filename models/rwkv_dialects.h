// What HazyResearch/zoology, which the paper's code is made from, saves beside the weights of its
// RWKV, and reads: its ModelConfig as JSON.
#pragma once

#include "core/json.h"

namespace farsight {

/// Whether a configuration of zoology has RWKV's time mixer.
bool is_zoology_rwkv(const Json& config);
/// config.json of models/rwkv.h, the authors' form. Throws Error(corrupt) naming the key for what this
/// model has no form of: another state mixer than the MLP, say.
Json rwkv_from_zoology(const Json& config);
/// The other way round. Throws Error(data) for sizes that zoology has no words for.
Json zoology_from_rwkv(const Json& config);

}  // namespace farsight
