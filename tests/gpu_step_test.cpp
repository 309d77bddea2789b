// Training on the GPU, against the CPU and against itself.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "eval/recall.h"
#include "tests/gpu_model_checks.h"
#include "train/step.h"

namespace farsight {
namespace {

const std::vector<Flags> kModels = {{}, {{"model.gate_kernel", "5"}}};

TEST_CASE("gpu: a model starts from the CPU's bits; loss and gradients agree with the CPU's f32") {
  if (!have_gpu()) return;
  for (const Flags& flags : kModels) {
    INFO((flags.empty() ? "plain" : "with the gate"));
    const OnBothDevices pair(flags);
    CHECK(parameter_hash(pair.cpu) == parameter_hash(pair.gpu));
    check_gradients_on_gpu(pair, 1e-4);
  }
}

/// Steps [from, to) of the run; the losses.
std::vector<double> train_steps(const Settings& settings, const Model& model, AdamW& optimizer,
                                std::int64_t from, std::int64_t to,
                                GraphUse graphs = GraphUse::off) {
  const TrainLoader loader = loader_of(settings);
  TrainStep one_step(model, optimizer, graphs);
  std::vector<double> losses;
  for (std::int64_t step = from; step < to; step++) {
    one_step.launch(loader.at(step), 1e-3);
    if (one_step.under_way() > 1) losses.push_back(one_step.finish().loss);
  }
  while (one_step.under_way() > 0) {
    losses.push_back(one_step.finish().loss);
  }
  if (graphs == GraphUse::on) CHECK(one_step.graph_starts() > 0);
  return losses;
}

TEST_CASE("gpu: training for 100 steps follows the CPU's f32") {
  if (!have_gpu()) return;
  for (const Flags& flags : kModels) {
    INFO((flags.empty() ? "plain" : "with the gate"));
    const OnBothDevices pair(flags);
    const Settings& settings = pair.settings.settings;
    AdamW on_cpu_steps(*pair.cpu.parameters, settings.train);
    AdamW on_gpu_steps(*pair.gpu.parameters, settings.train);
    const std::vector<double> cpu = train_steps(settings, pair.cpu, on_cpu_steps, 0, 100);
    const std::vector<double> gpu = train_steps(settings, pair.gpu, on_gpu_steps, 0, 100);
    for (std::size_t i = 0; i < cpu.size(); i++) {
      INFO("step ", i);
      CHECK(gpu[i] == doctest::Approx(cpu[i]).epsilon(1e-3));
    }
    CHECK(difference(pair.gpu.parameters->values(), pair.cpu.parameters->values()).norm <= 1e-2);
  }
}

TEST_CASE("gpu: the same run gives the same bits, and the copies are the rounded masters") {
  if (!have_gpu()) return;
  for (const char* dtype : {"f32", "bf16"}) {
    std::vector<std::string> hashes;
    std::int64_t segments = 0;
    for (int run = 0; run < 2; run++) {
      const Resolved settings =
          resolved(tiny_flags({{"run.dtype", dtype}, {"model.gate_kernel", "5"}}));
      const Model model = model_of(settings.settings, Device::cuda);
      AdamW optimizer(*model.parameters, settings.settings.train);
      train_steps(settings.settings, model, optimizer, 0, 2);
      segments = arena(Device::cuda).segments();
      const std::vector<double> losses = train_steps(settings.settings, model, optimizer, 2, 12);
      CHECK(std::ranges::all_of(losses, [](double loss) { return std::isfinite(loss); }));
      CHECK(arena(Device::cuda).segments() == segments);
      hashes.push_back(parameter_hash(model));
      for (const ParameterStore::Entry& entry : model.parameters->entries()) {
        const Parameter& p = *entry.parameter;
        CHECK(equal_bits(p.operand, on_cpu(p.master).to(p.operand.dtype())));
      }
    }
    CHECK(hashes[0] == hashes[1]);
  }
}

TEST_CASE("gpu: a checkpoint goes on bit by bit on the GPU, and loads on the CPU") {
  if (!have_gpu()) return;
  const NoSync quick;
  const TemporaryFolder folder;
  const Resolved resolved_settings = resolved(tiny_flags({{"run.dtype", "bf16"}}));
  const Settings& settings = resolved_settings.settings;
  const Model model = model_of(settings, Device::cuda);
  AdamW optimizer(*model.parameters, settings.train);
  train_steps(settings, model, optimizer, 0, 3);
  save_checkpoint(folder.path(), model, optimizer, {.step = 3});
  const std::string saved = parameter_hash(model);
  train_steps(settings, model, optimizer, 3, 6);

  const std::filesystem::path checkpoint = pointed_checkpoint(folder.path(), "latest");
  const Model again = model_of(settings, Device::cuda);
  AdamW again_optimizer(*again.parameters, settings.train);
  const TrainState state = load_checkpoint(checkpoint, again, again_optimizer);
  CHECK(state.step == 3);
  CHECK(parameter_hash(again) == saved);
  train_steps(settings, again, again_optimizer, 3, 6);
  CHECK(parameter_hash(again) == parameter_hash(model));

  const Model on_host = model_of(settings, Device::cpu);
  load_parameters(checkpoint, on_host);
  CHECK(parameter_hash(on_host) == saved);
}

TEST_CASE(
    "gpu: steps started as graphs give the bits of steps that are asked for kernel by kernel") {
  if (!have_gpu()) return;
  for (const char* dtype : {"f32", "bf16"}) {
    std::vector<std::string> hashes;
    std::vector<std::vector<double>> losses;
    for (const GraphUse graphs : {GraphUse::off, GraphUse::on}) {
      // One length, so that shapes come again and again.
      const Resolved settings =
          resolved(tiny_flags({{"run.dtype", dtype}, {"data.lengths", "24"}, {"data.pairs", "2"}}));
      const Model model = model_of(settings.settings, Device::cuda);
      AdamW optimizer(*model.parameters, settings.settings.train);
      losses.push_back(train_steps(settings.settings, model, optimizer, 0, 9, graphs));
      // What runs between the starts of a graph may not disturb it, nor it them.
      const TrainLoader loader = loader_of(settings.settings);
      const RecallResult between =
          evaluate_recall(model, loader.task(), {.split = Split::valid, .examples_per_cell = 3});
      CHECK(std::isfinite(between.loss));
      const std::vector<double> more =
          train_steps(settings.settings, model, optimizer, 9, 18, graphs);
      losses.back().insert(losses.back().end(), more.begin(), more.end());
      hashes.push_back(parameter_hash(model));
    }
    CHECK(losses[0] == losses[1]);
    CHECK(hashes[0] == hashes[1]);
  }
}

TEST_CASE("gpu: packed rows give the loss and the gradients of the CPU's unpacked ones") {
  if (!have_gpu()) return;
  for (const char* kernel : {"0", "5", "128"}) {
    INFO("gate of ", kernel);
    const Flags flags = {{"data.lengths", "16,32,64"}, {"model.gate_kernel", kernel}};
    Flags packed = flags;
    packed.push_back({"train.packing", "on"});
    const OnBothDevices pair(flags);
    const GlobalBatch rows = loader_of(resolved(tiny_flags(packed)).settings).at(0);
    Flags unpacked = flags;
    unpacked.push_back({"train.packing", "off"});
    const GlobalBatch one_each = loader_of(resolved(tiny_flags(unpacked)).settings).at(0);
    REQUIRE(rows.micro_batches[0].packed());
    const StepResult cpu = forward_backward(pair.cpu, one_each);
    const StepResult gpu = forward_backward(pair.gpu, rows);
    CHECK(gpu.loss == doctest::Approx(cpu.loss).epsilon(1e-5));
    CHECK(difference(pair.gpu.parameters->gradients(), pair.cpu.parameters->gradients()).norm <=
          1e-4);
  }
}

TEST_CASE("gpu: evaluation scores as on the CPU") {
  if (!have_gpu()) return;
  const OnBothDevices pair({});
  const Settings& settings = pair.settings.settings;
  const TrainLoader loader = loader_of(settings);
  const MqarTask& task = loader.task();
  const RecallOptions options{.split = Split::valid, .examples_per_cell = 8, .micro_tokens = 96};
  const RecallResult cpu = evaluate_recall(pair.cpu, task, options);
  const RecallResult gpu = evaluate_recall(pair.gpu, task, options);
  CHECK(gpu.loss == doctest::Approx(cpu.loss).epsilon(1e-5));
  CHECK(gpu.tokens == cpu.tokens);
}

}  // namespace
}  // namespace farsight
