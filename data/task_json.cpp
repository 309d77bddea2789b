#include "data/task_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "core/check.h"
#include "data/task_grid.h"

namespace farsight {
namespace {

constexpr std::size_t kMostPlaces = 65'536;

Json range_json(const IdRange& range) {
  return Json::array({range.first, range.last});
}

IdRange range_from(const Json& json) {
  if (json.size() != 2) json.refuse("expected the first and the last id");
  const IdRange range = {static_cast<std::int32_t>(json.at(std::size_t{0}).as_int(0, 1 << 30)),
                         static_cast<std::int32_t>(json.at(std::size_t{1}).as_int(0, 1 << 30))};
  if (range.last < range.first) json.refuse("the last id is below the first");
  return range;
}

template <class Enum>
Enum choice_from(const Json& json, std::span<const std::string_view> names) {
  const auto at = std::find(names.begin(), names.end(), json.as_string());
  if (at == names.end()) {
    json.refuse(fmt::format("expected one of {}", fmt::join(names.begin(), names.end(), ", ")));
  }
  return static_cast<Enum>(at - names.begin());
}

template <class Enum>
std::string_view name_in(std::span<const std::string_view> names, Enum value) {
  return names[static_cast<std::size_t>(value)];
}

/// "64x1 - 64x4": cells by their places.
std::string cells_text(const std::vector<Cell>& cells, const std::vector<std::size_t>& places) {
  check(cells.size() == places.size(), "task_from_json: {} cells have {} places", cells.size(),
        places.size());
  std::string text;
  std::size_t next = 0;
  for (std::size_t i = 0; i < cells.size(); i++) {
    require(places[i] >= next && places[i] < kMostPlaces, ExitCode::corrupt,
            "the places of cells must ascend and be below {}, got {}", kMostPlaces, places[i]);
    for (; next < places[i]; next++) {
      text += "- ";
    }
    text += cell_name(cells[i]) + " ";
    next++;
  }
  return text;
}

}  // namespace

MqarTask with_cells(const MqarTask& task, const std::vector<Cell>& cells,
                    const std::vector<std::size_t>& places) {
  TaskDescription description = task.description;
  description.cells = cells_text(cells, places);
  const bool offset = description.separators || description.kind != TaskKind::recall;
  MqarTask result = make_task(task.name, description,
                              // Ranges that data/mqar.h has moved: V is that much less.
                              {.vocabulary = task.values.last + 1 - (offset ? kFirstFreeId : 0),
                               .separator_target = task.separator_target});
  result.description = task.description;
  result.keys = task.keys;
  result.values = task.values;
  result.filler = task.filler;
  return result;
}

Json task_json(const MqarTask& task) {
  const TaskDescription& d = task.description;
  return Json::object({{"name", task.name},
                       {"kind", name_in(kTaskKindNames, d.kind)},
                       {"placement", name_in(kPlacementNames, d.placement)},
                       {"key_length", d.key_length},
                       {"value_length", d.value_length},
                       {"separators", d.separators},
                       {"noise", name_in(kNoiseNames, d.noise)},
                       {"sampling", name_in(kIdSamplingNames, d.sampling)},
                       {"query_power", d.query_power},
                       {"separator_target", task.separator_target},
                       {"keys", range_json(task.keys)},
                       {"values", range_json(task.values)},
                       {"filler", range_json(task.filler)}});
}

MqarTask task_from_json(const Json& json, const std::vector<Cell>& cells,
                        const std::vector<std::size_t>& places) {
  json.allow_only({"name", "kind", "placement", "key_length", "value_length", "separators", "noise",
                   "sampling", "query_power", "separator_target", "keys", "values", "filler"});
  MqarTask task{.name = json.at("name").as_string(),
                .description = {},
                .separator_target = json.at("separator_target").as_bool(),
                .keys = range_from(json.at("keys")),
                .values = range_from(json.at("values")),
                .filler = range_from(json.at("filler")),
                .cells = {},
                .places = {},
                .query_slots = PowerLawSlots(1)};
  TaskDescription& d = task.description;
  d.kind = choice_from<TaskKind>(json.at("kind"), kTaskKindNames);
  d.placement = choice_from<Placement>(json.at("placement"), kPlacementNames);
  d.key_length = static_cast<int>(json.at("key_length").as_int(1, 1 << 16));
  d.value_length = static_cast<int>(json.at("value_length").as_int(1, 1 << 16));
  d.separators = json.at("separators").as_bool();
  d.noise = choice_from<Noise>(json.at("noise"), kNoiseNames);
  d.sampling = choice_from<IdSampling>(json.at("sampling"), kIdSamplingNames);
  d.query_power = json.at("query_power").as_double();
  return with_cells(task, cells, places);
}

}  // namespace farsight
