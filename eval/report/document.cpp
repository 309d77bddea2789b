#include "eval/report/document.h"

#include "core/files.h"

namespace farsight {

namespace {

/// Adds caption, columns and rows to `json`.
void add_table(Json& json, const Table& table) {
  Json columns = Json::array();
  for (const Column& column : table.columns) {
    columns.push_back(column.heading);
  }
  Json rows = Json::array();
  for (const std::vector<TableCell>& row : table.rows) {
    Json cells = Json::array();
    for (const TableCell& cell : row) {
      Json entry = Json::object({{"text", cell.text}});
      if (cell.verdict != Verdict::none) entry["verdict"] = name_of(cell.verdict);
      if (!cell.note.empty()) entry["note"] = cell.note;
      cells.push_back(std::move(entry));
    }
    rows.push_back(std::move(cells));
  }
  json["caption"] = table.caption;
  json["columns"] = std::move(columns);
  json["rows"] = std::move(rows);
}

/// The members of each kind of block beside "kind".
struct BlockJson {
  const std::filesystem::path& folder;

  Json operator()(const Paragraph& paragraph) const {
    Json json = Json::object({{"kind", "paragraph"}, {"text", paragraph.text}});
    if (paragraph.verdict != Verdict::none) json["verdict"] = name_of(paragraph.verdict);
    return json;
  }
  Json operator()(const List& list) const {
    return Json::object({{"kind", "list"}, {"items", Json::array_of(list.items)}});
  }
  Json operator()(const Preformatted& text) const {
    return Json::object({{"kind", "preformatted"}, {"text", text.text}});
  }
  Json operator()(const Heading& heading) const {
    return Json::object({{"kind", "heading"}, {"text", heading.text}});
  }
  Json operator()(const Table& table) const {
    Json json = Json::object({{"kind", "table"}});
    add_table(json, table);
    return json;
  }
  Json operator()(const NamedValues& values) const {
    Json entries = Json::array();
    for (const NamedValues::Entry& entry : values.entries) {
      Json json = Json::object({{"name", entry.name}, {"value", entry.value}});
      if (!entry.note.empty()) json["note"] = entry.note;
      entries.push_back(std::move(json));
    }
    return Json::object({{"kind", "values"}, {"caption", values.caption}, {"entries", entries}});
  }
  Json operator()(const Figure& figure) const {
    Json files = Json::array();
    for (const std::filesystem::path& file : figure.files) {
      files.push_back(file.lexically_proximate(folder).generic_string());
    }
    Json json = Json::object({{"kind", "figure"},
                              {"name", figure.name},
                              {"caption", figure.caption},
                              {"drawn", !figure.svg.empty()},
                              {"files", files}});
    if (!figure.note.empty()) json["note"] = figure.note;
    if (!figure.data.rows.empty()) add_table(json["data"], figure.data);
    return json;
  }
};

}  // namespace

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::none:
      return "";
    case Verdict::pass:
      return "pass";
    case Verdict::fail:
      return "fail";
    case Verdict::missing:
      return "missing";
  }
  return "";
}

Json to_json(const Report& report, const std::filesystem::path& folder) {
  Json sections = Json::array();
  for (const ReportSection& section : report.sections) {
    Json blocks = Json::array();
    for (const Block& block : section.blocks) {
      blocks.push_back(std::visit(BlockJson{folder}, block));
    }
    sections.push_back(Json::object({{"heading", section.heading}, {"blocks", blocks}}));
  }
  return Json::object({{"title", report.title},
                       {"summary", Json::array_of(report.summary)},
                       {"sections", sections},
                       {"footer", report.footer}});
}

void write_report(const std::filesystem::path& folder, std::string_view stem,
                  const Report& report) {
  const std::filesystem::path base = folder / stem;
  write_file_atomically(base.string() + ".html", to_html(report, folder));
  write_file_atomically(base.string() + ".md", to_markdown(report, folder));
  write_file_atomically(base.string() + ".json", to_json(report, folder).dump(2) + '\n');
}

}  // namespace farsight
