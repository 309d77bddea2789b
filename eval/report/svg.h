// The pictures that gnuplot draws, made fit to stand in a page, several of them, light or dark.
#pragma once

#include <string>
#include <string_view>

namespace farsight {

/// gnuplot's SVG as it is kept: without the XML declaration, comments, the names that would pop up
/// under the mouse and the groups in which nothing is drawn; what was black takes the colour of the
/// text round it; on white where it stands alone.
std::string cleaned_svg(std::string_view drawn);

/// For the inside of a page: every id, and every reference to one, begins with `prefix`; `label`
/// (already escaped) says what is seen to those who do not see it.
std::string inlined_svg(std::string_view svg, std::string_view prefix, std::string_view label);

}  // namespace farsight
