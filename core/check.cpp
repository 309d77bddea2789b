#include "core/check.h"

#include <fmt/format.h>

namespace farsight::detail {

namespace {

/// The path below the repository root: messages must not depend on where it was cloned.
std::string_view below_root(std::string_view path) {
  constexpr std::string_view here = "core/check.cpp";
  const std::string_view self = __FILE__;
  const std::size_t root = self.size() - here.size();
  return path.size() > root && path.substr(0, root) == self.substr(0, root) ? path.substr(root)
                                                                            : path;
}

}  // namespace

void fail(ExitCode code, fmt::string_view text, fmt::format_args args,
          const std::source_location* site) {
  std::string message = fmt::vformat(text, args);
  if (site != nullptr) {
    message += fmt::format(" ({}:{})", below_root(site->file_name()), site->line());
  }
  throw Error(code, message);
}

}  // namespace farsight::detail
