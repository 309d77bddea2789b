// What HazyResearch/safari and HazyResearch/zoology save beside the weights of a Hyena, and read: the
// settings of the model as JSON, and buffers.
#pragma once

#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/safetensors.h"

namespace farsight {

/// Whether `config` is one of safari's (the model section of its Hydra configuration) or zoology's
/// (its ModelConfig).
bool is_safari_config(const Json& config);
bool is_zoology_config(const Json& config);

/// config.json of models/hyena.h. Throws Error(corrupt) naming the key for what this model has no form
/// of.
Json hyena_from_safari(const Json& config);
Json hyena_from_zoology(const Json& config);
/// The other way round; a form has the words of one of them only: else Error(data).
Json safari_config(const Json& config);
Json zoology_config(const Json& config);

/// Time and decay rates, which both keep among the weights, under the names of `format` ("safari" or
/// "zoology").
std::vector<NamedTensor> hyena_buffers(const Json& config, std::string_view format);

}  // namespace farsight
