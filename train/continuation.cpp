#include "train/continuation.h"

#include "core/clock.h"
#include "eval/recall.h"
#include "train/next_token.h"

namespace farsight {
namespace {

using Ids = std::vector<std::int32_t>;

/// Every prompt `samples` times, as [rows, length].
Tensor repeated(const std::vector<Ids>& prompts, std::int64_t samples, Device device) {
  Ids all;
  for (const Ids& ids : prompts) {
    for (std::int64_t i = 0; i < samples; i++) {
      all.insert(all.end(), ids.begin(), ids.end());
    }
  }
  const auto rows = static_cast<std::int64_t>(prompts.size()) * samples;
  return index_tensor(all, {rows, static_cast<std::int64_t>(prompts.front().size())}, device);
}

}  // namespace

double continue_prompts(const Model& model, const std::vector<Ids>& prompts,
                        const GenerateOptions& options,
                        const std::function<bool(std::span<const std::int32_t> newest)>& made) {
  const Device device = model.parameters->device();
  const Tensor prompt = repeated(prompts, options.samples, device);
  const std::int64_t rows = prompt.dim(0);
  const Decoder decode = model.decoder(rows);
  Tensor logits = decode(prompt).to(Device::cpu);
  const double start = seconds_now();
  for (std::int64_t i = 0; i < options.tokens; i++) {
    const Tensor wide = logits.to(DType::f32);
    Ids newest;
    for (std::int64_t row = 0; row < rows; row++) {
      const std::span<const float> of_row = wide.span<float>().subspan(
          static_cast<std::size_t>(row * wide.dim(1)), static_cast<std::size_t>(wide.dim(1)));
      newest.push_back(next_token(of_row, options.sampling,
                                  {.seed = static_cast<std::uint64_t>(options.seed),
                                   .sample = static_cast<std::uint64_t>(row),
                                   .index = static_cast<std::uint64_t>(i)}));
    }
    if (!made(newest)) break;
    if (i + 1 < options.tokens) {
      logits = decode(index_tensor(newest, {rows, 1}, device)).to(Device::cpu);
    }
  }
  return seconds_now() - start;
}

}  // namespace farsight
