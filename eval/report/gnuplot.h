// What the figures share: words of a gnuplot script, the colours, and running it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "eval/report/figure.h"

namespace farsight {

/// A string of a gnuplot script, whatever the text holds.
std::string gnuplot_string(std::string_view text);

/// The same for a mark of an axis, where % begins the format of a number.
std::string gnuplot_mark(std::string_view text);

/// The colour of series `index`, readable on white and on black: "#2f7fc1".
std::string_view series_colour(std::size_t index);

/// Terminal, output NAME.svg, and the calm look all figures have: two axes, faint lines at the
/// marks of y, no frame.
std::string script_beginning(const std::string& name, int width, int height);

/// "[0:100]"
std::string gnuplot_range(const Range& range);

/// Throws Error(internal) unless `name` may be the name of a file everywhere.
void check_figure_name(const std::string& name);

/// folder/NAME.ENDING
std::filesystem::path figure_file(const std::filesystem::path& folder, const std::string& name,
                                  std::string_view ending);

/// Writes NAME.gp and runs it in `folder`. The picture that an older script drew is removed first. That
/// there is no gnuplot is said on stderr as well, once.
struct Drawing {
  std::string svg;      ///< cleaned; empty if there is none
  std::string problem;  ///< why there is none, a sentence
};
Drawing draw(const std::filesystem::path& folder, const std::string& name,
             const std::string& script, const Gnuplot& gnuplot);

/// For a figure that has no numbers yet: neither a script nor a picture of others.
void remove_drawing(const std::filesystem::path& folder, const std::string& name);

/// What a figure's files are, in the order of Figure::files, and its picture or why there is none.
void add_drawing(Figure& figure, const std::filesystem::path& folder, const Drawing& drawing);

}  // namespace farsight
