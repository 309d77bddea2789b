// A training step: late results, packed rows, padded labels, and what a bad gradient does.
#include "train/step.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "autograd/gradcheck.h"
#include "data/packing.h"
#include "ops/gather_rows.h"
#include "ops/linear_cross_entropy.h"
#include "ops/tally.h"
#include "tests/tiny_run.h"
#include "train/task.h"

namespace farsight {
namespace {

Tensor ids(const std::vector<std::int32_t>& values) {
  return Tensor::from(std::span<const std::int32_t>(values),
                      {static_cast<std::int64_t>(values.size())});
}

double apart(const Tensor& a, const Tensor& b) {
  double difference = 0, norm = 0;
  const Tensor x = a.to(DType::f64), y = b.to(DType::f64);
  for (std::int64_t i = 0; i < x.elements(); i++) {
    difference += std::pow(x.data<double>()[i] - y.data<double>()[i], 2);
    norm += std::pow(y.data<double>()[i], 2);
  }
  return std::sqrt(difference / norm);
}

TEST_CASE("step: results come in the order of the steps, however late they are asked for") {
  const TinyRun late(tiny_flags()), prompt(tiny_flags());
  const Settings& settings = late.settings.settings;
  AdamW late_optimizer(*late.model.parameters, settings.train);
  AdamW prompt_optimizer(*prompt.model.parameters, settings.train);
  TrainStep step(late.model, late_optimizer, GraphUse::off);
  const TrainLoader loader = loader_of(settings);
  for (std::int64_t i = 0; i < 3; i++) {
    step.launch(loader.at(i), 1e-3);
  }
  CHECK(step.under_way() == 3);
  for (std::int64_t i = 0; i < 3; i++) {
    const GlobalBatch batch = loader.at(i);
    const StepResult expected = forward_backward(prompt.model, batch);
    prompt_optimizer.step(1e-3);
    const StepResult got = step.finish();
    CHECK(got.loss == expected.loss);
    CHECK(got.right == expected.right);
    CHECK(got.labels == batch.labels);
    CHECK(got.gradient_norm == prompt_optimizer.last_norm());
  }
  CHECK(parameter_hash(late.model) == parameter_hash(prompt.model));
}

TEST_CASE("step: after a gradient that is not finite no step moves anything") {
  const TinyRun run(tiny_flags());
  ParameterStore& store = *run.model.parameters;
  AdamW optimizer(store, {});
  fill(store.gradients(), Distribution::uniform(1), 1, "gradients");
  optimizer.step(1e-3);
  const std::string before = parameter_hash(run.model);
  const float good = store.gradients().data<float>()[0];
  store.gradients().data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  optimizer.step(1e-3);
  CHECK(std::isnan(optimizer.last_norm()));
  store.gradients().data<float>()[0] = good;
  optimizer.step(1e-3);
  CHECK(std::isfinite(optimizer.last_norm()));
  CHECK(parameter_hash(run.model) == before);
}

TEST_CASE("step: packed rows give the loss and the gradients of rows of one example each") {
  for (const char* gate : {"0", "5"}) {
    INFO("gate of ", gate);
    std::vector<StepResult> results;
    std::vector<Tensor> gradients;
    for (const char* packing : {"off", "on"}) {
      const TinyRun run(tiny_flags({{"run.dtype", "f64"},
                                    {"data.lengths", "8,12,24"},
                                    {"train.packing", packing},
                                    {"model.gate_kernel", gate}}));
      const GlobalBatch batch = loader_of(run.settings.settings).at(1);
      CHECK(batch.micro_batches.front().packed() == (packing == std::string_view("on")));
      results.push_back(forward_backward(run.model, batch));
      gradients.push_back(run.model.parameters->gradients().to(DType::f64));
    }
    CHECK(results[1].loss == doctest::Approx(results[0].loss).epsilon(1e-12));
    CHECK(results[1].labels == results[0].labels);
    CHECK(results[1].right == results[0].right);
    CHECK(apart(gradients[1], gradients[0]) <= 1e-11);
  }
}

TEST_CASE("packing: every example once, whole, in rows with one length and no more than needed") {
  const TinyRun run(tiny_flags({{"data.lengths", "8,16,32"}}));
  const MqarTask task = task_of(run.settings.settings, "standard");
  TrainLoaderOptions options{.examples_per_cell = 40, .batch_size = 24, .micro_tokens = 64};
  const TrainLoader plain(task, options);
  options.pack = true;
  const TrainLoader packed(task, options);
  for (std::int64_t step = 0; step < 4; step++) {
    const GlobalBatch expected = plain.at(step), got = packed.at(step);
    CHECK(got.tokens == expected.tokens);
    CHECK(got.labels == expected.labels);
    std::vector<std::pair<std::size_t, std::uint64_t>> all[2];
    std::int64_t tokens = 0, labels = 0;
    for (const Batch& micro : expected.micro_batches) {
      for (const ExampleId& id : micro.examples) {
        all[0].emplace_back(id.cell, id.sample);
      }
    }
    for (const Batch& micro : got.micro_batches) {
      REQUIRE(micro.packed());
      CHECK(micro.rows * micro.length <= 64);
      REQUIRE(micro.positions.size() == micro.tokens.size());
      CHECK(std::ranges::is_sorted(micro.label_rows));
      tokens += micro.rows * micro.length;
      labels += micro.labels();
      std::size_t at = 0, label = 0;
      for (const ExampleId& id : micro.examples) {
        all[1].emplace_back(id.cell, id.sample);
        const Example example = generate(task, Split::train, options.seed, id.cell, id.sample);
        while (micro.positions[at] != 0 || micro.tokens[at] != example.tokens[0]) {
          at++;  // the end of a row that nothing filled
        }
        for (std::size_t i = 0; i < example.tokens.size(); i++) {
          CHECK(micro.tokens[at + i] == example.tokens[i]);
          CHECK(micro.positions[at + i] == static_cast<std::int32_t>(i));
        }
        for (const Label& expected_label : example.labels) {
          CHECK(micro.label_rows[label] ==
                static_cast<std::int32_t>(at) + expected_label.position - 1);
          CHECK(micro.targets[label] == expected_label.target);
          label++;
        }
        at += example.tokens.size();
      }
    }
    CHECK(labels == expected.labels);
    // Powers of two leave room in the last row alone.
    CHECK(tokens - expected.tokens < 32);
    std::ranges::sort(all[0]);
    std::ranges::sort(all[1]);
    CHECK(all[0] == all[1]);
  }
}

TEST_CASE("packing: first fit fills rows, and refuses what is longer than one") {
  const std::vector<int> lengths = {7, 5, 4, 3, 3, 2, 1, 1};
  const auto rows = pack_first_fit(lengths, 8);
  CHECK(rows.size() == 4);
  std::vector<std::size_t> all;
  for (const auto& row : rows) {
    int sum = 0;
    for (std::size_t i : row) {
      sum += lengths[i];
    }
    CHECK(sum <= 8);
    all.insert(all.end(), row.begin(), row.end());
  }
  std::ranges::sort(all);
  std::vector<std::size_t> expected(lengths.size());
  std::iota(expected.begin(), expected.end(), std::size_t{0});
  CHECK(all == expected);
  CHECK(pack_first_fit({}, 8).empty());
  CHECK_THROWS_AS(pack_first_fit(lengths, 6), Error);
}

TEST_CASE("step: rows and targets of -1 count for nothing, forwards and backwards") {
  const Tensor x = random_normal({6, 4}, DType::f64, 1, 1);
  const Tensor w = random_normal({9, 4}, DType::f64, 1, 2);
  std::vector<Tensor> losses, dx, dw;
  for (const bool padded : {false, true}) {
    const std::vector<std::int32_t> more(padded ? 3 : 0, -1);
    std::vector<std::int32_t> rows = {1, 4, 5}, targets = {8, 0, 3};
    rows.insert(rows.end(), more.begin(), more.end());
    targets.insert(targets.end(), more.begin(), more.end());
    Tape tape;
    const Tensor x_leaf = leaf(x), w_leaf = leaf(w);
    Tensor predictions;
    const Tensor gathered = gather_rows(x_leaf, ids(rows));
    for (std::size_t i = 3; i < rows.size(); i++) {
      CHECK(gathered.data<double>()[i * 4 + 1] == 0);
    }
    const Tensor loss = linear_cross_entropy(gathered, w_leaf, ids(targets), 0.5, &predictions);
    const Tensor tally = Tensor::from(std::span<const double>({std::array{7.0, 7.0}}), {2});
    tally_predictions(loss, predictions, ids(targets), tally, false);
    CHECK(tally.data<double>()[0] == loss.data<double>()[0]);
    const double right = tally.data<double>()[1];
    tally_predictions(loss, predictions, predictions, tally, true);
    CHECK(tally.data<double>()[0] == 2 * loss.data<double>()[0]);
    CHECK(tally.data<double>()[1] == right + static_cast<double>(rows.size()));
    const Tensor one = Tensor::from(std::span<const double>({std::array{1.0}}), {1});
    tape.backward(loss, one);
    losses.push_back(loss);
    dx.push_back(x_leaf.grad->value);
    dw.push_back(w_leaf.grad->value);
  }
  CHECK(losses[0].data<double>()[0] == losses[1].data<double>()[0]);
  CHECK(apart(dx[1], dx[0]) <= 1e-15);
  CHECK(apart(dw[1], dw[0]) <= 1e-15);
  CHECK_THROWS_AS(gather_rows(x, ids({1, -1, 4})), Error);
  CHECK_THROWS_AS(linear_cross_entropy(x, w, ids({0, 1, 2, 3, 4, -2}), 1), Error);
}

}  // namespace
}  // namespace farsight
