#include "data/task_description.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <vector>

namespace farsight {
namespace {

constexpr double kUniform = 1;

TaskDescription bare(Placement placement, Noise noise = Noise::none) {
  const bool shuffled = placement == Placement::shuffle;
  return {.placement = placement,
          .noise = noise,
          .sampling = shuffled ? IdSampling::repeated : IdSampling::distinct};
}

TaskDescription blocks(int key_length, int value_length, Placement placement,
                       Noise noise = Noise::none) {
  return {.placement = placement,
          .key_length = key_length,
          .value_length = value_length,
          .separators = true,
          .noise = noise,
          .sampling = IdSampling::repeated};
}

TaskDescription with_cells(TaskDescription description, std::string cells) {
  description.cells = std::move(cells);
  return description;
}

TaskDescription with_query_power(TaskDescription description, double power) {
  description.query_power = power;
  return description;
}

std::string all_cells(const std::vector<int>& lengths, const std::vector<int>& pairs) {
  std::string text;
  for (const int length : lengths) {
    for (const int count : pairs) {
      text += fmt::format("{}{}x{}", text.empty() ? "" : " ", length, count);
    }
  }
  return text;
}

/// Figure 1, one pair: L = 1,000, 3,000 ... 63,000.
std::string odd_thousands() {
  std::vector<int> lengths;
  for (int thousands = 1; thousands <= 63; thousands += 2) {
    lengths.push_back(1000 * thousands);
  }
  return all_cells(lengths, {1});
}

// The authors' lists, in which cells too small for their pairs have a seed all the same: "-".
constexpr const char* kNgramCells =
    "64x1 64x4 - 256x1 256x4 256x8 256x16 512x1 512x4 512x8 512x16 512x32";
constexpr const char* kNgramTextCells = "64x1 - - 256x1 256x4 256x8 - 512x1 512x4 512x8 512x16 -";

std::vector<NamedTask> make_table() {
  using enum Placement;
  const TaskDescription keys_end_alike = with_cells(
      with_query_power(blocks(2, 2, standard, Noise::shared_last_key), kUniform), kNgramCells);
  const TaskDescription equal_noise =
      with_cells(blocks(2, 2, standard, Noise::equal_pairs), kNgramTextCells);
  TaskDescription retrieval{.kind = TaskKind::key_retrieval, .key_length = 8, .value_length = 40};
  retrieval.cells = all_cells({512, 1024, 2048, 4096, 8192, 16'384}, {1});
  return {
      {"standard", "pairs at the start, queries after them; also called mqar", bare(standard)},
      {"last", "pairs at the end of the first half, queries in the second half", bare(last)},
      {"shuffle", "pairs scattered over the first half, queries in the second half", bare(shuffle)},
      {"k1v1", "blocks with separators: keys and values of one token", blocks(1, 1, standard)},
      {"k1v2", "keys of one token, values of two", blocks(1, 2, standard)},
      {"k2v1", "keys of two tokens, values of one", blocks(2, 1, standard)},
      {"k2v2", "keys and values of two tokens", blocks(2, 2, standard)},
      {"k2v4", "keys of two tokens, values of four", blocks(2, 4, standard)},
      {"k4v8", "keys of four tokens, values of eight", blocks(4, 8, standard)},
      {"k1v1-shuffle", "k1v1 with blocks scattered over the first half", blocks(1, 1, shuffle)},
      {"k1v2-shuffle", "k1v2 with blocks scattered over the first half", blocks(1, 2, shuffle)},
      {"k2v1-shuffle", "k2v1 with blocks scattered over the first half", blocks(2, 1, shuffle)},
      {"k2v2-shuffle", "k2v2 with blocks scattered over the first half", blocks(2, 2, shuffle)},
      {"k2v4-shuffle", "k2v4 with blocks scattered over the first half", blocks(2, 4, shuffle)},
      {"k4v8-shuffle", "k4v8 with blocks scattered over the first half", blocks(4, 8, shuffle)},
      {"position-robustness", "the same keys in four sections, each time with other values",
       bare(standard, Noise::sections)},
      {"position-robustness-code", "as the release has it: values v to v + 3, and no filler",
       bare(standard, Noise::sections_released)},
      {"ngram-robustness", "k2v2 with keys that all end alike, as the release has it",
       keys_end_alike},
      {"ngram-robustness-text", "k2v2 beside as many pairs that end alike, as the paper says",
       equal_noise},
      {"length", "one pair at the start of 1,000 to 63,000 tokens (Figure 1, set A)",
       with_cells(bare(standard), odd_thousands())},
      {"dispersion", "1 to 32 pairs scattered over 4,096 tokens (Figure 1, set B)",
       with_cells(bare(shuffle), all_cells({4096}, {1, 2, 4, 8, 16, 32}))},
      {"density", "1 to 1,024 pairs at the start of 4,096 tokens (Figure 1, set C)",
       with_cells(bare(standard),
                  all_cells({4096}, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}))},
      {"length-pairs", "1, 8 and 64 pairs at the start of 1,000 to 60,000 tokens (Figure 1b)",
       with_cells(bare(standard),
                  all_cells({1000, 2000, 4000, 8000, 16'000, 32'000, 60'000}, {1, 8, 64}))},
      {"copy", "a text, a mark, and the same text again",
       with_cells({.kind = TaskKind::copy}, "129x64 257x128 513x256")},
      {"key-retrieval",
       "one key of 8 tokens with a value of 40 in random text, asked for at its end", retrieval},
      {"selective-copy",
       "some tokens among blanks, to be repeated in order",
       {.kind = TaskKind::selective_copy}},
      {"induction",
       "what followed a mark, asked for by the mark again",
       {.kind = TaskKind::induction}},
  };
}

}  // namespace

std::string_view placement_name(Placement placement) {
  return kPlacementNames[static_cast<std::size_t>(placement)];
}

std::span<const NamedTask> named_tasks() {
  static const std::vector<NamedTask> table = make_table();
  return table;
}

const NamedTask* find_task(std::string_view name) {
  const auto table = named_tasks();
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const NamedTask& t) { return t.name == name; });
  return found == table.end() ? nullptr : &*found;
}

std::vector<std::string> test_tasks(std::string_view name) {
  const auto among = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (among({"standard", "last", "shuffle"})) return {"standard", "last", "shuffle"};
  if (!among({"k1v1", "k1v2", "k2v1", "k2v2"})) return {std::string(name)};
  std::vector<std::string> names = {"k1v1", "k1v2", "k2v2"};
  if (name == "k2v1") names.emplace_back("k2v1");
  if (name == "k2v2") names.emplace_back("ngram-robustness");
  return names;
}

}  // namespace farsight
