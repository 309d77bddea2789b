#include "train/exchange.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "core/atomic_folder.h"
#include "core/files.h"
#include "core/safetensors.h"
#include "eval/recall.h"
#include "models/hyena_dialects.h"
#include "models/pretrained.h"
#include "train/checkpoint.h"
#include "train/quantities.h"
#include "train/run_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLargestExtra = std::uint64_t{1} << 28;
/// What goes along with the weights unread.
constexpr const char* kPassedThrough[] = {"tokenizer.json",
                                          "tokenizer_config.json",
                                          "special_tokens_map.json",
                                          "added_tokens.json",
                                          "vocab.json",
                                          "merges.txt",
                                          "tokenizer.model",
                                          "generation_config.json"};

/// A run's best checkpoint, or its last; anything else is what it is.
fs::path checkpoint_in(const fs::path& from) {
  require(fs::exists(from), ExitCode::storage, "--from: there is no '{}'", from.string());
  const fs::path found = best_or_latest(from);
  return found.empty() ? from : found;
}

const NameFamily& family_for(std::string_view format, std::string_view model_type) {
  for (const NameFamily& family : name_families()) {
    if (family.name == format && family.model_type == model_type) return family;
  }
  fail(ExitCode::data, "--format {}: there is no such form of a {} model", format, model_type);
}

NamedTensor stored(const std::string& name, const Tensor& master, std::string_view dtype) {
  if (dtype == "bf16") return {name, master.to(DType::bf16)};
  if (dtype != "f16") return {name, master};
  for (const float value : master.span<float>()) {
    require(!(std::abs(value) >= 65520) || !std::isfinite(value), ExitCode::data,
            "--dtype f16: {} has the value {}, which f16 cannot hold", name, value);
  }
  return {.name = name, .tensor = master, .as_half = true};
}

std::vector<NamedTensor> tensors_of(const Model& model, const NameFamily& family,
                                    std::string_view dtype) {
  std::vector<NamedTensor> tensors;
  for (const ParameterStore::Entry& entry : model.parameters->entries()) {
    const auto name = theirs_of(family, entry.name);
    require(name.has_value(), ExitCode::data, "--format {}: it has no name for {}", family.name,
            entry.name);
    tensors.push_back(stored(*name, entry.parameter->master, dtype));
  }
  if (family.name == "hf") return tensors;
  // Hugging Face leaves out what is tied to another and what follows from the sizes; others ask for
  // both.
  for (const ParameterStore::Entry& entry : model.parameters->entries()) {
    for (const std::string& name : tied_to(family, entry.name)) {
      tensors.push_back(stored(name, entry.parameter->master, dtype));
    }
  }
  if (family.model_type == "hyena") {
    for (const NamedTensor& buffer : hyena_buffers(model.config, family.name)) {
      tensors.push_back(stored(buffer.name, buffer.tensor, dtype));
    }
  }
  return tensors;
}

Tensor ids_of(const Json& row, std::size_t number, std::int64_t vocabulary) {
  if (row.elements().empty()) row.refuse(fmt::format("row {} has no token ids", number));
  std::vector<std::int32_t> ids;
  for (const Json& id : row.elements()) {
    ids.push_back(static_cast<std::int32_t>(id.as_int(0, vocabulary - 1)));
  }
  return index_tensor(ids, {1, static_cast<std::int64_t>(ids.size())}, Device::cpu);
}

}  // namespace

Model model_from(const fs::path& checkpoint, Device device, DType compute) {
  require(fs::exists(checkpoint), ExitCode::storage, "there is no checkpoint '{}'",
          checkpoint.string());
  if (fs::exists(checkpoint / "manifest.json")) {
    const Json config = checkpoint_config(checkpoint);
    compare_parameters(checkpoint, make_model(config, Device::meta, compute));
    Model model = make_model(config, device, compute);
    load_parameters(checkpoint, model);
    return model;
  }
  const Pretrained saved(checkpoint);
  saved.compare(make_model(saved.config(), Device::meta, compute));
  Model model = make_model(saved.config(), device, compute);
  saved.load(model);
  return model;
}

std::string convert(const ConvertOptions& options) {
  const fs::path from = checkpoint_in(options.from);
  require(!fs::exists(options.to), ExitCode::usage,
          "--to: '{}' is already there; name a folder that is not", options.to.string());
  const Model model = model_from(from, Device::cpu, DType::f32);
  const std::string type = model.config.at("model_type").as_string();
  const NameFamily& family = family_for(options.format, type);
  const std::vector<NamedTensor> tensors = tensors_of(model, family, options.dtype);
  const fs::path parent = fs::absolute(options.to).lexically_normal().parent_path();
  make_output_folder(parent);
  AtomicFolder folder(options.to);
  Json config = config_as(options.format, model.config);
  if (options.format == "hf") {
    config["torch_dtype"] = options.dtype == "bf16"  ? "bfloat16"
                            : options.dtype == "f16" ? "float16"
                                                     : "float32";
  }
  folder.write("config.json", config.dump(2) + "\n");
  folder.write("model.safetensors", [&](OutputFile& file) {
    write_safetensors(file, tensors, {{"format", "pt"}});
  });
  const fs::path beside = fs::is_directory(from) ? from : from.parent_path();
  std::string extras;
  for (const char* name : kPassedThrough) {
    if (!fs::is_regular_file(beside / name)) continue;
    folder.write(name, read_file(beside / name, kLargestExtra));
    extras += fmt::format(", {}", name);
  }
  folder.commit();
  return fmt::format("{}: {} parameters of {} as {} names in {}{}\n", options.to.string(),
                     grouped(model.parameters->count()), type, family.name, options.dtype, extras);
}

std::string write_logits(const Model& model, const LogitsOptions& options) {
  const NoTape inference;
  const Json rows = read_json(options.ids);
  std::vector<NamedTensor> tensors;
  std::int64_t positions = 0;
  for (const Json& row : rows.elements()) {
    const Device device = model.parameters->device();
    const Tensor ids = ids_of(row, tensors.size(), model.vocab_size);
    std::vector<std::int32_t> all(static_cast<std::size_t>(ids.elements()));
    std::iota(all.begin(), all.end(), 0);
    const Tensor logits =
        logits_at(model, ids.to(device), index_tensor(all, {ids.elements()}, device));
    tensors.push_back({fmt::format("logits.{}", tensors.size()),
                       logits.to(Device::cpu).to(accumulator_of(logits.dtype()))});
    positions += ids.elements();
  }
  if (tensors.empty()) rows.refuse("expected at least one row of token ids");
  save_safetensors(options.out, tensors, {{"format", "pt"}});
  return fmt::format("{}: logits of {} rows, {} positions x {} ids\n", options.out.string(),
                     tensors.size(), grouped(positions), grouped(model.vocab_size));
}

}  // namespace farsight
