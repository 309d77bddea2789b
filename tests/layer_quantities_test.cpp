// What is read off a layer's matrix: against small matrices whose answers are known by hand, and on
// examples of the tasks.
#include "eval/probes/layer_quantities.h"

#include <doctest/doctest.h>

#include <cmath>

#include "eval/probes/probe_cell.h"
#include "models/mamba.h"
#include "models/pythia.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

/// T = 16: two pairs at 0-1 and 2-3, asked for at rows 8 (the second) and 10 (the first).
Example two_pairs() {
  return {.tokens = {1, 11, 2, 12, 9, 9, 9, 9, 2, 9, 1, 9, 9, 9, 9, 9},
          .labels = {{9, 12, 1}, {11, 11, 0}},
          .pairs = {{0, 1, 10}, {2, 3, 8}}};
}

Tensor causal(const std::function<double(int t, int s)>& f) {
  const Tensor m = Tensor::zeros({16, 16}, DType::f64);
  for (int t = 0; t < 16; t++) {
    for (int s = 0; s <= t; s++) {
      m.data<double>()[t * 16 + s] = f(t, s);
    }
  }
  return m;
}

TEST_CASE("quantities: places follow from labels and pairs") {
  const ExamplePlaces places = places_of(two_pairs());
  CHECK(places.length == 16);
  CHECK(places.pairs == std::vector<TokenSpan>{{0, 2}, {2, 4}});
  REQUIRE(places.queries.size() == 2);
  CHECK(places.queries[0].row == 8);
  CHECK(places.queries[0].own == std::vector<TokenSpan>{{2, 4}});
  CHECK(places.queries[1].row == 10);
  CHECK(places.queries[1].own == std::vector<TokenSpan>{{0, 2}});
}

TEST_CASE("quantities: rows that are the same everywhere have the shares of the lengths") {
  const LayerQuantities q =
      layer_quantities(causal([](int, int) { return 0.25; }), places_of(two_pairs()));
  const double own = (2.0 / 9 + 2.0 / 11) / 2;
  CHECK(q.selectivity == doctest::Approx(own).epsilon(1e-12));
  CHECK(q.uniform == doctest::Approx(own).epsilon(1e-12));
  CHECK(q.pair_share == doctest::Approx(2 * own).epsilon(1e-12));
  for (const double share : q.position_bias) {
    CHECK(share == doctest::Approx(own).epsilon(1e-12));  // quarters of 8 are as long as a pair
  }
  double diagonal = 0;
  for (int t = 0; t < 16; t++) {
    diagonal += std::min(4.0, t + 1.0) / (t + 1) / 16;
  }
  CHECK(q.diagonal_share == doctest::Approx(diagonal).epsilon(1e-12));
}

TEST_CASE("quantities: each sees its own cells and no others") {
  const ExamplePlaces places = places_of(two_pairs());
  const auto of = [&](const std::function<double(int, int)>& f) {
    return layer_quantities(causal(f), places);
  };
  const auto in = [](int s, int begin) { return s == begin || s == begin + 1; };
  const LayerQuantities own = of([&](int t, int s) { return in(s, t == 8 ? 2 : 0) ? 0.5 : 0.0; });
  CHECK(own.selectivity == 1);
  CHECK(own.pair_share == 1);
  CHECK(own.position_bias == std::array<double, 4>{0.5, 0.5, 0, 0});
  const LayerQuantities others =
      of([&](int t, int s) { return in(s, t == 8 ? 0 : 2) ? 0.5 : 0.0; });
  CHECK(others.selectivity == 0);
  CHECK(others.pair_share == 1);
  const LayerQuantities diagonal = of([](int t, int s) { return t - s <= 3 ? 1.0 : 0.0; });
  CHECK(diagonal.diagonal_share == 1);
  CHECK(diagonal.selectivity == 0);
  const LayerQuantities before = of([](int t, int s) { return t - s > 3 || t < 4 ? 1.0 : 0.0; });
  CHECK(before.diagonal_share == doctest::Approx(0.25));
  const LayerQuantities nothing = of([](int, int) { return 0.0; });
  CHECK(nothing.selectivity == 0);
  CHECK(nothing.diagonal_share == 0);
}

TEST_CASE("quantities: rows in pieces add up to the whole") {
  const ExamplePlaces places = places_of(two_pairs());
  const Tensor matrix = causal([](int t, int s) { return 1.0 / (1 + (t * 7 + s * 5) % 11); });
  const LayerQuantities whole = layer_quantities(matrix, places);
  LayerTally tally;
  for (const auto& [row, rows] : {std::pair{0, 9}, {9, 1}, {10, 6}}) {
    tally.add(matrix.range(row, rows), row, places);
  }
  const LayerQuantities pieces = tally.means();
  CHECK(pieces.selectivity == whole.selectivity);
  CHECK(pieces.diagonal_share == doctest::Approx(whole.diagonal_share).epsilon(1e-14));
  CHECK(pieces.position_bias == whole.position_bias);
}

TEST_CASE("quantities: every pair of every named task lies where its tokens are") {
  const TaskSizes sizes{.vocabulary = 200, .lengths = {64, 128}, .pairs = {1, 2, 4}};
  for (const char* name : {"standard", "last", "shuffle", "k1v1", "k2v2", "k2v4-shuffle",
                           "position-robustness", "ngram-robustness"}) {
    INFO(std::string(name));
    const MqarTask task = make_named_task(name, sizes);
    const Example example = generate(task, Split::test, 0, task.cells.size() - 1, 3);
    const ExamplePlaces places = places_of(example);
    REQUIRE(!places.queries.empty());
    for (const QueryPlace& query : places.queries) {
      REQUIRE(!query.own.empty());
      bool found = false;  // the value that is asked for ends one of its pairs
      for (const Label& label : example.labels) {
        if (label.position != query.row + 1) continue;
        for (const TokenSpan& own : query.own) {
          CHECK(own.end <= query.row);
          for (int s = own.begin; s < own.end; s++) {
            found = found || example.tokens[static_cast<std::size_t>(s)] == label.target;
          }
        }
      }
      CHECK(found);
    }
  }
}

TEST_CASE("quantities: ranked by selectivity, the earlier first of equal ones") {
  std::vector<LayerQuantities> layers(4);
  layers[1].selectivity = layers[3].selectivity = 0.4;
  layers[2].selectivity = 0.9;
  CHECK(ranking(layers) == std::vector<std::size_t>{2, 1, 3, 0});
}

Model small_mamba(std::int64_t gate_kernel) {
  const Model model = make_mamba({.vocab_size = 120,
                                  .d_model = 8,
                                  .n_layer = 3,
                                  .d_state = 4,
                                  .dt_rank = 2,
                                  .gate_kernel = gate_kernel},
                                 Device::cpu, DType::f32);
  model.parameters->initialise(7);
  return model;
}

MqarTask small_task(const char* name) {
  return make_named_task(name, {.vocabulary = 100, .lengths = {64}, .pairs = {2}});
}

TEST_CASE("quantities: a model probed on a cell; pieces of rows change nothing but last bits") {
  const Model model = small_mamba(6);
  const MqarTask task = small_task("k2v2");
  ProbeOptions options{.examples = 3, .layers = {0, 2}, .matrices = true};
  const std::vector<LayerProbe> whole = probe_cell(model, task, 0, options);
  options.piece_elements = 64 * 5;
  const std::vector<LayerProbe> pieces = probe_cell(model, task, 0, options);
  REQUIRE(whole.size() == 2);
  CHECK(whole[1].layer == 2);
  for (std::size_t i = 0; i < 2; i++) {
    CHECK(whole[i].error <= 1e-5);
    CHECK(whole[i].quantities.selectivity > 0);
    CHECK(whole[i].quantities.selectivity < 1);
    CHECK(pieces[i].quantities.selectivity == whole[i].quantities.selectivity);
    CHECK(std::equal(whole[i].matrix.span<float>().begin(), whole[i].matrix.span<float>().end(),
                     pieces[i].matrix.span<float>().begin()));
    // The quantities of the mean of one example's matrix are those of the example.
    REQUIRE(whole[i].delta.has_value());
    for (std::size_t role = 0; role < kRoles.size(); role++) {
      CHECK(std::isfinite(whole[i].delta->mean[role]));
      CHECK(whole[i].delta->mean[role] != whole[i].delta->plain[role]);
    }
  }
  const LayerProbe one =
      probe_cell(model, task, 0, {.examples = 1, .layers = {2}, .matrices = true})[0];
  const Example example = generate(task, Split::test, 0, 0, 0);
  CHECK(layer_quantities(one.matrix, places_of(example)).selectivity == one.quantities.selectivity);
}

TEST_CASE("quantities: without a gate the plain profile is the profile; other families have none") {
  const LayerProbe plain =
      probe_cell(small_mamba(0), small_task("standard"), 0, {.examples = 2})[1];
  REQUIRE(plain.delta.has_value());
  const auto index = [](TokenRole role) { return static_cast<std::size_t>(role); };
  CHECK(plain.delta->mean[index(TokenRole::key)] == plain.delta->plain[index(TokenRole::key)]);
  CHECK(std::isnan(plain.delta->mean[index(TokenRole::separator)]));
  const Model pythia =
      make_pythia({.vocab_size = 120, .d_model = 8, .n_layer = 1, .n_head = 1, .d_ff = 8},
                  Device::cpu, DType::f32);
  pythia.parameters->initialise(3);
  const std::vector<LayerProbe> probes = probe_cell(pythia, small_task("last"), 0, {.examples = 1});
  REQUIRE(probes.size() == 1);
  CHECK(!probes[0].delta.has_value());
  CHECK(!probes[0].matrix);
}

TEST_CASE("quantities: layers that are not there, and ids that the model has not, are refused") {
  const Model model = small_mamba(0);
  ExitCode code = ExitCode::ok;
  const auto message = [&](const MqarTask& task, const ProbeOptions& options) {
    return error_of([&] { probe_cell(model, task, 0, options); }, &code);
  };
  CHECK(message(small_task("last"), {.layers = {3}}).find("layers 0 to 2") != std::string::npos);
  CHECK(code == ExitCode::data);
  const MqarTask wide = make_named_task("last", {.vocabulary = 400, .lengths = {64}, .pairs = {2}});
  CHECK(message(wide, {}).find("420 token ids") != std::string::npos);
  CHECK(code == ExitCode::data);
}

}  // namespace
}  // namespace farsight
