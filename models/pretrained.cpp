#include "models/pretrained.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShown = 8;  // of each kind of problem

/// The config.json that belongs to the weights, or what `files` say in its place.
Json config_of(const fs::path& from, const WeightFiles& files, const NameFamily& family) {
  const fs::path config = (fs::is_directory(from) ? from : from.parent_path()) / "config.json";
  if (fs::exists(config)) return hugging_face_config(read_json(config));
  require(family.name == "blinkdl", ExitCode::data, "'{}' has no config.json{}", from.string(),
          fs::is_directory(from) ? "" : " beside it");
  return blinkdl_config(files);
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::vector<std::int64_t> sizes_of(const Shape& shape) {
  return {shape.dims.begin(), shape.dims.begin() + shape.n};
}

bool is_float(std::string_view dtype) {
  return dtype == "F32" || dtype == "BF16" || dtype == "F16" || dtype == "F64";
}

/// "3 missing: a, b, c", with at most kShown of them.
std::string listed(std::vector<std::string> problems, std::string_view kind) {
  if (problems.empty()) return "";
  const std::size_t count = problems.size();
  problems.resize(std::min(count, kShown));
  return fmt::format("{} {}: {}{}; ", count, kind, fmt::join(problems, ", "),
                     count > kShown ? ", ..." : "");
}

std::string shown(std::string_view name) {
  return Json(name.substr(0, 80)).dump();
}

/// The number in front of a name; the tables allow four digits at most.
std::int64_t layer_number(std::string_view text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// Which of several files a tensor is in; nothing to say where there is but one.
std::string in_shard(const WeightFiles& files, std::string_view name) {
  const std::string& file = files.file_of(name);
  return file == files.path() ? "" : " in " + fs::path(file).filename().string();
}

/// Lightning and others save the model as a member of theirs.
std::string_view without_wrapper(std::string_view name, std::string_view wrapper) {
  return name.substr(wrapper.size());
}

std::string_view wrapper_of(const WeightFiles& files) {
  for (const std::string_view wrapper : {"model.", "module."}) {
    const bool all = std::ranges::all_of(files.tensors(), [&](const StoredTensor* stored) {
      return stored->name.starts_with(wrapper) && stored->name.size() > wrapper.size();
    });
    if (all && !files.tensors().empty()) return wrapper;
  }
  return "";
}

}  // namespace

Pretrained::Pretrained(const fs::path& from) : files_(from) {
  const std::string_view wrapper = wrapper_of(files_);
  std::vector<std::string_view> names;
  for (const StoredTensor* stored : files_.tensors()) {
    names.push_back(without_wrapper(stored->name, wrapper));
  }
  family_ = &family_of(names);
  config_ = config_of(from, files_, *family_);
  std::int64_t kernel = 0;
  std::vector<std::int64_t> layers;
  for (const StoredTensor* stored : files_.tensors()) {
    const auto known = ours_of(*family_, without_wrapper(stored->name, wrapper));
    if (!known) {
      unknown_.push_back(stored->name);
      continue;
    }
    if (known->kind == NameRule::Kind::buffer) continue;
    sources_.emplace(known->ours, Source{stored->name, known->kind});
    constexpr std::string_view kLayers = "backbone.layers.", kGate = ".mixer.module.module.weight";
    if (known->ours.ends_with(kGate) && stored->shape.size() == 3) {
      kernel = stored->shape[2];
      layers.push_back(layer_number(std::string_view(known->ours).substr(kLayers.size())));
    }
  }
  if (kernel > 0 && config_.contains("model_type") && !config_.contains("gate_kernel")) {
    std::ranges::sort(layers);
    config_["gate_kernel"] = kernel;
    config_["gate_layers"] = Json::array_of(layers);
  }
}

void Pretrained::compare(const Model& model) const {
  std::vector<std::string> missing, extra, misshaped, mistyped;
  for (const std::string& name : unknown_) {
    extra.push_back(shown(name));
  }
  for (const ParameterStore::Entry& entry : model.parameters->entries()) {
    const std::vector<std::int64_t> expected = sizes_of(entry.parameter->shape);
    bool found = false;
    const auto [first, last] = sources_.equal_range(entry.name);
    for (auto at = first; at != last; ++at) {
      const auto& [theirs, kind] = at->second;
      const StoredTensor& stored = *files_.find(theirs);
      if (stored.shape != expected) {
        misshaped.push_back(fmt::format("{} is {}, expected {}{}", shown(theirs),
                                        shape_text(stored.shape), shape_text(expected),
                                        in_shard(files_, theirs)));
      }
      if (!is_float(stored.dtype)) {
        mistyped.push_back(
            fmt::format("{} is {}{}", shown(theirs), stored.dtype, in_shard(files_, theirs)));
      }
      if (kind == NameRule::Kind::tied) continue;
      if (found) extra.push_back(shown(theirs));
      found = true;
    }
    if (!found) {
      const auto theirs = theirs_of(*family_, entry.name);
      missing.push_back(
          fmt::format("{} {}", shown(theirs.value_or(entry.name)), shape_text(expected)));
    }
  }
  for (const auto& [ours, source] : sources_) {
    if (model.parameters->find(ours) == nullptr) extra.push_back(shown(source.theirs));
  }
  std::string problems = listed(missing, "missing") + listed(extra, "extra") +
                         listed(misshaped, "of another shape") +
                         listed(mistyped, "not of a float type");
  if (problems.empty()) return;
  problems.resize(problems.size() - 2);
  fail(mistyped.empty() ? ExitCode::data : ExitCode::corrupt,
       "{}: its tensors are not those of the model of config.json: {}", files_.path(), problems);
}

void Pretrained::load(const Model& model) const {
  compare(model);
  for (const ParameterStore::Entry& entry : model.parameters->entries()) {
    const auto [first, last] = sources_.equal_range(entry.name);
    Tensor values;
    for (auto at = first; at != last; ++at) {
      if (at->second.kind == NameRule::Kind::parameter) values = files_.load(at->second.theirs);
    }
    for (auto at = first; at != last; ++at) {
      if (at->second.kind != NameRule::Kind::tied) continue;
      const Tensor again = files_.load(at->second.theirs);
      require(
          again.dtype() == values.dtype() &&
              std::memcmp(again.ptr(), values.ptr(), static_cast<std::size_t>(values.bytes())) == 0,
          ExitCode::corrupt, "{}: tensor {} must equal {}, to which it is tied",
          files_.file_of(at->second.theirs), shown(at->second.theirs), entry.name);
    }
    entry.parameter->master.copy_from(values.to(entry.parameter->master.dtype()));
  }
  model.parameters->refresh_operands();
}

}  // namespace farsight
