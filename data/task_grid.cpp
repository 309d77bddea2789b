#include "data/task_grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "core/check.h"

namespace farsight {
namespace {

/// Why a cell cannot be of the task, as the rest of a sentence; empty: it can.
std::string misfit(const TaskDescription& d, const Cell& cell) {
  const long long pairs = cell.pairs, length = cell.length, k = d.key_length, v = d.value_length;
  const long long slot = k + v + (d.separators ? 3 : 0);
  const auto at_most = [&](long long tokens, long long most, std::string_view what) {
    return tokens <= most
               ? std::string()
               : fmt::format("{} are {} tokens, and there is room for {}", what, tokens, most);
  };
  if (length < 1 || length > kMostExampleTokens) {
    return fmt::format("an example has 1 to {} tokens", kMostExampleTokens);
  }
  if (pairs < 1) return "there must be at least 1 pair";
  switch (d.kind) {
    case TaskKind::recall:
      break;
    case TaskKind::copy:
      return length == 2 * pairs + 1
                 ? ""
                 : fmt::format("{} tokens, a mark and the same again are {}", pairs, 2 * pairs + 1);
    case TaskKind::selective_copy:
      return at_most(2 * pairs + 1, length, "the tokens, a mark and the places of their copies");
    case TaskKind::key_retrieval:
      if (pairs != 1) return "this task has one pair";
      return at_most(2 * (k + v) + 5, length, "the framed pair, the query and its answer");
    case TaskKind::induction:
      if (pairs != 1) return "this task has one pair";
      return at_most(4, length, "the mark, what follows it, and both again");
  }
  if (in_sections(d)) {
    return at_most(pairs * slot, length / 8, "the pairs of a section, an eighth of the length,");
  }
  const long long stored = d.noise == Noise::equal_pairs ? 2 * pairs : pairs;
  return at_most(stored * slot, length / 2, "the pairs, in the first half of the length at most,");
}

std::optional<int> integer(std::string_view text) {
  int value = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

/// "64x4"
Cell cell_from(std::string_view name, std::string_view text) {
  const std::size_t cross = text.find('x');
  const auto length = integer(text.substr(0, cross));
  const auto pairs =
      cross == std::string_view::npos ? std::nullopt : integer(text.substr(cross + 1));
  require(length.has_value() && pairs.has_value(), ExitCode::data,
          "task {}: a cell is written LENGTHxPAIRS, as 64x4, or - where one is left out, got '{}'",
          name, text.substr(0, 40));
  return {*length, *pairs};
}

TaskGrid listed(std::string_view name, const TaskDescription& description) {
  TaskGrid grid;
  std::size_t place = 0;
  std::string_view rest = description.cells;
  constexpr std::string_view kBetween = " ,\t\n";
  while (true) {
    const std::size_t begin = rest.find_first_not_of(kBetween);
    if (begin == std::string_view::npos) break;
    const std::size_t end = std::min(rest.find_first_of(kBetween, begin), rest.size());
    const std::string_view word = rest.substr(begin, end - begin);
    rest.remove_prefix(end);
    if (word != "-") {
      const Cell cell = cell_from(name, word);
      require_fits(name, description, cell);
      const bool twice = std::find(grid.cells.begin(), grid.cells.end(), cell) != grid.cells.end();
      require(!twice, ExitCode::data, "task {}: the cell {} is listed twice", name, word);
      grid.cells.push_back(cell);
      grid.places.push_back(place);
    }
    place++;
  }
  require(!grid.cells.empty(), ExitCode::data, "task {}: the grid has no cell", name);
  return grid;
}

/// Bare pairs with nothing else: the tasks of the paper's Table 1, and what is like them.
bool is_plain(const TaskDescription& d) {
  return d.kind == TaskKind::recall && d.noise == Noise::none && !d.separators &&
         d.key_length == 1 && d.value_length == 1;
}

/// All that position_grid has; or of tasks whose pairs follow from the length, a cell for each.
std::vector<Cell> candidates(const TaskDescription& d, const TaskSizes& sizes) {
  if (d.kind == TaskKind::recall || d.kind == TaskKind::selective_copy) {
    return position_grid(sizes.lengths, sizes.pairs);
  }
  std::vector<Cell> cells;
  for (const Cell& cell : position_grid(sizes.lengths, {1})) {
    const int copied = (cell.length - 1) / 2;
    cells.push_back(d.kind == TaskKind::copy ? Cell{2 * copied + 1, copied} : cell);
  }
  return cells;
}

void sort_and_check_unique(std::vector<int>& numbers, const char* what) {
  std::sort(numbers.begin(), numbers.end());
  const auto twin = std::adjacent_find(numbers.begin(), numbers.end());
  if (twin != numbers.end()) fail(ExitCode::data, "the {} {} is listed twice", what, *twin);
}

}  // namespace

std::vector<Cell> position_grid(std::vector<int> lengths, std::vector<int> pairs) {
  require(!lengths.empty() && !pairs.empty(), ExitCode::data,
          "a grid needs at least one length and one number of pairs, got {} and {}", lengths.size(),
          pairs.size());
  sort_and_check_unique(lengths, "length");
  sort_and_check_unique(pairs, "number of pairs");
  require(pairs.front() >= 1, ExitCode::data, "the number of pairs must be at least 1, got {}",
          pairs.front());
  const auto admits = [](int length, int count) { return count <= length / 4; };
  for (const int length : lengths) {
    require(admits(length, pairs.front()), ExitCode::data,
            "length {} admits none of the numbers of pairs: the smallest, {}, needs a length of at "
            "least {} (pairs <= length/4)",
            length, pairs.front(), 4LL * pairs.front());
  }
  require(
      admits(lengths.back(), pairs.back()), ExitCode::data,
      "{} pairs fit none of the lengths: they need a length of at least {} (pairs <= length/4), "
      "and the longest is {}",
      pairs.back(), 4LL * pairs.back(), lengths.back());
  std::vector<Cell> cells;
  for (const int length : lengths) {
    for (const int count : pairs) {
      if (admits(length, count)) cells.push_back({length, count});
    }
  }
  return cells;
}

void require_fits(std::string_view name, const TaskDescription& description, const Cell& cell) {
  const std::string why = misfit(description, cell);
  require(why.empty(), ExitCode::data, "task {}: there is no length {} with {} pairs: {}", name,
          cell.length, cell.pairs, why);
}

TaskGrid grid_of(std::string_view name, const TaskDescription& description,
                 const TaskSizes& sizes) {
  if (!description.cells.empty()) return listed(name, description);
  TaskGrid grid;
  const std::vector<Cell> all = candidates(description, sizes);
  for (std::size_t place = 0; place < all.size(); place++) {
    if (!is_plain(description) && !misfit(description, all[place]).empty()) continue;
    grid.cells.push_back(all[place]);
    grid.places.push_back(place);
  }
  if (grid.cells.empty()) require_fits(name, description, all.back());
  return grid;
}

}  // namespace farsight
