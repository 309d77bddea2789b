// Batches that are made from their plans, beside those that data/batches.cpp makes.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "data/batches.h"
#include "ops/mqar_generate.h"

namespace farsight {

inline MqarTable table_of(const GlobalBatch& global, const BatchPlan& plan) {
  return {.entries = plan.entries.data(),
          .count = static_cast<std::int64_t>(plan.entries.size()),
          .slot_sums = global.slot_sums.data(),
          .slots = static_cast<std::int64_t>(global.slot_sums.size()) - 1,
          .ids = global.ids};
}

/// Checks one step's batch, made on `device`, against the host's. Returns its examples.
inline std::size_t check_planned(const MqarTask& task, TrainLoaderOptions options,
                                 std::int64_t step, Device device) {
  constexpr std::int64_t kMore = 13;  // label rows that are left over
  const GlobalBatch expected = TrainLoader(task, options).at(step);
  options.plan_only = true;
  const GlobalBatch planned = TrainLoader(task, options).at(step);
  CHECK(planned.micro_batches.empty());
  CHECK(planned.tokens == expected.tokens);
  CHECK(planned.labels == expected.labels);
  REQUIRE(planned.plans.size() == expected.micro_batches.size());
  std::size_t examples = 0;
  for (std::size_t i = 0; i < planned.plans.size(); i++) {
    const BatchPlan& plan = planned.plans[i];
    const Batch& batch = expected.micro_batches[i];
    CHECK(plan.rows == batch.rows);
    CHECK(plan.length == batch.length);
    CHECK(plan.packed == batch.packed());
    CHECK(plan.labels == batch.labels());
    CHECK(plan.examples == batch.examples);
    const auto room = [&](const Shape& shape) {
      return Tensor::empty(shape, DType::i32, device, "indices");
    };
    const Tensor tokens = room({plan.rows, plan.length}), positions = room(tokens.shape());
    const Tensor rows = room({plan.labels + kMore}), targets = room(rows.shape());
    mqar_generate(table_of(planned, plan), tokens, plan.packed ? &positions : nullptr, rows,
                  targets);
    const auto holds = [](const Tensor& got, std::vector<std::int32_t> wanted) {
      wanted.resize(static_cast<std::size_t>(got.elements()), -1);
      const Tensor here = got.to(Device::cpu);
      return std::ranges::equal(here.span<std::int32_t>(), wanted);
    };
    CHECK(holds(tokens, batch.tokens));
    CHECK(holds(rows, batch.label_rows));
    CHECK(holds(targets, batch.targets));
    if (plan.packed) CHECK(holds(positions, batch.positions));
    examples += plan.examples.size();
  }
  return examples;
}

/// The tasks to try: every kind of layout, with random and with zero filler, over 64 ids, the
/// paper's, and so many that one word in sixteen refuses to say which filler it is.
template <class Try>
void for_each_planned_task(const std::vector<int>& lengths, const std::vector<int>& pairs,
                           const Try& attempt) {
  for (const char* name : {"standard", "last", "shuffle", "k1v1", "k2v4", "k2v2-shuffle",
                           "k4v8-shuffle", "position-robustness", "position-robustness-code",
                           "ngram-robustness", "ngram-robustness-text"}) {
    for (const int vocabulary : {64, 20'000, 805'306'368}) {
      for (const bool zero : {false, true}) {
        TaskDescription description = find_task(name)->description;
        description.cells.clear();
        const MqarTask task = make_task(name, description,
                                        {.vocabulary = vocabulary,
                                         .lengths = lengths,
                                         .pairs = pairs,
                                         .zero_filler = zero,
                                         .separator_target = vocabulary != 64});
        INFO(task.name, " over ", vocabulary, " ids, filler from ", task.filler.first);
        attempt(task);
      }
    }
  }
}

}  // namespace farsight
