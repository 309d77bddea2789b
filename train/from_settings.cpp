#include "train/from_settings.h"

#include <algorithm>

#include "core/device_calls.h"
#include "models/hyena.h"
#include "models/mamba.h"
#include "models/pythia.h"
#include "models/rwkv.h"
#include "train/presets.h"
#include "train/task.h"
#include "train/training_task.h"

namespace farsight {
namespace {

/// Whether the run will compute on a GPU; if not, `why` is a sentence unless the CPU was asked for.
bool takes_gpu(const Settings& settings, std::string* why) {
  if (settings.run.device == DeviceChoice::cpu) return false;
  if (settings.run.dtype != DType::f64) return gpu_available(why);
  if (why != nullptr) *why = "f64 runs on the CPU only";
  return false;
}

MambaConfig mamba_config(const ModelSettings& m) {
  return {.vocab_size = m.vocab_size,
          .d_model = m.d_model,
          .n_layer = m.n_layer,
          .d_state = m.d_state,
          .d_conv = m.d_conv,
          .expand = m.expand,
          .dt_rank = m.dt_rank == 0 ? (m.d_model + 15) / 16 : m.dt_rank,
          .norm_eps = m.norm_eps,
          .gate = m.gate,
          .gate_kernel = m.gate_kernel,
          .gate_layers = m.gate_layers,
          .init = m.init};
}

PythiaConfig pythia_config(const ModelSettings& m) {
  return {.vocab_size = m.vocab_size,
          .d_model = m.d_model,
          .n_layer = m.n_layer,
          .n_head = m.n_head,
          .d_ff = m.d_ff == 0 ? 4 * m.d_model : m.d_ff,
          .rotary_pct = m.rotary_pct,
          .norm_eps = m.norm_eps};
}

/// `what` of the model ends there.
void require_lengths(const Settings& settings, std::string_view what) {
  const std::int64_t longest = longest_length(settings);
  require(longest <= settings.model.l_max, ExitCode::usage,
          "task {}: {} tokens are more than model.l_max = {}, where {} of {} end{}",
          own_task_name(settings), longest, settings.model.l_max, what, settings.run.model,
          what.ends_with('s') ? "" : "s");
}

HyenaConfig hyena_config(const Settings& settings) {
  const ModelSettings& m = settings.model;
  require_lengths(settings, "the filter");
  return {.form = settings.run.model == "hyena-safari" ? HyenaForm::safari : HyenaForm::authors,
          .vocab_size = m.vocab_size,
          .d_model = m.d_model,
          .n_layer = m.n_layer,
          .d_ff = m.d_ff == 0 ? 2 * m.d_model : m.d_ff,
          .d_conv = m.d_conv,
          .l_max = m.l_max,
          .embed_dropout = m.embed_dropout,
          .norm_eps = m.norm_eps};
}

RwkvConfig rwkv_config(const Settings& settings) {
  const ModelSettings& m = settings.model;
  const bool authors = settings.run.model == "rwkv";
  if (authors) require_lengths(settings, "the learned positions");
  return {.form = authors ? RwkvForm::authors : RwkvForm::published,
          .vocab_size = m.vocab_size,
          .d_model = m.d_model,
          .n_layer = m.n_layer,
          .d_ff = m.d_ff > 0 ? m.d_ff
                  : authors  ? 2 * m.d_model
                             : 4 * m.d_model,
          .l_max = m.l_max,
          .embed_dropout = authors ? m.embed_dropout : 0,
          .norm_eps = m.norm_eps};
}

}  // namespace

Device device_of(const Settings& settings) {
  std::string why;
  if (takes_gpu(settings, &why)) {
    select_gpu();
    return Device::cuda;
  }
  const bool asked = settings.run.device == DeviceChoice::cuda;
  require(!asked, ExitCode::device, "--device cuda: {}; use --device cpu{}", why,
          FARSIGHT_CUDA ? "" : ", or build again where nvcc is on PATH");
  return Device::cpu;
}

Model model_of(const Settings& settings, Device device) {
  const std::string_view family = family_of(settings.run.model);
  const auto made = [&] {
    const DType compute = settings.run.dtype;
    if (family == "pythia") return make_pythia(pythia_config(settings.model), device, compute);
    if (family == "hyena") return make_hyena(hyena_config(settings), device, compute);
    if (family == "rwkv") return make_rwkv(rwkv_config(settings), device, compute);
    check(family == "mamba", "model_of: no family is called '{}'", family);
    return make_mamba(mamba_config(settings.model), device, compute);
  };
  Model model = made();
  model.parameters->store_as(settings.model.storage);
  model.parameters->initialise(static_cast<std::uint64_t>(settings.run.seed));
  return model;
}

TrainLoader loader_of(const Settings& settings) {
  const RowPacking packing = settings.train.packing;
  // A filter as long as the row would run from one sequence into the next.
  const bool can_pack = family_of(settings.run.model) != "hyena";
  require(can_pack || packing != RowPacking::on, ExitCode::usage,
          "train.packing = on: a row of {} holds one sequence; use auto or off",
          settings.run.model);
  const bool packs = can_pack && (packing == RowPacking::on || (packing == RowPacking::automatic &&
                                                                takes_gpu(settings, nullptr)));
  // On the host by default: 65,536 tokens cost one core less than 2 ms, while a GPU is busy with the
  // batch before for much longer. What the GPU makes stands in the way of its own step, if only for
  // an estimated 0.1 ms: that is for a host that does not keep up.
  const bool device_makes = settings.data.generate_on == MadeOn::device;
  MqarTask task = own_task(settings);
  require(follows_layout(task) || !device_makes, ExitCode::usage,
          "data.generate_on = device: examples of {} are made on the host; use auto or host",
          task.name);
  return {std::move(task),
          {.seed = static_cast<std::uint64_t>(settings.run.seed),
           .examples_per_cell = settings.data.examples_per_cell,
           .batch_size = settings.train.batch_size,
           .micro_tokens = settings.train.micro_tokens,
           .pack = packs,
           .plan_only = device_makes}};
}

std::int64_t total_steps(const Settings& settings, const TrainLoader& loader) {
  return total_steps(settings, train_data_of(loader));
}

}  // namespace farsight
