// What `make crash` counts, and how much of it: runs that are killed (KILLS), ranks that die (DEATHS, at
// each moment), disks that fail, bits that flip (FLIPS). `make test` does the same with fewer.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace farsight {

inline int crash_count(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  if (text == nullptr || *text == '\0') return otherwise;
  const std::string_view word = text;
  int count = 0;
  const auto [rest, error] = std::from_chars(word.data(), word.data() + word.size(), count);
  REQUIRE_MESSAGE((error == std::errc() && rest == word.data() + word.size() && count > 0),
                  variable, " must be a number, got ", word);
  return count;
}

inline void say(const std::string& line) {
  fmt::print("crash: {}\n", line);
  std::fflush(stdout);
}

}  // namespace farsight
