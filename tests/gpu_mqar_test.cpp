// MQAR examples made on the GPU: the host's, bit for bit, and a training that reads them.
#include "tests/gpu.h"
#include "tests/planned_batches.h"
#include "tests/tiny_run.h"
#include "train/step.h"

namespace farsight {
namespace {

TEST_CASE("gpu: examples made on the GPU are the host's, in every cell, packed or not") {
  if (!have_gpu()) return;
  for_each_planned_task({4, 7, 16, 33, 67, 128}, {1, 3, 16}, [](const MqarTask& task) {
    for (const bool pack : {false, true}) {
      const TrainLoaderOptions options{.seed = 9,
                                       .examples_per_cell = 60,
                                       .batch_size = 120,
                                       .micro_tokens = 2000,
                                       .pack = pack};
      CHECK(check_planned(task, options, 2, Device::cuda) == 120);
    }
  });
}

TEST_CASE("gpu: a batch of 1,024 examples of the paper's grid is made as on the host") {
  if (!have_gpu()) return;
  for (const char* task : {"standard", "last", "shuffle", "k2v2", "k4v8-shuffle"}) {
    for (const bool pack : {false, true}) {
      const TrainLoaderOptions options{.batch_size = 1024, .micro_tokens = 1 << 20, .pack = pack};
      CHECK(check_planned(make_named_task(task), options, 1, Device::cuda) == 1024);
    }
  }
}

TEST_CASE("gpu: examples too long for shared memory are made as on the host") {
  if (!have_gpu()) return;
  for (const Placement placement : kPlacements) {
    const MqarTask task = make_position_task(placement, 60'000,
                                             position_grid({64, 4096, 65'536}, {16, 1024, 16'384}));
    const TrainLoaderOptions options{
        .examples_per_cell = 2, .batch_size = 12, .micro_tokens = 1 << 20, .pack = true};
    CHECK(check_planned(task, options, 0, Device::cuda) == 12);
  }
}

TEST_CASE("gpu: training on examples made on the GPU gives the bits of the host's") {
  if (!have_gpu()) return;
  for (const GraphUse graphs : {GraphUse::off, GraphUse::on}) {
    for (const char* packing : {"off", "on"}) {
      INFO("graphs ", name_of(graphs), ", packing ", packing);
      std::vector<std::string> hashes;
      std::vector<std::vector<double>> losses;
      for (const char* maker : {"host", "device"}) {
        // Few shapes, so that they come again and become graphs.
        const Resolved settings = resolved(tiny_flags({{"data.lengths", "24"},
                                                       {"data.pairs", "2"},
                                                       {"train.packing", packing},
                                                       {"data.generate_on", maker}}));
        const Model model = model_of(settings.settings, Device::cuda);
        AdamW optimizer(*model.parameters, settings.settings.train);
        TrainStep step(model, optimizer, graphs);
        const TrainLoader loader = loader_of(settings.settings);
        losses.emplace_back();
        for (std::int64_t i = 0; i < 12; i++) {
          step.launch(loader.at(i), 1e-3);
          if (step.under_way() > 1) losses.back().push_back(step.finish().loss);
        }
        losses.back().push_back(step.finish().loss);
        CHECK((step.graph_starts() > 0) == (graphs == GraphUse::on));
        hashes.push_back(parameter_hash(model));
      }
      CHECK(losses[0] == losses[1]);
      CHECK(hashes[0] == hashes[1]);
    }
  }
}

}  // namespace
}  // namespace farsight
