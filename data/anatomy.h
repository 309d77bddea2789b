// What every token of an example is, and which place of the context each query asks for: from the
// tokens, the labels and the rules of the task, so that examples of others are read like our own.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "data/oracle.h"

namespace farsight {

enum class TokenRole : std::uint8_t { filler, key, value, query, placeholder, separator };
std::string_view role_name(TokenRole role);

struct Anatomy {
  Reading reading;
  std::vector<TokenRole> roles;  ///< [L]
  /// Of each query of the reading: the place that it asks for; none if the context binds its key to
  /// nothing that its labels say. Two queries have the same one only if the labels leave no other.
  std::vector<std::optional<Binding>> asked;
};

/// Throws what read_example throws. Of a task that follows no layout, only what its queries and
/// what they ask for are is told from filler.
Anatomy anatomy_of(const MqarTask& task, const Cell& cell, std::span<const std::int32_t> tokens,
                   std::span<const Label> labels);

}  // namespace farsight
