// A small model that was trained for one step, to be saved and loaded.
#pragma once

#include <cstring>
#include <filesystem>
#include <string>

#include "models/mamba.h"
#include "tests/temporary_folder.h"
#include "train/checkpoint.h"

namespace farsight {

inline constexpr MambaConfig kSizes{
    .vocab_size = 11, .d_model = 6, .n_layer = 1, .d_state = 3, .dt_rank = 2};
/// A model and its optimiser after one step that moved everything.
struct Trained {
  Model model;
  AdamW optimizer;
  explicit Trained(std::uint64_t seed, const MambaConfig& config = kSizes,
                   DType compute = DType::f32)
      : model(make_mamba(config, Device::cpu, compute)), optimizer(*model.parameters, {}) {
    model.parameters->initialise(seed);
    fill(model.parameters->gradients(), Distribution::uniform(1), seed, "gradients");
    optimizer.step(0.01);
  }
};

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.bytes() == b.bytes() &&
         std::memcmp(a.ptr(), b.ptr(), static_cast<std::size_t>(a.bytes())) == 0;
}

/// Moments between the parameters are no part of a checkpoint.
inline bool same_moments(const Trained& a, const Trained& b) {
  for (const ParameterStore::Entry& entry : a.model.parameters->entries()) {
    const Shape& shape = entry.parameter->shape;
    if (!same_bits(a.optimizer.m().slice_flat(entry.offset, shape),
                   b.optimizer.m().slice_flat(entry.offset, shape)) ||
        !same_bits(a.optimizer.v().slice_flat(entry.offset, shape),
                   b.optimizer.v().slice_flat(entry.offset, shape))) {
      return false;
    }
  }
  return true;
}

/// What loading into a fresh model says; empty when it loads.
inline std::string load_error(const std::filesystem::path& checkpoint, ExitCode* code = nullptr,
                              const MambaConfig& config = kSizes) {
  Trained fresh(99, config);
  return error_of([&] { load_checkpoint(checkpoint, fresh.model, fresh.optimizer); }, code);
}

}  // namespace farsight
