// "did you mean 'shuffle'?": the nearest of the names that exist.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace farsight {

/// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b` (optimal
/// string alignment distance).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The name with the least distance, or "" if none is near enough to be a slip (a third of the
/// length of the word, at least one edit); a name that begins with the word counts as near.
std::string_view nearest_name(std::string_view word, std::span<const std::string_view> names);

/// "; did you mean 'shuffle'?", or "" when nothing is near: the end of a sentence.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> names);

}  // namespace farsight
