#include "train/repro/plain_text.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "train/reference.h"
#include "train/repro/repro_tables.h"

namespace farsight {
namespace {

constexpr std::size_t kPlainColumns = 100;
constexpr std::size_t kFewestColumns = 60;  // narrower terminals fold the lines themselves

/// `text` in lines of at most `width` bytes, cut at spaces; later ones begin with `indent` spaces.
std::string folded(std::string_view text, std::size_t width, std::size_t indent) {
  std::string lines;
  std::size_t used = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    if (used > 0 && used + 1 + word.size() > width) {
      lines += '\n' + std::string(indent, ' ');
      used = 0;
    } else if (used > 0) {
      lines += ' ';
      used++;
    }
    lines += word;
    used += word.size();
    begin = end + 1;
  }
  return lines;
}

std::string ours_and_theirs(const Trial& trial, const Outcomes& outcomes) {
  const auto ours = outcomes.accuracy(trial);
  const PaperAccuracy* entry =
      trial.training.control ? nullptr
                             : paper_entry(trial.training.model, trial.training.task, trial.test);
  const std::string theirs = entry == nullptr ? "-"
                             : entry->percent ? fmt::format("{:.2f}", *entry->percent)
                                              : "x";
  return fmt::format("{} ({})", ours ? fmt::format("{:.2f}", ours->mean) : "not there", theirs);
}

}  // namespace

std::size_t terminal_columns() {
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? std::max<std::size_t>(size.ws_col, kFewestColumns) : kPlainColumns;
}

std::string plain_table(const ExhibitTable& exhibit, const Outcomes& outcomes,
                        std::size_t columns) {
  std::size_t heading = exhibit.corner.size();
  std::vector<std::size_t> widths;
  for (const std::string& column : exhibit.columns)
    widths.push_back(column.size());
  std::vector<std::vector<std::string>> cells;
  for (const ExhibitTable::Row& row : exhibit.rows) {
    heading = std::max(heading, row.heading.size());
    std::vector<std::string>& texts = cells.emplace_back();
    for (std::size_t i = 0; i < row.trials.size(); i++) {
      texts.push_back(ours_and_theirs(row.trials[i], outcomes));
      widths.at(i) = std::max(widths.at(i), texts.back().size());
    }
  }
  std::string text = fmt::format("Table {}, ours (paper)\n", exhibit.name);
  for (std::size_t first = 0; first < widths.size();) {
    std::size_t end = first, used = 2 + heading;
    while (end < widths.size() && (end == first || used + 2 + widths[end] <= columns))
      used += 2 + widths[end++];
    text += fmt::format("  {:<{}}", exhibit.corner, heading);
    for (std::size_t i = first; i < end; i++)
      text += fmt::format("  {:>{}}", exhibit.columns[i], widths[i]);
    text += '\n';
    for (std::size_t row = 0; row < cells.size(); row++) {
      text += fmt::format("  {:<{}}", exhibit.rows[row].heading, heading);
      for (std::size_t i = first; i < std::min(end, cells[row].size()); i++)
        text += fmt::format("  {:>{}}", cells[row][i], widths[i]);
      text += '\n';
    }
    text += '\n';
    first = end;
  }
  if (exhibit.name == kTextTable) {
    text += folded(
                "only the perplexity can be a target: the models differ by less than the "
                "standard errors of the accuracies",
                columns, 0) +
            "\n\n";
  }
  return text;
}

std::string plain_verdicts(std::string_view heading, std::span<const Claim> claims,
                           const Outcomes& outcomes, std::size_t columns) {
  constexpr std::size_t kVerdict = 10, kIndent = 6;
  constexpr std::size_t kBeside = 40;  // columns that are enough for a statement beside its name
  std::size_t name = 0;
  for (const Claim& claim : claims)
    name = std::max(name, claim.name.size());
  const std::size_t before = 2 + kVerdict + 2 + name + 2;
  const bool beside = before + kBeside <= columns;
  const std::size_t indent = beside ? before : kIndent;
  std::string text = fmt::format("{}\n", heading);
  for (const Claim& claim : claims) {
    const Verdict verdict = judge(claim, accuracies_of(outcomes));
    std::string line =
        fmt::format("  {:<{}}  {:<{}}  ", verdict_words(verdict), kVerdict, claim.name, name);
    if (!beside)
      line = line.substr(0, line.find_last_not_of(' ') + 1) + '\n' + std::string(indent, ' ');
    text += line + folded(claim.statement, columns - indent, indent) + '\n';
  }
  return text;
}

}  // namespace farsight
