// Tiny RWKVs of odd sizes in both forms.
#pragma once

#include <string>

#include "models/rwkv.h"

namespace farsight {

inline constexpr RwkvConfig kAuthors{
    .vocab_size = 13, .d_model = 6, .n_layer = 3, .d_ff = 10, .l_max = 90, .embed_dropout = 0.25};
inline constexpr RwkvConfig kPublished{.form = RwkvForm::published,
                                       .vocab_size = 13,
                                       .d_model = 6,
                                       .n_layer = 3,
                                       .d_ff = 14,
                                       .embed_dropout = 0};
inline constexpr RwkvConfig kBoth[] = {kAuthors, kPublished};

inline std::string form_of(const RwkvConfig& config) {
  return config.published() ? "published" : "authors";
}

}  // namespace farsight
