#include "eval/report/gnuplot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "core/check.h"
#include "core/child_process.h"
#include "core/files.h"
#include "eval/report/svg.h"
#include "eval/report/text.h"

namespace farsight {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostPictureBytes = std::uint64_t{1} << 26;

/// The first line that says something.
std::string first_line(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && line.back() == ' ')
      line.remove_suffix(1);
    if (line.find_first_not_of(" \t^") != std::string_view::npos) return readable(line);
  }
  return "it said nothing";
}

/// Empty when it went well, else a sentence.
std::string run_gnuplot(const fs::path& folder, const std::string& script, const Gnuplot& gnuplot) {
  constexpr std::size_t kMostWords = 4096;
  try {
    // -d: not what somebody has in ~/.gnuplot
    const ChildReport report =
        run_child({.words = {gnuplot.program, "-d", script}, .folder = folder},
                  gnuplot.timeout_seconds, kMostWords);
    if (!report.end) {
      return fmt::format("{} did not finish within {:g} s", gnuplot.program,
                         gnuplot.timeout_seconds);
    }
    if (report.end->exit_code < 0) {
      return fmt::format("{} was {}", gnuplot.program, report.end->text());
    }
    if (!report.end->well()) {
      return fmt::format("{} failed: {}", gnuplot.program,
                         first_line(report.output + '\n' + report.errors));
    }
    return "";
  } catch (const CannotStart& error) {
    if (!error.not_found()) return error.what();
    static std::once_flag said;  // a page has many figures
    std::call_once(said, [&] {
      fmt::print(stderr,
                 "{} is not installed: figures come as data and scripts, without pictures (apt "
                 "install gnuplot-nox, and make the page again)\n",
                 gnuplot.program);
    });
    return fmt::format("{} is not installed", gnuplot.program);
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

std::string gnuplot_string(std::string_view text) {
  std::string quoted = "'";
  for (const char c : readable(text)) {
    if (c == '\'') quoted += '\'';
    quoted += c;
  }
  return quoted + '\'';
}

std::string gnuplot_mark(std::string_view text) {
  std::string doubled;
  for (const char c : text) {
    if (c == '%') doubled += '%';
    doubled += c;
  }
  return gnuplot_string(doubled);
}

std::string_view series_colour(std::size_t index) {
  static constexpr auto kColours = std::to_array<std::string_view>(
      {"#2f7fc1", "#d2622a", "#2a9a6c", "#a565b5", "#b98a16", "#cf4f7a", "#1f9aae", "#7c838c"});
  return kColours[index % kColours.size()];
}

std::string script_beginning(const std::string& name, int width, int height) {
  return fmt::format(
      "# gnuplot {0}.gp   draws {0}.svg from the CSV beside it\n"
      "set encoding utf8\n"
      "set terminal svg size {1},{2} dynamic noenhanced font 'sans-serif,14' linewidth 1\n"
      "set output '{0}.svg'\n"
      "set datafile separator comma\n"
      "set border 3 linecolor rgb '#808890'\n"
      "set tics out nomirror scale 0.6\n"
      "set xtics offset 0,0.3\nset xlabel offset 0,0.4\n"
      "set format '%g'\n"
      "set grid ytics back linetype 1 linecolor rgb '#c8808890' linewidth 1\n",
      name, width, height);
}

std::string gnuplot_range(const Range& range) {
  return fmt::format("[{}:{}]", range.low, range.high);
}

void check_figure_name(const std::string& name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  };
  check(!name.empty() && std::all_of(name.begin(), name.end(), plain),
        "write_figure: name must consist of letters, digits, - and _, got '{}'", name);
}

fs::path figure_file(const fs::path& folder, const std::string& name, std::string_view ending) {
  return folder / fmt::format("{}.{}", name, ending);
}

Drawing draw(const fs::path& folder, const std::string& name, const std::string& script,
             const Gnuplot& gnuplot) {
  const fs::path picture = figure_file(folder, name, "svg");
  std::error_code ignored;
  fs::remove(picture, ignored);
  write_file_atomically(figure_file(folder, name, "gp"), script);
  std::string problem = run_gnuplot(folder, name + ".gp", gnuplot);
  std::string svg;
  if (problem.empty() && fs::exists(picture, ignored)) {
    svg = cleaned_svg(read_file(picture, kMostPictureBytes));
  }
  if (svg.empty()) {
    if (problem.empty()) problem = fmt::format("{} drew nothing", gnuplot.program);
    fs::remove(picture, ignored);
    return {.svg = "",
            .problem = fmt::format("No picture: {}. `gnuplot {}.gp` draws it from the data.",
                                   problem, name)};
  }
  write_file_atomically(picture, svg);
  return {.svg = svg, .problem = ""};
}

void remove_drawing(const fs::path& folder, const std::string& name) {
  std::error_code ignored;
  for (const char* ending : {"svg", "gp"}) {
    fs::remove(figure_file(folder, name, ending), ignored);
  }
}

void add_drawing(Figure& figure, const fs::path& folder, const Drawing& drawing) {
  figure.svg = drawing.svg;
  if (!drawing.problem.empty()) {
    figure.note += (figure.note.empty() ? "" : " ") + drawing.problem;
  }
  std::vector<fs::path> files = {figure_file(folder, figure.name, "gp")};
  if (!drawing.svg.empty()) files.insert(files.begin(), figure_file(folder, figure.name, "svg"));
  figure.files.insert(figure.files.begin(), files.begin(), files.end());
}

}  // namespace farsight
