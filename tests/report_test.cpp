#include "eval/report/document.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "eval/report/svg.h"
#include "eval/report/text.h"
#include "tests/report_example.h"
#include "tests/temporary_folder.h"

using namespace farsight;

namespace {

/// No picture, and no time for one.
const Gnuplot kNoGnuplot{.program = "/nonexistent/gnuplot"};

std::size_t occurrences(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + part.size())) {
    count++;
  }
  return count;
}

/// The first thing wrong with the nesting of a page's elements; empty if nothing is.
std::string nesting_error(std::string_view html) {
  static const std::set<std::string> kVoid = {"!DOCTYPE", "meta", "link", "br"};
  std::vector<std::string> open;
  for (std::size_t at = html.find('<'); at != std::string_view::npos; at = html.find('<', at + 1)) {
    const std::size_t end = html.find('>', at);
    if (end == std::string_view::npos) return "a tag that does not end";
    const std::string_view tag = html.substr(at + 1, end - at - 1);
    const std::string name(tag.substr(0, tag.find_first_of(" \n\t/", 1)));
    if (tag.starts_with('/')) {
      if (open.empty() || "/" + open.back() != tag) return "</" + std::string(tag.substr(1)) + ">";
      open.pop_back();
    } else if (!tag.ends_with('/') && !kVoid.contains(name)) {
      open.push_back(name);
    }
  }
  return open.empty() ? "" : "never closed: " + open.back();
}

/// The values of an attribute, in order.
std::vector<std::string> values_of(std::string_view html, const std::string& attribute) {
  std::vector<std::string> values;
  for (const char* quote : {"\"", "'"}) {
    const std::string start = " " + attribute + "=" + quote;
    for (std::size_t at = html.find(start); at != std::string_view::npos;
         at = html.find(start, at + 1)) {
      const std::size_t begin = at + start.size();
      values.emplace_back(html.substr(begin, html.find(quote, begin) - begin));
    }
  }
  return values;
}

Report one_block(Block block) {
  return {.title = "T", .sections = {{"S", {std::move(block)}}}};
}

}  // namespace

TEST_CASE("report: text of any kind is cleaned for every form") {
  CHECK(readable("a\tb\nc") == "a b c");
  CHECK(readable("a\tb\nc", Breaks::kept) == "a\tb\nc");
  CHECK(readable("\x1b[31m") == "\xEF\xBF\xBD[31m");
  CHECK(readable(std::string_view("a\0b", 3)) ==
        "a\xEF\xBF\xBD"
        "b");
  CHECK(readable("\xff\xc3") == "\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(readable("é ≤ 😀") == "é ≤ 😀");
  CHECK(readable("a\xE2\x80\xAE"
                 "b") ==
        "a\xEF\xBF\xBD"
        "b");  // right-to-left override
  CHECK(readable("").empty());

  CHECK(html_escaped("<a href=\"x\">'&'</a>") ==
        "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
  CHECK(html_inline("run `a<b` now") == "run <code>a&lt;b</code> now");
  CHECK(html_inline("one ` alone") == "one ` alone");

  CHECK(markdown_inline("a_b d_model _x_ 2*3") == "a_b d_model \\_x\\_ 2\\*3");
  CHECK(markdown_inline("# no heading") == "\\# no heading");
  CHECK(markdown_inline("- no list") == "\\- no list");
  CHECK(markdown_inline("1. no list") == "1\\. no list");
  CHECK(markdown_inline("99.72 - 1") == "99.72 - 1");
  CHECK(markdown_inline("a|b `c|d` ![x](y) <b> &amp; $z$") ==
        "a\\|b `c\\|d` !\\[x\\](y) \\<b\\> \\&amp; \\$z\\$");

  CHECK(csv_field("plain") == "plain");
  CHECK(csv_field("a,\"b\"\nc") == "\"a,\"\"b\"\" c\"");
  CHECK(csv_number(0.1) == "0.1");
  CHECK(csv_number(0.1F) == "0.1");
  CHECK(csv_number(1e-300) == "1e-300");
  CHECK(csv_number(std::nan("")) == "nan");
  CHECK(csv_number(-HUGE_VAL) == "nan");
}

TEST_CASE("report: the page is whole, holds no script and needs nothing from outside") {
  const TemporaryFolder folder;
  const std::string html = to_html(example_report(folder.path()), folder.path());
  CHECK(nesting_error(html) == "");
  CHECK(!mentions(html, "<script"));
  CHECK(!mentions(html, "<iframe"));
  CHECK(mentions(html, "default-src 'none'"));
  CHECK(mentions(html, "&lt;script&gt;alert(1)&lt;/script&gt;"));
  // Namespaces are names, not addresses.
  CHECK(occurrences(html, "http://") == occurrences(html, "http://www.w3.org/"));
  CHECK(!mentions(html, "https://"));
  CHECK(values_of(html, "src").empty());
  for (const std::string& address : values_of(html, "href")) {
    const bool inside = address.starts_with('#') || address == "data:,";
    CHECK_MESSAGE((inside || std::filesystem::exists(folder / address)), address);
  }
  const std::vector<std::string> ids = values_of(html, "id");
  CHECK(ids.size() == std::set<std::string>(ids.begin(), ids.end()).size());
  for (const std::string& reference : values_of(html, "xlink:href")) {
    if (!reference.starts_with('#')) continue;  // a picture in the picture
    CHECK_MESSAGE(std::count(ids.begin(), ids.end(), reference.substr(1)) == 1, reference);
  }
  CHECK(to_html(Report{}).size() > 100);
  CHECK(nesting_error(to_html(Report{})) == "");
}

TEST_CASE("report: a verdict is a symbol and a word as well as a colour") {
  const std::string html = to_html(one_block(example_table()));
  CHECK(occurrences(html, "<b role=\"img\" aria-label=\"pass\">✓</b>&nbsp;") == 4);
  CHECK(occurrences(html, "<b role=\"img\" aria-label=\"fail\">✗</b>&nbsp;") == 1);
  CHECK(occurrences(html, "<b role=\"img\" aria-label=\"missing\">○</b>&nbsp;") == 1);
  CHECK(mentions(html, "✓ as expected"));
  CHECK(mentions(html, "<td class=\"number fail\">"));
  CHECK(mentions(html, "<th scope=\"row\">standard</th>"));
  const std::string plain = to_html(one_block(example_wide_table()));
  CHECK(!mentions(plain, "as expected"));

  const std::string markdown = to_markdown(one_block(example_table()));
  CHECK(mentions(markdown, "| test | standard | last | shuffle |\n|---|---:|---:|---:|\n"));
  CHECK(mentions(markdown, "| shuffle | ✗ 52.37 ± 6.01<br>(paper 22.37, ceiling 99.9) |"));
  const Json json = to_json(one_block(example_table()));
  const Json& table = json.at("sections").at(0).at("blocks").at(0);
  CHECK(table.at("kind").as_string() == "table");
  CHECK(table.at("rows").at(2).at(1).at("verdict").as_string() == "fail");
  CHECK(table.at("rows").at(2).at(1).at("note").as_string() == "paper 22.37, ceiling 99.9");
  CHECK(!table.at("rows").at(0).at(0).contains("verdict"));
}

TEST_CASE("report: Markdown keeps its tables whatever the cells hold") {
  Table table{.caption = kHostileName, .columns = {{kHostileName}, {"n", Align::number}}};
  table.rows = {{{kHostileName}, {"1"}}, {{"a\nb"}, {"`x|y`"}}};
  const std::string markdown = to_markdown(one_block(table));
  std::size_t rows = 0;
  for (std::size_t begin = 0; begin < markdown.size();) {
    const std::size_t end = markdown.find('\n', begin);
    const std::string line = markdown.substr(begin, end - begin);
    begin = end + 1;
    if (!line.starts_with('|')) continue;
    rows++;
    CHECK_MESSAGE(occurrences(line, "|") - occurrences(line, "\\|") == 3, line);
  }
  CHECK(rows == 4);
  CHECK(mentions(markdown, "| a<br>b |"));
  CHECK(mentions(to_html(one_block(table)), "<th scope=\"row\">a<br>b</th>"));
  CHECK(!mentions(markdown, "\x1b"));
  CHECK(!mentions(markdown, "[c]("));
  const std::string fenced = to_markdown(one_block(Preformatted{"```\n# not a heading\n```"}));
  CHECK(mentions(fenced, "````\n```\n# not a heading\n```\n````\n"));
  CHECK(to_markdown(Report{.title = "T", .summary = {"a", "b"}}) == "# T\n\na\\\nb\n");
}

TEST_CASE("report: JSON holds every block and reads back") {
  const TemporaryFolder folder;
  write_report(folder.path(), "report", example_report(folder.path(), kNoGnuplot));
  const Json json = read_json(folder / "report.json");
  CHECK(json.at("title").as_string() == "Shortcuts of Mamba, pocket preset");
  CHECK(json.at("summary").size() == 2);
  CHECK(json.at("sections").size() == 4);
  std::set<std::string> kinds;
  for (const Json& section : json.at("sections").elements()) {
    for (const Json& block : section.at("blocks").elements()) {
      kinds.insert(block.at("kind").as_string());
    }
  }
  CHECK(kinds == std::set<std::string>{"paragraph", "list", "preformatted", "table", "values",
                                       "figure", "heading"});
  const Json& figure = json.at("sections").at(1).at("blocks").at(0);
  CHECK(figure.at("name").as_string() == "noise");
  CHECK(!figure.at("drawn").as_bool());
  CHECK(figure.at("files").at(0).as_string() == "noise.gp");
  CHECK(figure.at("data").at("rows").size() == 7);
  CHECK(std::filesystem::exists(folder / "report.html"));
  CHECK(std::filesystem::exists(folder / "report.md"));
}

TEST_CASE("report: files of figures are named from where the page lies") {
  const TemporaryFolder folder;
  const Figure figure = write_figure(folder / "figures", "noise", example_lines(), kNoGnuplot);
  const Report report = one_block(figure);
  CHECK(mentions(to_html(report, folder.path()), "href=\"figures/noise.csv\""));
  CHECK(mentions(to_markdown(report, folder.path()), "(figures/noise.csv)"));
  CHECK(mentions(to_json(report, folder.path()).dump(), "\"figures/noise.csv\""));
}

TEST_CASE("report: pictures in a page change only within tags") {
  const std::string svg =
      "<svg viewBox=\"0 0 500 300\" style=\"background:#fff\"><defs><path id='a' d='M0,0'/></defs>"
      "<use xlink:href='#a' fill='url(#a)'/><text> id='a' href='#a' url(#a)</text></svg>";
  const std::string inlined = inlined_svg(svg, "f1-", "a label");
  CHECK(mentions(inlined, "<path id='f1-a'"));
  CHECK(mentions(inlined, "xlink:href='#f1-a'"));
  CHECK(mentions(inlined, "fill='url(#f1-a)'"));
  CHECK(mentions(inlined, "<text> id='a' href='#a' url(#a)</text>"));
  CHECK(mentions(inlined, "max-width:500px"));
  CHECK(mentions(inlined, "aria-label=\"a label\""));
  CHECK(cleaned_svg("no picture").empty());
  const std::string cleaned = cleaned_svg(
      "<?xml version=\"1.0\"?>\n<svg a=\"b\"><title>x</title><g color=\"black\">\n</g>\n<g stroke="
      "'black'><text fill=\"black\">stroke='black'</text></g></svg>");
  CHECK(cleaned ==
        "<svg style=\"background:#fff\" a=\"b\"><g stroke='currentColor'><text "
        "fill=\"currentColor\">stroke='black'</text></g></svg>");
}

// tests/report_page_test.sh opens it.
TEST_CASE("report: the example for the browser is written") {
  const std::filesystem::path folder = FARSIGHT_BINARY_DIR "/report-example";
  std::filesystem::create_directories(folder);
  write_report(folder, "report", example_report(folder));
  CHECK(std::filesystem::file_size(folder / "report.html") > 10'000);
}
