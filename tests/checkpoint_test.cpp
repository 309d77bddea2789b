// Checkpoints: what was saved comes back bit by bit, and nothing else is ever loaded.
#include "train/checkpoint.h"

#include <doctest/doctest.h>

#include "core/files.h"
#include "core/safetensors.h"
#include "tests/trained_model.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

TEST_CASE("checkpoint: everything comes back bit by bit") {
  for (const DType compute : {DType::f64, DType::f32, DType::bf16}) {
    const TemporaryFolder run;
    const Trained saved(1, kSizes, compute);
    const TrainState state{.step = 1,
                           .tokens = 123456789012,
                           .seconds = 0.1,
                           .loss = 1.0 / 3,
                           .best_step = 1,
                           .best_score = 99.0 / 7};
    save_checkpoint(run.path(), saved.model, saved.optimizer, state);
    CHECK(pointed_checkpoint(run.path(), "latest") == run / "step-00000001");
    CHECK(pointed_checkpoint(run.path(), "best").empty());
    CHECK(run.entries() == 2);
    Trained loaded(2, kSizes, compute);
    CHECK(parameter_hash(loaded.model) != parameter_hash(saved.model));
    const TrainState again = load_checkpoint(run / "step-00000001", loaded.model, loaded.optimizer);
    CHECK(parameter_hash(loaded.model) == parameter_hash(saved.model));
    CHECK(same_moments(loaded, saved));
    CHECK(loaded.optimizer.steps() == 1);
    CHECK(again.step == state.step);
    CHECK(again.tokens == state.tokens);
    CHECK(again.seconds == state.seconds);
    CHECK(again.loss == state.loss);
    CHECK(again.best_step == state.best_step);
    CHECK(again.best_score == state.best_score);
    for (const ParameterStore::Entry& entry : loaded.model.parameters->entries()) {
      const Tensor& mine = entry.parameter->operand;
      CHECK(same_bits(mine, saved.model.parameters->find(entry.name)->parameter->operand));
    }
    CHECK(MambaConfig::from_json(checkpoint_config(run / "step-00000001")).to_json() ==
          saved.model.config);
  }
}

TEST_CASE("checkpoint: weights alone, without a manifest, load too") {
  const TemporaryFolder run;
  const Trained saved(1);
  save_checkpoint(run.path(), saved.model, saved.optimizer, {.step = 1});
  for (const char* name : {"optimizer.safetensors", "state.json", "manifest.json"}) {
    fs::remove(run / "step-00000001" / name);
  }
  const Trained loaded(2);
  load_parameters(run / "step-00000001", loaded.model);
  CHECK(parameter_hash(loaded.model) == parameter_hash(saved.model));
}

TEST_CASE("checkpoint: pruning keeps the newest and those that a pointer names") {
  const TemporaryFolder run;
  const Trained trained(1);
  for (int step = 1; step <= 6; step++) {
    save_checkpoint(run.path(), trained.model, trained.optimizer, {.step = step});
    if (step == 2) write_pointer(run / "best", checkpoint_name(2));
  }
  fs::create_directory(run / "step-00000001.inprogress");
  write_plainly(run / "step-notes", "mine");
  prune_checkpoints(run.path(), 2);
  for (int step = 1; step <= 6; step++) {
    CHECK(fs::exists(run / checkpoint_name(step)) == (step == 2 || step >= 5));
  }
  CHECK(fs::exists(run / "step-notes"));
  prune_checkpoints(run.path(), 100);
  CHECK(fs::exists(run / checkpoint_name(5)));
  write_pointer(run / "latest", checkpoint_name(5));
  prune_checkpoints(run.path(), 1);
  CHECK(fs::exists(run / checkpoint_name(2)));
  CHECK(fs::exists(run / checkpoint_name(5)));
  CHECK(fs::exists(run / checkpoint_name(6)));
}

TEST_CASE(
    "checkpoint: after a run went on from an older one, its own are kept beside the newer ones") {
  const TemporaryFolder run;
  const Trained trained(1);
  for (const int step : {1, 8, 9, 2, 3, 4}) {
    save_checkpoint(run.path(), trained.model, trained.optimizer, {.step = step});
    prune_checkpoints(run.path(), 2);
  }
  for (const int step : {1, 2, 3, 4, 8, 9}) {
    CHECK(fs::exists(run / checkpoint_name(step)) == (step >= 3));
  }
  save_checkpoint(run.path(), trained.model, trained.optimizer, {.step = 10});
  prune_checkpoints(run.path(), 2);
  CHECK(run.entries() == 3);  // 9, 10 and `latest`
}

TEST_CASE("checkpoint: missing, extra and misshaped tensors are listed together") {
  const TemporaryFolder folder;
  const Trained trained(1);
  std::vector<NamedTensor> tensors;
  for (const ParameterStore::Entry& entry : trained.model.parameters->entries()) {
    if (entry.name == "backbone.norm_f.weight") continue;
    tensors.push_back({entry.name, entry.parameter->master});
    if (entry.name.ends_with("A_log")) tensors.back().tensor = Tensor::zeros({12, 4}, DType::f32);
  }
  tensors.push_back({"backbone.visitor", Tensor::zeros({2}, DType::f32)});
  save_safetensors(folder / "model.safetensors", tensors);
  const std::string before = parameter_hash(trained.model);
  ExitCode code = ExitCode::ok;
  const std::string message =
      error_of([&] { load_parameters(folder.path(), trained.model); }, &code);
  CHECK(code == ExitCode::data);
  CHECK(mentions(message, "missing backbone.norm_f.weight [6]"));
  CHECK(mentions(message, "extra backbone.visitor"));
  CHECK(mentions(message, "A_log is [12, 4], the model's is [12, 3]"));
  CHECK(parameter_hash(trained.model) == before);
}

TEST_CASE("checkpoint: that of another model is refused, and the model stays as it was") {
  const TemporaryFolder run;
  const Trained saved(1);
  save_checkpoint(run.path(), saved.model, saved.optimizer, {.step = 1});
  MambaConfig other = kSizes;
  other.n_layer = 30;
  ExitCode code = ExitCode::ok;
  const std::string message = load_error(run / "step-00000001", &code, other);
  CHECK(code == ExitCode::data);
  CHECK(mentions(message, "of another model"));
  CHECK(mentions(message, "missing backbone.layers.1."));
  CHECK(mentions(message, "more"));
  CHECK(message.size() < 2000);
}

}  // namespace
}  // namespace farsight
