// Weights that somebody saved, and the config.json beside them, made into a model of ours.
//
//   const Pretrained saved("models/mamba-130m-hf");
//   const Model model = make_model(saved.config(), Device::cpu, DType::f32);
//   saved.load(model);
//
// Strict both ways: what is missing, extra or of another shape is listed together in one message.
// A tied head may be absent; when it is there it must equal the embedding.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "core/json.h"
#include "core/weight_files.h"
#include "models/model.h"
#include "models/name_tables.h"

namespace farsight {

class Pretrained {
 public:
  /// A folder as Hugging Face has it, or a file of weights with config.json beside it, which only
  /// BlinkDL's files can do without. Reads
  /// everything but the tensors. Throws Error(data, corrupt).
  explicit Pretrained(const std::filesystem::path& from);

  const WeightFiles& files() const { return files_; }
  const NameFamily& family() const { return *family_; }
  /// config.json as make_model takes it, whoever wrote it; what the file does not say of the
  /// selection gate is read off the tensors.
  const Json& config() const { return config_; }

  /// Throws Error(data) for names or shapes of another model, Error(corrupt) for types that hold no
  /// parameters. The model may be on meta.
  void compare(const Model& model) const;
  /// Fills the parameters, converting to the masters' type.
  void load(const Model& model) const;

 private:
  struct Source {
    std::string theirs;
    NameRule::Kind kind;
  };
  WeightFiles files_;
  const NameFamily* family_ = nullptr;
  std::multimap<std::string, Source> sources_;  ///< by our name
  std::vector<std::string> unknown_;            ///< theirs, that no rule fits
  Json config_;
};

/// The Hugging Face config.json (or the like of it, where they know no such model) of one that
/// state-spaces/mamba, safari or zoology wrote (d_model, n_layer, ssm_cfg, layer, sequence_mixer ...);
/// any other comes back as it is, "auto" replaced by its number. Throws Error(corrupt) naming the key
/// for what this model has no form of.
Json hugging_face_config(const Json& config);
/// What state-spaces/mamba writes, of ours.
Json state_spaces_config(const Json& config);
/// RWKV-4 as BlinkDL publishes it, a .pth alone: its sizes are read off the shapes, its epsilon is the
/// usual one. Throws Error(data) where they make no RWKV-4.
Json blinkdl_config(const WeightFiles& files);
/// Ours as any format has it of names (NameFamily::name).
Json config_as(std::string_view format, const Json& config);

}  // namespace farsight
