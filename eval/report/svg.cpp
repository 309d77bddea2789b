#include "eval/report/svg.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace farsight {

namespace {

constexpr double kSmallest = 0.72;  // of the width drawn for

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

/// Calls change(tag) on every <tag ...>, in order; the text between is left as it is: it may hold
/// anything.
template <class Change>
std::string with_tags(std::string_view svg, const Change& change) {
  std::string out;
  while (true) {
    const std::size_t open = svg.find('<');
    const std::size_t close = open == std::string_view::npos ? open : svg.find('>', open);
    if (close == std::string_view::npos) break;
    out += svg.substr(0, open);
    std::string tag(svg.substr(open, close - open + 1));
    change(tag);
    out += tag;
    svg.remove_prefix(close + 1);
  }
  return out + std::string(svg);
}

/// Cuts every <name ...> ... </name>.
std::string without_element(std::string_view svg, std::string_view name) {
  const std::string open = fmt::format("<{}", name);
  const std::string close = fmt::format("</{}>", name);
  std::string out;
  while (true) {
    const std::size_t begin = svg.find(open);
    const std::size_t end = begin == std::string_view::npos ? begin : svg.find(close, begin);
    if (end == std::string_view::npos) break;
    out += svg.substr(0, begin);
    svg.remove_prefix(end + close.size());
  }
  return out + std::string(svg);
}

/// gnuplot opens a group for every change of its pen, drawn with or not.
std::string without_empty_groups(std::string_view svg) {
  std::string out;
  while (true) {
    const std::size_t end = svg.find("</g>");
    if (end == std::string_view::npos) break;
    const std::size_t begin = svg.rfind("<g ", end);
    const std::size_t inside = begin == std::string_view::npos ? begin : svg.find('>', begin);
    const bool empty =
        inside < end && svg.substr(inside + 1, end - inside - 1).find_first_not_of(" \t\n") ==
                            std::string_view::npos;
    out += svg.substr(0, empty ? begin : end + 4);
    svg.remove_prefix(end + 4);
    if (empty && svg.starts_with('\n')) svg.remove_prefix(1);
  }
  return out + std::string(svg);
}

/// The third number of viewBox: pixels at the size it was drawn for.
double drawn_width(std::string_view root) {
  constexpr std::string_view kStart = "viewBox=\"0 0 ";
  const std::size_t at = root.find(kStart);
  double width = 0;
  if (at != std::string_view::npos) {
    std::from_chars(root.data() + at + kStart.size(), root.data() + root.size(), width);
  }
  return width > 0 ? width : 760;
}

}  // namespace

std::string cleaned_svg(std::string_view drawn) {
  const std::size_t root = drawn.find("<svg");
  if (root == std::string_view::npos) return "";
  std::string svg = without_element(drawn.substr(root), "title");
  svg = without_element(svg, "desc");
  svg = without_element(svg, "filter");
  svg = without_empty_groups(svg);
  bool first = true;
  return with_tags(svg, [&](std::string& tag) {
    if (tag.starts_with("<image")) {
      // The cells of a matrix are squares, not a blur.
      tag.insert(6, " style='image-rendering:pixelated'");
      return;
    }
    for (const char* attribute : {"stroke", "fill"}) {
      for (const char* quote : {"'", "\""}) {
        replace_all(tag, fmt::format("{}={}black{}", attribute, quote, quote),
                    fmt::format("{}={}currentColor{}", attribute, quote, quote));
      }
    }
    replace_all(tag, " color=\"black\"", "");
    if (first) tag.insert(4, " style=\"background:#fff\"");
    first = false;
  });
}

std::string inlined_svg(std::string_view svg, std::string_view prefix, std::string_view label) {
  bool first = true;
  return with_tags(svg, [&](std::string& tag) {
    for (const char* quote : {"'", "\""}) {
      replace_all(tag, fmt::format(" id={}", quote), fmt::format(" id={}{}", quote, prefix));
      replace_all(tag, fmt::format("href={}#", quote), fmt::format("href={}#{}", quote, prefix));
    }
    replace_all(tag, "url(#", fmt::format("url(#{}", prefix));
    if (first) {
      // Never larger than drawn; smaller, but not so small that its letters cannot be read.
      const double width = drawn_width(tag);
      replace_all(
          tag, "style=\"background:#fff\"",
          fmt::format("role=\"img\" aria-label=\"{}\" style=\"max-width:{}px;min-width:{}px\"",
                      label, width, std::round(kSmallest * width)));
    }
    first = false;
  });
}

}  // namespace farsight
