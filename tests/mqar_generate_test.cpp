// MQAR examples made from a table, as a device makes them, against data/mqar.cpp.
#include "ops/mqar_generate.h"

#include <fmt/format.h>

#include <limits>
#include <numeric>

#include "data/sampling.h"
#include "tests/planned_batches.h"
#include "tests/tiny_run.h"
#include "train/step.h"

namespace farsight {
namespace {

TEST_CASE("sampling: a deck that remembers what moved deals the cards of a whole one") {
  for (const int n : {1, 2, 3, 17, 1000}) {
    for (const int count : {0, 1, n / 2, n}) {
      PhiloxSequence random(7, static_cast<std::uint64_t>(n * 10'000 + count)), same = random;
      std::vector<int> deck(static_cast<std::size_t>(n));
      std::iota(deck.begin(), deck.end(), 0);
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); i++) {
        std::swap(deck[i], deck[i + same.below(static_cast<std::uint32_t>(deck.size() - i))]);
      }
      deck.resize(static_cast<std::size_t>(count));
      CHECK(sample_distinct(random, n, count) == deck);
      CHECK(random.drawn() == same.drawn());
    }
  }
  PhiloxSequence random(7, 8);
  const int most = std::numeric_limits<int>::max();
  for (const int card : sample_distinct(random, most, 100)) {
    CHECK((card >= 0 && card < most));
  }
}

TEST_CASE("philox: a word is the same by its index and in its turn") {
  PhiloxSequence random(3, 5);
  const PhiloxSequence untouched = random;
  for (std::uint64_t i = 0; i < 11; i++) {
    CHECK(random.drawn() == i);
    const std::uint32_t word = random.next();
    CHECK(random.word(i) == word);
    CHECK(untouched.word(i) == word);
  }
}

TEST_CASE("philox: a number below n is what the first word that does not refuse says") {
  constexpr std::uint32_t kN = 0xC0000000u;  // one word in four refuses
  PhiloxSequence random(3, 6);
  std::uint64_t next = 0;
  int refused = 0;
  for (int i = 0; i < 1000; i++) {
    BelowDraw draw = below_from(random.word(next++), kN);
    while (draw.refused) {
      refused++;
      draw = below_from(random.word(next++), kN);
    }
    CHECK(random.below(kN) == draw.value);
    CHECK(random.drawn() == next);
  }
  CHECK(refused > 250);
  CHECK(refused < 420);
}

TEST_CASE("mqar: examples made from their plan are the generated ones, packed or not") {
  for_each_planned_task({4, 7, 16, 33, 67}, {1, 3, 16}, [](const MqarTask& task) {
    for (const bool pack : {false, true}) {
      const TrainLoaderOptions options{
          .seed = 9, .examples_per_cell = 20, .batch_size = 40, .micro_tokens = 500, .pack = pack};
      CHECK(check_planned(task, options, 2, Device::cpu) == 40);
    }
  });
}

TEST_CASE("mqar: a plan of the paper's grid is made like the data of every earlier version") {
  for (const Placement placement : kPlacements) {
    const TrainLoaderOptions options{.batch_size = 160, .pack = true};
    CHECK(check_planned(paper_position_task(placement), options, 3, Device::cpu) == 160);
  }
}

TEST_CASE("mqar: a table that does not fit its tensors or its ids is refused") {
  const MqarTask task = make_position_task(Placement::standard, 64, position_grid({16}, {2}));
  const TrainLoader loader(task, {.examples_per_cell = 8, .batch_size = 4, .plan_only = true});
  const GlobalBatch global = loader.at(0);
  BatchPlan plan = global.plans.at(0);
  const auto integers = [](const Shape& shape) { return Tensor::zeros(shape, DType::i32); };
  const Tensor tokens = integers({4, 16}), labels = integers({8});
  const auto refused = [&](const MqarTable& table, const Tensor& to, const Tensor& rows,
                           const Tensor& targets, const char* why) {
    try {
      mqar_generate(table, to, nullptr, rows, targets);
    } catch (const Error& error) {
      CHECK(std::string(error.what()).find(why) != std::string::npos);
      return true;
    }
    return false;
  };
  MqarTable table = table_of(global, plan);
  CHECK_NOTHROW(mqar_generate(table, tokens, nullptr, labels, labels));
  CHECK(refused(table, integers({4, 15}), labels, labels, "tokens must be"));
  CHECK(refused(table, integers({5, 16}), labels, labels, "tokens must be"));
  CHECK(refused(table, tokens, integers({7}), integers({7}), "at least 8"));
  CHECK(refused(table, tokens, labels, integers({9}), "alike"));
  table.slots = 5;  // 12 tokens after the pairs have 6
  CHECK(refused(table, tokens, labels, labels, "has not the ids or slots"));
  table = table_of(global, plan);
  table.ids.values.last = table.ids.values.first;
  CHECK(refused(table, tokens, labels, labels, "has not the ids or slots"));
  plan.entries[2].first_token++;
  CHECK(refused(table_of(global, plan), tokens, labels, labels, "entry 2 must begin"));
  table.count = 0;
  CHECK(refused(table, tokens, labels, labels, "empty"));
}

TEST_CASE("step: examples made by the device that trains give the bits of those made before") {
  for (const char* packing : {"off", "on"}) {
    std::vector<std::string> hashes;
    std::vector<double> losses;
    for (const char* maker : {"auto", "host", "device"}) {
      const Resolved settings = resolved(tiny_flags(
          {{"data.lengths", "8,16,24"}, {"train.packing", packing}, {"data.generate_on", maker}}));
      const Model model = model_of(settings.settings, Device::cpu);
      AdamW optimizer(*model.parameters, settings.settings.train);
      TrainStep step(model, optimizer, GraphUse::off);
      const TrainLoader loader = loader_of(settings.settings);
      double loss = 0;
      for (std::int64_t i = 0; i < 4; i++) {
        const GlobalBatch batch = loader.at(i);
        CHECK(batch.plans.empty() == (maker != std::string_view("device")));
        step.launch(batch, 1e-3);
        const StepResult result = step.finish();
        CHECK(result.labels == batch.labels);
        loss += result.loss;
      }
      losses.push_back(loss);
      hashes.push_back(parameter_hash(model));
    }
    CHECK(losses[0] == losses[1]);
    CHECK(losses[0] == losses[2]);
    CHECK(hashes[0] == hashes[1]);
    CHECK(hashes[0] == hashes[2]);
  }
}

TEST_CASE("step: a plan of a step needs no examples, whoever is to make them") {
  std::vector<std::int64_t> peaks;
  for (const char* maker : {"host", "device"}) {
    const Resolved settings = resolved(tiny_flags({{"data.generate_on", maker}}));
    const Model model = model_of(settings.settings, Device::meta);
    Arena& memory = arena(Device::meta);
    memory.reset_peak();
    const GlobalBatch batch = loader_of(settings.settings).at(0);
    CHECK(forward_backward(model, batch).labels == batch.labels);
    peaks.push_back(memory.peak_bytes() - memory.in_use_bytes());
  }
  CHECK(peaks[0] == peaks[1]);
}

}  // namespace
}  // namespace farsight
