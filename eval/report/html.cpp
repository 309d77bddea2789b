#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "eval/report/document.h"
#include "eval/report/page_style.h"
#include "eval/report/svg.h"
#include "eval/report/text.h"

namespace farsight {

namespace {

std::string_view meaning_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::none:
      return "";
    case Verdict::pass:
      return "as expected";
    case Verdict::fail:
      return "not as expected";
    case Verdict::missing:
      return "nothing to judge";
  }
  return "";
}

/// The symbol, which a screen reader reads as the word.
std::string mark_of(Verdict verdict) {
  if (verdict == Verdict::none) return "";
  return fmt::format("<b role=\"img\" aria-label=\"{}\">{}</b>&nbsp;", name_of(verdict),
                     symbol_of(verdict));
}

/// ` class="number pass"`
std::string class_of(Align align, Verdict verdict) {
  std::string names = align == Align::number ? "number" : "";
  if (verdict != Verdict::none) {
    if (!names.empty()) names += ' ';
    names += name_of(verdict);
  }
  return names.empty() ? "" : fmt::format(" class=\"{}\"", names);
}

/// What the symbols in a table mean, those that occur.
std::string legend_of(const Table& table) {
  std::string legend;
  for (const Verdict verdict : {Verdict::pass, Verdict::fail, Verdict::missing}) {
    const auto has = [verdict](const TableCell& cell) { return cell.verdict == verdict; };
    const bool used = std::any_of(table.rows.begin(), table.rows.end(), [&](const auto& row) {
      return std::any_of(row.begin(), row.end(), has);
    });
    if (!used) continue;
    legend += fmt::format("<span>{} {}</span> ", symbol_of(verdict), meaning_of(verdict));
  }
  return legend.empty() ? "" : fmt::format("<p class=\"legend\">{}</p>\n", legend);
}

/// Line breaks are kept.
std::string lines_html(std::string_view text) {
  std::string html;
  for (const char c : html_inline(text)) {
    if (c == '\n') {
      html += "<br>";
    } else {
      html += c;
    }
  }
  return html;
}

std::string cell_html(const TableCell& cell, Align align, bool first) {
  const std::string_view element = first ? "th" : "td";
  const std::string note =
      cell.note.empty() ? "" : fmt::format("<small>{}</small>", html_inline(cell.note));
  // Bold only where it was judged; the colour of a verdict lies behind it.
  return fmt::format("<{}{}{}>{}{}{}</{}>", element, first ? " scope=\"row\"" : "",
                     class_of(align, cell.verdict), mark_of(cell.verdict), lines_html(cell.text),
                     note, element);
}

std::string table_html(const Table& table) {
  std::string html = "<table>\n<thead><tr>";
  for (const Column& column : table.columns) {
    html += fmt::format("<th scope=\"col\"{}>{}</th>", class_of(column.align, Verdict::none),
                        html_inline(column.heading));
  }
  html += "</tr></thead>\n<tbody>\n";
  for (const std::vector<TableCell>& row : table.rows) {
    html += "<tr>";
    for (std::size_t i = 0; i < row.size(); i++) {
      const Align align = i < table.columns.size() ? table.columns[i].align : Align::text;
      html += cell_html(row[i], align, i == 0);
    }
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table>\n";
}

/// A box that scrolls by itself when its content is wider than the window; the keyboard reaches it.
std::string scrolling(std::string_view name, const std::string& content) {
  return fmt::format(
      "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">\n{}"
      "</div>\n",
      html_escaped(name), content);
}

class Page {
 public:
  explicit Page(const std::filesystem::path& folder) : folder_(folder) {}

  std::string operator()(const Paragraph& paragraph) {
    return fmt::format("<p{}>{}{}</p>\n", class_of(Align::text, paragraph.verdict),
                       mark_of(paragraph.verdict), html_inline(paragraph.text));
  }
  std::string operator()(const List& list) {
    std::string html = "<ul>\n";
    for (const std::string& item : list.items) {
      html += fmt::format("<li>{}</li>\n", html_inline(item));
    }
    return html + "</ul>\n";
  }
  std::string operator()(const Preformatted& text) {
    return fmt::format("<pre tabindex=\"0\">{}</pre>\n", html_escaped(text.text));
  }
  std::string operator()(const Heading& heading) {
    return fmt::format("<h3>{}</h3>\n", html_inline(heading.text));
  }
  std::string operator()(const Table& table) {
    const std::string caption = table.caption.empty() ? ""
                                                      : fmt::format("<figcaption>{}</figcaption>\n",
                                                                    html_inline(table.caption));
    return fmt::format(
        "<figure class=\"table\">\n{}{}{}</figure>\n", caption,
        scrolling(table.caption.empty() ? "table" : table.caption, table_html(table)),
        legend_of(table));
  }
  std::string operator()(const NamedValues& values) {
    std::string list = "<dl class=\"values\">\n";
    for (const NamedValues::Entry& entry : values.entries) {
      const std::string note =
          entry.note.empty() ? "" : fmt::format("<small>{}</small>", html_inline(entry.note));
      list += fmt::format("<dt>{}</dt><dd>{}{}</dd>\n", html_inline(entry.name),
                          html_inline(entry.value), note);
    }
    list += "</dl>\n";
    const std::string caption = html_inline(values.caption);
    if (values.folded) {
      return fmt::format("<details>\n<summary>{}</summary>\n{}</details>\n",
                         caption.empty() ? "Values" : caption, list);
    }
    return (caption.empty() ? "" : fmt::format("<p>{}</p>\n", caption)) + list;
  }
  std::string operator()(const Figure& figure) {
    std::string html = "<figure class=\"picture\">\n";
    if (!figure.svg.empty()) {
      figures_++;
      html += scrolling(figure.caption, inlined_svg(figure.svg, fmt::format("figure{}-", figures_),
                                                    html_escaped(figure.caption)));
    } else if (!figure.data.rows.empty()) {
      html += scrolling(figure.caption, table_html(figure.data));
    }
    html += fmt::format("<figcaption>{}", html_inline(figure.caption));
    if (!figure.note.empty()) html += fmt::format("<small>{}</small>", html_inline(figure.note));
    html += links(figure) + "</figcaption>\n";
    if (!figure.svg.empty() && !figure.data.rows.empty()) {
      html += fmt::format("<details>\n<summary>Numbers</summary>\n{}</details>\n",
                          scrolling("numbers of the figure", table_html(figure.data)));
    }
    return html + "</figure>\n";
  }

 private:
  /// The first of many, and the last.
  std::string links(const Figure& figure) const {
    constexpr std::size_t kMostLinks = 6;
    const std::size_t count = figure.files.size();
    std::string html;
    for (std::size_t i = 0; i < count; i++) {
      if (count > kMostLinks && i >= kMostLinks - 1 && i + 1 < count) {
        if (i == kMostLinks - 1) html += ", …";
        continue;
      }
      const std::filesystem::path& file = figure.files[i];
      const std::string address = file.lexically_proximate(folder_).generic_string();
      html += fmt::format("{}<a href=\"{}\">{}</a>", html.empty() ? "" : ", ",
                          html_escaped(address), html_escaped(file.filename().string()));
    }
    return html.empty() ? "" : fmt::format("<small>Files: {}</small>", html);
  }

  const std::filesystem::path& folder_;
  int figures_ = 0;
};

/// Links to the sections, where there are enough to get lost in.
std::string contents_of(const Report& report) {
  if (report.sections.size() < 4) return "";
  std::string html = "<nav aria-label=\"Sections\">\n";
  for (std::size_t i = 0; i < report.sections.size(); i++) {
    html += fmt::format("<a href=\"#section-{}\">{}</a>\n", i + 1,
                        html_inline(report.sections[i].heading));
  }
  return html + "</nav>\n";
}

}  // namespace

std::string to_html(const Report& report, const std::filesystem::path& folder) {
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'; img-src data:\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>{}</style>\n</head>\n"
      "<body>\n<header>\n<h1>{}</h1>\n",
      html_escaped(report.title), kPageStyle, html_inline(report.title));
  if (!report.summary.empty()) {
    html += "<div class=\"summary\">\n";
    for (const std::string& line : report.summary) {
      html += fmt::format("<p>{}</p>\n", html_inline(line));
    }
    html += "</div>\n";
  }
  html += contents_of(report) + "</header>\n<main>\n";
  Page page(folder);
  for (std::size_t i = 0; i < report.sections.size(); i++) {
    const ReportSection& section = report.sections[i];
    html += fmt::format("<section>\n<h2 id=\"section-{}\">{}</h2>\n", i + 1,
                        html_inline(section.heading));
    for (const Block& block : section.blocks) {
      html += std::visit(page, block);
    }
    html += "</section>\n";
  }
  html += "</main>\n";
  if (!report.footer.empty()) {
    html += fmt::format("<footer>\n<p>{}</p>\n</footer>\n", html_inline(report.footer));
  }
  return html + "</body>\n</html>\n";
}

}  // namespace farsight
