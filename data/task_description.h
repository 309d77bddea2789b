// What a recall task is, declared: every named task is a row of one table of descriptions, and a
// user's variant is a row that changes some of its fields (the table [task] of a settings file).
//
//   dimension      field                        values
//   placement      placement                    where the pairs lie: standard, last, shuffle
//   KnVm           key_length, value_length     tokens of a key and of a value
//   separators     separators                   blocks 10 key 11 value 10, or bare tokens
//   noise          noise                        what else lies in the context
//   query law      query_power                  p_i ~ i^(a-1) over the query slots; 1 is uniform
//   sampling       sampling                     ids distinct or repeated within an example
//   grid           cells                        exactly these, or all of lengths x pairs that fit
//   filler         TaskSizes::zero_filler       random ids, or the id 0
//
// TaskSizes and what the tokens of an example are: data/mqar.h.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace farsight {

enum class TaskKind : std::uint8_t { recall, copy, key_retrieval, selective_copy, induction };
inline constexpr auto kTaskKindNames = std::to_array<std::string_view>(
    {"recall", "copy", "key-retrieval", "selective-copy", "induction"});

enum class Placement : std::uint8_t { standard, last, shuffle };
inline constexpr auto kPlacementNames =
    std::to_array<std::string_view>({"standard", "last", "shuffle"});
inline constexpr std::array kPlacements = {Placement::standard, Placement::last,
                                           Placement::shuffle};
std::string_view placement_name(Placement placement);

/// none               nothing but the pairs
/// shared_last_key    all keys of an example end with the same token (n-gram robustness, the release)
/// equal_pairs        beside each pair another one whose key ends with the same token and which
///                    nobody asks for, all in random order (n-gram robustness, the paper's text)
/// sections           the pairs four times, in sections of L/8 tokens, each time with other values
///                    (position robustness)
/// sections_released  the same with the values v, v+1, v+2, v+3 and no filler, as last run by the
///                    authors
enum class Noise : std::uint8_t { none, shared_last_key, equal_pairs, sections, sections_released };
inline constexpr auto kNoiseNames = std::to_array<std::string_view>(
    {"none", "shared-last-key", "equal-pairs", "sections", "sections-released"});

/// Whether ids may come twice in an example.
enum class IdSampling : std::uint8_t { distinct, repeated };
inline constexpr auto kIdSamplingNames = std::to_array<std::string_view>({"distinct", "repeated"});

/// The default is the task `standard`.
struct TaskDescription {
  std::string name = {};  ///< of a variant; empty: that of the row it comes from
  TaskKind kind = TaskKind::recall;
  Placement placement = Placement::standard;
  int key_length = 1;
  int value_length = 1;
  bool separators = false;
  Noise noise = Noise::none;
  IdSampling sampling = IdSampling::distinct;
  double query_power = 0.01;
  /// "64x4 128x8": length x pairs, in the order of their seeds; "-" leaves a place out. Empty: the
  /// cells of the sizes' lengths and pairs that the task admits.
  std::string cells = {};

  friend bool operator==(const TaskDescription&, const TaskDescription&) = default;
};

/// A row of the table.
struct NamedTask {
  std::string_view name, help;
  TaskDescription description;
};

/// All named tasks, those of the paper's tables first.
std::span<const NamedTask> named_tasks();

/// Null if there is none of that name.
const NamedTask* find_task(std::string_view name);

/// The tasks that a run trained on the named task `name` is tested on: those beside which the paper
/// sets it, else itself.
///   standard, last, shuffle       all three                     (Table 1)
///   k1v1, k1v2, k2v1, k2v2        k1v1, k1v2, k2v2, and itself  (Table 2)
///   k2v2                          also ngram-robustness         (Table 3)
std::vector<std::string> test_tasks(std::string_view name);

}  // namespace farsight
