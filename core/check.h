// Errors: one exception type, one documented exit code each, one line per check.
//
//   check(w.dim(0) == D, "causal_conv1d: w must be [D={}, K], got {}", D, w.shape());
//     -> "causal_conv1d: w must be [D=1536, K], got [1536, 1, 4] (ops/causal_conv1d.cpp:9)"
//   require(steps > 0, ExitCode::usage, "--steps must be at least 1, got {}", steps);
//     -> the same sentence without the source position: it is meant for the person at the terminal.
//
// Formatting is out of line, so that a passing check costs one branch.
#pragma once

#include <fmt/core.h>

#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace farsight {

/// What the process exits with; documented in README.md ("Exit codes").
enum class ExitCode : int {
  ok = 0,
  internal = 1,      ///< a check of ours failed: a bug, or a misuse of the C++ API
  usage = 2,         ///< unknown or malformed option
  data = 3,          ///< a setting or a data set that cannot be honoured
  corrupt = 4,       ///< a file that is not what it claims to be
  storage = 5,       ///< a file that could not be read or written, a full disk
  diverged = 6,      ///< the loss or a gradient is not finite
  memory = 7,        ///< out of memory
  peer = 8,          ///< another rank was lost
  device = 9,        ///< the requested device is not there
  resumable = 75,    ///< a checkpoint was saved, run the same command again
  interrupted = 130  ///< Ctrl-C; a checkpoint was saved first
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// A format string that remembers where it was written.
template <class... Args>
struct SitedFormat {
  fmt::format_string<Args...> text;
  std::source_location site;

  template <class S>
  requires std::is_convertible_v<const S&, std::string_view>
  consteval SitedFormat(  // NOLINT(google-explicit-constructor): a string literal must convert
      const S& s, std::source_location where = std::source_location::current())
      : text(s), site(where) {}
};

namespace detail {
[[noreturn]] void fail(ExitCode code, fmt::string_view text, fmt::format_args args,
                       const std::source_location* site);
}

/// Throws Error(ExitCode::internal) with the source position unless `ok`.
template <class... Args>
inline void check(bool ok, SitedFormat<std::type_identity_t<Args>...> format, const Args&... args) {
  if (!ok) [[unlikely]] {
    detail::fail(ExitCode::internal, format.text, fmt::make_format_args(args...), &format.site);
  }
}

/// Throws Error(code) with a sentence for the user unless `ok`.
template <class... Args>
inline void require(bool ok, ExitCode code, fmt::format_string<std::type_identity_t<Args>...> text,
                    const Args&... args) {
  if (!ok) [[unlikely]] {
    detail::fail(code, text, fmt::make_format_args(args...), nullptr);
  }
}

/// Throws Error(code): for the branch that has no condition left to name.
template <class... Args>
[[noreturn]] inline void fail(ExitCode code, fmt::format_string<std::type_identity_t<Args>...> text,
                              const Args&... args) {
  detail::fail(code, text, fmt::make_format_args(args...), nullptr);
}

}  // namespace farsight
