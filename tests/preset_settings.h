// The settings of a model by its name in settings, as `--model NAME --preset NAME` gives them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "models/model.h"
#include "train/from_settings.h"
#include "train/resolve.h"

namespace farsight {

inline Settings settings_of(std::string_view model, std::string_view preset) {
  return resolve({}, {{&setting_named("run.model"), std::string(model), "test"},
                      {&setting_named("run.preset"), std::string(preset), "test"}})
      .settings;
}

inline std::int64_t full_parameter_count(std::string_view model) {
  return model_of(settings_of(model, "full"), Device::meta).parameters->count();
}

}  // namespace farsight
