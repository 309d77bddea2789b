#include "train/default_file.h"

#include "core/check.h"
#include "data/known_files.h"

namespace farsight {

std::filesystem::path default_file(std::string_view title, const DefaultFile& file,
                                   const std::filesystem::path& asked) {
  const std::filesystem::path folder = named_data_directory(asked);
  require(!folder.empty(), ExitCode::usage,
          "{}: which {}? Give {}, or a data folder that has {}: --data-dir DIR, or "
          "FARSIGHT_DATA=DIR in the environment",
          title, file.what, file.option, file.path);
  const std::filesystem::path found = find_known(file.path, folder);
  require(!found.empty(), ExitCode::data,
          "{}: the data folder '{}' has no {}; give {}, or look how to get it: farsight data fetch "
          "--list",
          title, folder.string(), file.path, file.option);
  return found;
}

}  // namespace farsight
