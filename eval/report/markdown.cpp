#include <fmt/format.h>

#include <algorithm>

#include "eval/report/document.h"
#include "eval/report/text.h"

namespace farsight {

namespace {

/// Before a text.
std::string mark_of(Verdict verdict) {
  return verdict == Verdict::none ? "" : fmt::format("{} ", symbol_of(verdict));
}

/// A fence longer than any run of backquotes within.
std::string fenced(std::string_view text) {
  std::size_t longest = 2;
  std::size_t run = 0;
  for (const char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(longest + 1, '`');
  return fence + '\n' + readable(text, Breaks::kept) + (text.ends_with('\n') ? "" : "\n") + fence +
         "\n\n";
}

/// A link's address: a name may hold what would end it.
std::string address(const std::filesystem::path& file, const std::filesystem::path& folder) {
  std::string text;
  for (const char c : file.lexically_proximate(folder).generic_string()) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain =
        std::isalnum(byte) != 0 || std::string_view("-_./~").find(c) != std::string_view::npos;
    text += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return text;
}

/// A cell's text: its lines on the one line that a row is.
std::string lines_markdown(std::string_view text) {
  std::string markdown;
  while (true) {
    const std::size_t end = text.find('\n');
    markdown += markdown_inline(text.substr(0, end));
    if (end == std::string_view::npos) return markdown;
    markdown += "<br>";
    text.remove_prefix(end + 1);
  }
}

struct BlockMarkdown {
  const std::filesystem::path& folder;

  std::string operator()(const Paragraph& paragraph) const {
    return fmt::format("{}{}\n\n", mark_of(paragraph.verdict), markdown_inline(paragraph.text));
  }
  std::string operator()(const List& list) const {
    std::string text;
    for (const std::string& item : list.items) {
      text += fmt::format("- {}\n", markdown_inline(item));
    }
    return text + '\n';
  }
  std::string operator()(const Preformatted& block) const { return fenced(block.text); }
  std::string operator()(const Heading& heading) const {
    return fmt::format("### {}\n\n", markdown_inline(heading.text));
  }
  std::string operator()(const Table& table) const {
    std::string text = caption(table.caption) + '|';
    std::string rule = "|";
    for (const Column& column : table.columns) {
      text += fmt::format(" {} |", markdown_inline(column.heading));
      rule += column.align == Align::number ? "---:|" : "---|";
    }
    text += '\n' + rule + '\n';
    for (const std::vector<TableCell>& row : table.rows) {
      text += '|';
      for (const TableCell& cell : row) {
        const std::string note =
            cell.note.empty() ? "" : fmt::format("<br>({})", markdown_inline(cell.note));
        text += fmt::format(" {}{}{} |", mark_of(cell.verdict), lines_markdown(cell.text), note);
      }
      text += '\n';
    }
    return text + '\n';
  }
  std::string operator()(const NamedValues& values) const {
    const bool notes = std::any_of(values.entries.begin(), values.entries.end(),
                                   [](const auto& entry) { return !entry.note.empty(); });
    std::string text = caption(values.caption);
    text += notes ? "| name | value | from |\n|---|---|---|\n" : "| name | value |\n|---|---|\n";
    for (const NamedValues::Entry& entry : values.entries) {
      text += fmt::format("| {} | {} |", markdown_inline(entry.name), markdown_inline(entry.value));
      if (notes) text += fmt::format(" {} |", markdown_inline(entry.note));
      text += '\n';
    }
    return text + '\n';
  }
  std::string operator()(const Figure& figure) const {
    std::string text;
    if (!figure.svg.empty()) {
      text += fmt::format("![{}]({})\n\n", markdown_inline(figure.caption),
                          address(figure.files.front(), folder));
    }
    text += caption(figure.caption);
    if (!figure.note.empty()) text += markdown_inline(figure.note) + "\n\n";
    if (figure.svg.empty() && !figure.data.rows.empty()) text += (*this)(figure.data);
    std::string links;
    for (const std::filesystem::path& file : figure.files) {
      links += fmt::format("{}[{}]({})", links.empty() ? "Files: " : ", ",
                           markdown_inline(file.filename().string()), address(file, folder));
    }
    return links.empty() ? text : text + links + "\n\n";
  }

 private:
  static std::string caption(std::string_view text) {
    return text.empty() ? "" : fmt::format("{}\n\n", markdown_inline(text));
  }
};

}  // namespace

std::string to_markdown(const Report& report, const std::filesystem::path& folder) {
  std::string text = fmt::format("# {}\n\n", markdown_inline(report.title));
  for (const std::string& line : report.summary) {
    text += markdown_inline(line) + "\\\n";
  }
  if (!report.summary.empty()) text.replace(text.size() - 2, 2, "\n\n");
  for (const ReportSection& section : report.sections) {
    text += fmt::format("## {}\n\n", markdown_inline(section.heading));
    for (const Block& block : section.blocks) {
      text += std::visit(BlockMarkdown{folder}, block);
    }
  }
  if (!report.footer.empty()) text += fmt::format("---\n\n{}\n\n", markdown_inline(report.footer));
  text.pop_back();  // ends with one line break
  return text;
}

}  // namespace farsight
