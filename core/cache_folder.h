// Where this user's programs keep what they can make again.
#pragma once

#include <filesystem>

namespace farsight {

/// FARSIGHT_CACHE, else "farsight" in XDG_CACHE_HOME or in ~/.cache; empty when none of these is
/// known. The folder may not be there yet.
std::filesystem::path cache_folder();

}  // namespace farsight
