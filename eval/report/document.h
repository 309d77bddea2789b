// A report as a value, and its three forms: one HTML page that opens without a network, Markdown,
// JSON. What is in it (a run, the tables of a paper) is the business of whoever composes it.
//
//   Report report{.title = "Table 1", .summary = {"Mamba, pocket preset"}};
//   Table table{.caption = "Pair accuracy, percent",
//               .columns = {{"test"}, {"standard", Align::number}}};
//   table.rows.push_back({{"last"}, {"99.35", Verdict::pass, "paper 99.35"}});
//   report.sections.push_back({"Positions", {Paragraph{"Rows are test sets."}, table}});
//   write_report(folder, "report", report);        // report.html, report.md, report.json
//
// Every text is plain: it may hold anything (<, &, |, *, control characters) and is shown as it is.
// The one mark is a pair of backquotes, `so`, in paragraphs, list items, captions and summaries:
// what is between is shown as code.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/json.h"

namespace farsight {

/// What was found of an expectation. Shown by a symbol and a word as well as by colour.
enum class Verdict : std::uint8_t {
  none,     ///< nothing was expected here
  pass,     ///< as expected
  fail,     ///< not as expected
  missing,  ///< there is nothing to judge yet: not run, failed, not in the paper
};
/// "", "pass", "fail", "missing"
std::string_view name_of(Verdict verdict);

/// Text to the left, numbers to the right with figures of equal width.
enum class Align : std::uint8_t { text, number };

struct Column {
  std::string heading;
  Align align = Align::text;
};

/// Not `Cell`, which is a configuration of a task (data/mqar.h). Line breaks in its text stay.
struct TableCell {
  std::string text;
  Verdict verdict = Verdict::none;
  std::string note{};  ///< in small letters below: "paper 80.98, ceiling 99.91"
};

struct Table {
  std::string caption{};
  std::vector<Column> columns{};
  std::vector<std::vector<TableCell>> rows{};  ///< each as long as columns
};

struct Paragraph {
  std::string text;
  Verdict verdict = Verdict::none;  ///< a finding: "Last-trained generalises better: 82 > 15"
};

/// Points, one below the other.
struct List {
  std::vector<std::string> items{};
};

/// Commands or text whose columns and line breaks count.
struct Preformatted {
  std::string text;
};

/// Settings, the environment: names with their values.
struct NamedValues {
  struct Entry {
    std::string name, value;
    std::string note{};  ///< where it comes from: "preset", "flag"
  };
  std::string caption{};
  std::vector<Entry> entries{};
  bool folded = false;  ///< in HTML: opened by a click (and in print)
};

/// A drawn figure; write_figure (eval/report/figure.h) makes it.
struct Figure {
  std::string name;       ///< of its files, without ending: "figure-4"
  std::string caption{};  ///< what is seen, and in which units
  std::string svg{};      ///< the picture, inlined in the page; empty when it could not be drawn
  std::string note{};  ///< what a reader must know of the drawing: reduced, or why it is not there
  std::vector<std::filesystem::path> files{};  ///< picture first, then script and data
  Table data{};                                ///< its numbers, where they are few enough to read
};

struct Heading {
  std::string text;  ///< of a part of a section
};

using Block = std::variant<Paragraph, List, Preformatted, Table, NamedValues, Figure, Heading>;

/// Not `Section`, which is a part of a configuration (models/config_section.h).
struct ReportSection {
  std::string heading;
  std::vector<Block> blocks{};
};

struct Report {
  std::string title;
  std::vector<std::string> summary{};  ///< lines below the title: what, where, when, the outcome
  std::vector<ReportSection> sections{};
  std::string footer{};  ///< version, date, the command to make it again
};

/// One file: styles and pictures inline, no script, no address outside (its security policy forbids
/// both). Light and dark by the reader's preference; wide tables scroll in a box of their own; it
/// prints. Data and scripts of figures are linked, relative to `folder`, where the page will lie.
std::string to_html(const Report& report, const std::filesystem::path& folder = ".");

/// GitHub's Markdown. Figures are links to their files, relative to `folder`; a verdict is a symbol
/// before the text.
std::string to_markdown(const Report& report, const std::filesystem::path& folder = ".");

/// {title, summary, sections: [{heading, blocks: [{kind, ...}]}], footer}; the kinds are paragraph,
/// list, preformatted, table, values, figure, heading. Pictures are named, not included.
Json to_json(const Report& report, const std::filesystem::path& folder = ".");

/// Writes folder/STEM.html, STEM.md and STEM.json, each atomically. Throws Error(storage).
void write_report(const std::filesystem::path& folder, std::string_view stem, const Report& report);

}  // namespace farsight
