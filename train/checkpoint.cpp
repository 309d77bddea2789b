#include "train/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

#include "core/atomic_folder.h"
#include "core/files.h"
#include "core/hash.h"
#include "core/safetensors.h"
#include "train/checkpoint_manifest.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigFile = "config.json";
constexpr const char* kModelFile = "model.safetensors";
constexpr const char* kOptimizerFile = "optimizer.safetensors";
constexpr const char* kStateFile = "state.json";
constexpr const char* kManifestFile = "manifest.json";

/// The parameters' slices of a flat buffer, under `prefix` + their names.
std::vector<NamedTensor> slices(const ParameterStore& parameters, const Tensor& flat,
                                const std::string& prefix) {
  std::vector<NamedTensor> all;
  for (const ParameterStore::Entry& entry : parameters.entries()) {
    all.push_back({prefix + entry.name, flat.slice_flat(entry.offset, entry.parameter->shape)});
  }
  return all;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

/// The same of a copy of such a buffer.
std::vector<TensorBytes> pieces(const ParameterStore& parameters, std::span<const std::byte> flat,
                                const std::string& prefix) {
  const DType type = parameters.values().dtype();
  const auto size = static_cast<std::size_t>(size_of(type));
  std::vector<TensorBytes> all;
  for (const ParameterStore::Entry& entry : parameters.entries()) {
    all.push_back({.name = prefix + entry.name,
                   .dtype = type,
                   .shape = entry.parameter->shape,
                   .bytes = flat.subspan(static_cast<std::size_t>(entry.offset) * size,
                                         static_cast<std::size_t>(entry.count) * size)});
  }
  return all;
}

/// Names and shapes must be the same on both sides.
void compare(const SafetensorsFile& file, const std::vector<NamedTensor>& targets) {
  std::vector<std::string> problems;
  std::set<std::string_view> wanted;
  for (const NamedTensor& target : targets) {
    wanted.insert(target.name);
    const StoredTensor* stored = file.find(target.name);
    const auto& shape = target.tensor.shape();
    const std::vector<std::int64_t> expected(shape.dims.begin(), shape.dims.begin() + shape.n);
    if (stored == nullptr) {
      problems.push_back(fmt::format("missing {} {}", target.name, shape_text(expected)));
    } else if (stored->shape != expected) {
      problems.push_back(fmt::format("{} is {}, the model's is {}", target.name,
                                     shape_text(stored->shape), shape_text(expected)));
    }
  }
  for (const StoredTensor& stored : file.tensors()) {
    if (!wanted.contains(stored.name)) problems.push_back(fmt::format("extra {}", stored.name));
  }
  if (problems.empty()) return;
  constexpr std::size_t kShown = 12;
  const std::size_t shown = std::min(kShown, problems.size());
  const std::vector<std::string> first(problems.begin(),
                                       problems.begin() + static_cast<std::ptrdiff_t>(shown));
  fail(ExitCode::data, "{} is of another model: {}{}", file.path(), fmt::join(first, "; "),
       problems.size() > shown ? fmt::format("; and {} more", problems.size() - shown) : "");
}

/// Copies the tensors of `file` into `targets`, all or nothing.
void load_into(const SafetensorsFile& file, const std::vector<NamedTensor>& targets) {
  compare(file, targets);
  for (const NamedTensor& target : targets) {
    target.tensor.copy_from(file.load(target.name).to(target.tensor.dtype()));
  }
}

Json state_json(const TrainState& state) {
  Json json = Json::object({{"step", state.step},
                            {"tokens", state.tokens},
                            {"seconds", state.seconds},
                            {"loss", state.loss},
                            {"best_step", state.best_step}});
  if (state.best_score) json["best_score"] = *state.best_score;
  json["skipped"] = state.skipped;
  json["skipped_in_a_row"] = state.skipped_in_a_row;
  Json& stop = json["stop"] =
      Json::object({{"reached", state.stop.reached}, {"without_gain", state.stop.without_gain}});
  if (state.stop.best) stop["best"] = *state.stop.best;
  return json;
}

TrainState state_from(const Json& json) {
  constexpr std::int64_t kMost = std::int64_t{1} << 60;
  TrainState state{.step = json.at("step").as_int(0, kMost),
                   .tokens = json.at("tokens").as_int(0, kMost),
                   .seconds = json.at("seconds").as_double(),
                   .loss = json.at("loss").as_double(),
                   .best_step = json.at("best_step").as_int(0, kMost)};
  if (const Json* score = json.find("best_score")) state.best_score = score->as_double();
  if (const Json* skipped = json.find("skipped")) {  // older checkpoints have none of these
    state.skipped = skipped->as_int(0, kMost);
    state.skipped_in_a_row = json.at("skipped_in_a_row").as_int(0, kMost);
  }
  if (const Json* stop = json.find("stop")) {
    state.stop.reached = stop->at("reached").as_int(0, kMost);
    state.stop.without_gain = stop->at("without_gain").as_int(0, kMost);
    if (const Json* best = stop->find("best")) state.stop.best = best->as_double();
  }
  return state;
}

}  // namespace

std::string checkpoint_name(std::int64_t step) {
  return fmt::format("step-{:08}", step);
}

void write_checkpoint(const fs::path& run, const Model& model, const CheckpointBytes& bytes,
                      const TrainState& state) {
  const std::string name = checkpoint_name(state.step);
  AtomicFolder folder(run / name);
  std::vector<StoredFile> stored;
  const auto write = [&](const char* file, const auto& fill) {
    std::optional<SafetensorsHashes> parts;
    folder.write(file, [&](OutputFile& out) { parts = fill(out); });
    const AtomicFolder::Entry& entry = folder.entries().back();
    stored.push_back({entry.name, entry.bytes, entry.xxh3, std::move(parts)});
  };
  const auto write_text = [&](const char* file, const std::string& text) {
    write(file, [&](OutputFile& out) -> std::optional<SafetensorsHashes> {
      out.set_needed_bytes(text.size());
      out.write(text);
      return std::nullopt;
    });
  };
  const ParameterStore& parameters = *model.parameters;
  write_text(kConfigFile, model.config.dump(2) + "\n");
  write(kModelFile, [&](OutputFile& out) {
    return write_safetensors(out, pieces(parameters, bytes.values, ""),
                             {{"format", "pt"}});  // what other loaders of such files ask for
  });
  write(kOptimizerFile, [&](OutputFile& out) {
    std::vector<TensorBytes> moments = pieces(parameters, bytes.m, "m.");
    std::ranges::move(pieces(parameters, bytes.v, "v."), std::back_inserter(moments));
    return write_safetensors(out, moments);
  });
  write_text(kStateFile, state_json(state).dump(2) + "\n");
  folder.write(kManifestFile, manifest_text(state.step, stored));
  try {
    verify_checkpoint(folder.in_progress(), Readers::this_thread);
  } catch (const Error& error) {
    fail(ExitCode::storage, "a checkpoint was not written as it should be: {}", error.what());
  }
  folder.commit();
  write_pointer(run / "latest", name);
}

void save_checkpoint(const fs::path& run, const Model& model, const AdamW& optimizer,
                     const TrainState& state) {
  const Tensor values = model.parameters->values().to(Device::cpu);
  const Tensor m = optimizer.m().to(Device::cpu), v = optimizer.v().to(Device::cpu);
  const auto bytes_of = [](const Tensor& t) {
    return std::span(static_cast<const std::byte*>(t.ptr()), static_cast<std::size_t>(t.bytes()));
  };
  write_checkpoint(run, model, {bytes_of(values), bytes_of(m), bytes_of(v)}, state);
}

void prune_checkpoints(const fs::path& run, std::int64_t keep_last) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(run)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && name.starts_with("step-") && name.find('.') == std::string::npos) {
      found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  const fs::path latest = pointed_checkpoint(run, "latest");
  const std::set<fs::path> pointed = {latest, pointed_checkpoint(run, "best")};
  // Of a run that went on from an older one the newer ones are another future, and in nobody's place.
  if (!latest.empty()) std::erase_if(found, [&](const fs::path& each) { return each > latest; });
  for (std::size_t i = 0; i + static_cast<std::size_t>(keep_last) < found.size(); i++) {
    std::error_code later;  // somebody reads it over a network: the next save tries again
    if (!pointed.contains(found[i])) fs::remove_all(found[i], later);
  }
}

fs::path pointed_checkpoint(const fs::path& run, const std::string& pointer) {
  return fs::exists(run / pointer) ? run / read_pointer(run / pointer) : fs::path();
}

std::vector<NamedTensor> named_parameters(const Model& model) {
  return slices(*model.parameters, model.parameters->values().to(Device::cpu), "");
}

Json checkpoint_config(const fs::path& checkpoint) {
  require(fs::exists(checkpoint / kConfigFile), ExitCode::data,
          "'{}' is no checkpoint: it has no config.json", checkpoint.string());
  return read_json(checkpoint / kConfigFile);
}

void compare_parameters(const fs::path& checkpoint, const Model& model) {
  compare(SafetensorsFile(checkpoint / kModelFile),
          slices(*model.parameters, model.parameters->values(), ""));
}

void load_parameters(const fs::path& checkpoint, const Model& model) {
  verify_checkpoint(checkpoint);
  load_into(SafetensorsFile(checkpoint / kModelFile),
            slices(*model.parameters, model.parameters->values(), ""));
  model.parameters->refresh_operands();
}

TrainState load_checkpoint(const fs::path& checkpoint, const Model& model, AdamW& optimizer) {
  load_parameters(checkpoint, model);
  std::vector<NamedTensor> moments = slices(*model.parameters, optimizer.m(), "m.");
  std::ranges::move(slices(*model.parameters, optimizer.v(), "v."), std::back_inserter(moments));
  load_into(SafetensorsFile(checkpoint / kOptimizerFile), moments);
  const TrainState state = state_from(read_json(checkpoint / kStateFile));
  optimizer.set_steps(state.step);
  return state;
}

std::string parameter_hash(const Model& model) {
  Xxh3 hash;
  for (const ParameterStore::Entry& entry : model.parameters->entries()) {
    const Tensor t = entry.parameter->master.to(Device::cpu);
    hash.update({static_cast<const std::byte*>(t.ptr()), static_cast<std::size_t>(t.bytes())});
  }
  return hex(hash.value());
}

}  // namespace farsight
