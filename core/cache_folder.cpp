#include "core/cache_folder.h"

#include <cstdlib>

namespace farsight {
namespace fs = std::filesystem;

fs::path cache_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return fs::path(value == nullptr ? "" : value);
  };
  if (const fs::path own = variable("FARSIGHT_CACHE"); !own.empty()) return own;
  if (const fs::path cache = variable("XDG_CACHE_HOME"); !cache.empty()) return cache / "farsight";
  if (const fs::path home = variable("HOME"); !home.empty()) return home / ".cache" / "farsight";
  return {};
}

}  // namespace farsight
