// Checkpoints for and from others: the `convert` and `logits` verbs, and loading what somebody else
// saved.
#pragma once

#include <filesystem>
#include <string>

#include "models/model.h"
#include "train/command_line.h"

namespace farsight {

/// The model in a checkpoint of ours (checked against its manifest), in a folder as Hugging Face,
/// state-spaces, safari or zoology have it, or in a file of weights with config.json beside it. Names and shapes are
/// compared before memory is taken. Throws Error(data, corrupt, storage).
Model model_from(const std::filesystem::path& checkpoint, Device device, DType compute);

/// Writes `options.to`, a new folder: config.json, model.safetensors, and what `from` has of
/// tokenizer files, byte by byte. Names and config.json are those of the format. Returns a line on
/// what was written.
std::string convert(const ConvertOptions& options);

/// The logits of every position of given rows of token ids, as a safetensors file: tensor `logits.N`
/// is [T, V] for row N (from 0) of T ids; f64 under f64, else f32. `ids` is JSON, an array of arrays,
/// each of any length. Returns a line on what was written.
std::string write_logits(const Model& model, const LogitsOptions& options);

}  // namespace farsight
