#include "bench/gpu_training.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/measurement.h"
#include "bench/training.h"
#include "core/arena.h"
#include "core/check.h"
#include "core/device_calls.h"
#include "core/philox.h"
#include "train/resolve.h"

namespace farsight::bench {
namespace {

constexpr int kBatches = 4;             // taken in turns
constexpr int kWarmUps = 3 * kBatches;  // a step of a known shape may become a graph at the third
constexpr std::int64_t kLeastMicroTokens = 4096;
// The task's 20,000 ids and the 20 that only filler uses, up to a multiple of 128: an odd number of
// columns would cost the matrix products their alignment.
constexpr std::int64_t kTaskVocabulary = 20096;
constexpr std::int64_t kFullVocabulary = 50280;
constexpr std::int64_t kPaddedVocabulary = 50304;  // Pythia's; RWKV's 50,277 to a multiple of 128
constexpr std::int64_t kSafariVocabulary = 50264;

constexpr TrainingSetting kRecall[] = {
    {"mqar64", 1024, 64}, {"mqar256", 256, 256}, {"mqar512", 128, 512}};
constexpr TrainingSetting kText = {"lm2048", 32, 2048, true};
constexpr TrainingSetting kSmall = {"small64", 64, 64};

/// Tokens, and labels, of a text that has no order to learn.
class RandomIds {
 public:
  explicit RandomIds(std::int64_t vocabulary)
      : random_(philox_key(42, hash_name("bench/text")), 0),
        last_(static_cast<std::int32_t>(vocabulary - 1)) {}
  std::vector<std::int32_t> take(std::int64_t count) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
    std::ranges::generate(ids, [this] { return random_.between(1, last_); });
    return ids;
  }

 private:
  PhiloxSequence random_;
  std::int32_t last_;
};

/// Every position of `batch` gets a label; the pairs no longer matter.
void label_all(Batch& batch, RandomIds& random) {
  const std::int64_t count = std::int64_t{batch.rows} * batch.length;
  batch.label_rows.resize(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < batch.label_rows.size(); i++) {
    batch.label_rows[i] = static_cast<std::int32_t>(i);
  }
  batch.targets = random.take(count);
  batch.pairs.assign(batch.targets.size(), 0);
}

GlobalBatch text_batch(const TrainingSetting& setting, std::int64_t micro_tokens,
                       RandomIds& random) {
  GlobalBatch batch;
  const std::int64_t most = std::max<std::int64_t>(1, micro_tokens / setting.length);
  for (std::int64_t done = 0; done < setting.rows; done += most) {
    Batch micro;
    micro.rows = static_cast<int>(std::min(most, setting.rows - done));
    micro.length = static_cast<int>(setting.length);
    micro.tokens = random.take(micro.rows * setting.length);
    batch.micro_batches.push_back(std::move(micro));
  }
  return batch;
}

GpuTrainingTimes time_steps(const GpuTrainingLine& line, std::int64_t micro_tokens, int runs) {
  Arena& memory = arena(Device::cuda);
  memory.release_unused_segments();
  memory.reset_peak();
  const std::int64_t others = memory.in_use_bytes();
  TrainingRun training(settings_of(line, micro_tokens), Device::cuda);
  std::vector<GlobalBatch> batches;
  std::vector<double> batch_ms, step_ms;
  for (int i = 0; i < kBatches; i++) {
    const double start = seconds_now();
    GlobalBatch of_task = training.batch_at(i);
    batch_ms.push_back(1e3 * (seconds_now() - start));
    batches.push_back(batch_of(line, micro_tokens, std::move(of_task)));
  }
  const auto batch_at = [&](int step) -> const GlobalBatch& {
    return batches[static_cast<std::size_t>(step % kBatches)];
  };
  for (int i = 0; i < kWarmUps; i++) {
    training.step(batch_at(i));
  }
  const DeviceCalls& gpu = device_calls();
  gpu.synchronize();
  const double start = seconds_now();
  gpu.mark(0);
  for (int i = 0; i < runs; i++) {
    training.step(batch_at(i));
    gpu.mark(i + 1);
  }
  gpu.synchronize();
  GpuTrainingTimes times{.wall_ms = 1e3 * (seconds_now() - start) / runs,
                         .batch_ms = line.setting.text ? 0 : median(batch_ms),
                         .tokens = batches.front().tokens,
                         .labels = batches.front().labels,
                         .micro_tokens = std::min(micro_tokens, batches.front().tokens),
                         .peak_bytes = memory.peak_bytes() - others,
                         .runs = runs};
  for (int i = 0; i < runs; i++) {
    step_ms.push_back(gpu.elapsed_ms(i, i + 1));
  }
  times.step_ms = median(step_ms);
  times.tokens_per_s = static_cast<double>(times.tokens) / times.step_ms * 1e3;
  times.tflop_per_s = training.flops_of(batches.front()) / times.step_ms / 1e9;
  return times;
}

}  // namespace

std::string GpuTrainingLine::name() const {
  return fmt::format("training step, {}, {}, V={}, {} rows", model, setting.name, vocabulary,
                     all_rows ? "all" : "labelled");
}

std::vector<GpuTrainingLine> gpu_training_lines() {
  std::vector<GpuTrainingLine> lines;
  for (const char* model : {"mamba", "mamba-gs", "mamba-4x"}) {
    const bool everything = std::string_view(model) == "mamba";
    for (const TrainingSetting& setting : kRecall) {
      lines.push_back({model, setting, kTaskVocabulary, false});
      if (!everything) continue;
      lines.push_back({model, setting, kTaskVocabulary, true});
      lines.push_back({model, setting, kFullVocabulary, false});
      lines.push_back({model, setting, kFullVocabulary, true});
    }
    lines.push_back({model, kText, kFullVocabulary, true});
  }
  lines.push_back({"pythia", kRecall[1], kTaskVocabulary, false});
  lines.push_back({"pythia", kRecall[1], kTaskVocabulary, true});
  lines.push_back({"pythia", kText, kPaddedVocabulary, true});
  lines.push_back({"hyena", kRecall[1], kTaskVocabulary, false});
  lines.push_back({"hyena", kRecall[1], kTaskVocabulary, true});
  lines.push_back({"hyena-safari", kText, kSafariVocabulary, true});  // 2048 tokens are its l_max
  lines.push_back({"rwkv", kRecall[1], kTaskVocabulary, false});
  lines.push_back({"rwkv-266m", kRecall[1], kTaskVocabulary, false});
  lines.push_back({"rwkv-266m", kRecall[1], kTaskVocabulary, true});
  lines.push_back({"rwkv-266m", kText, kPaddedVocabulary, true});
  // Last, because the memory of their graphs is not given back.
  for (const char* model : {"mamba", "mamba-gs", "mamba-4x"}) {
    lines.push_back({model, kSmall, kTaskVocabulary, false});
  }
  return lines;
}

Settings settings_of(const GpuTrainingLine& line, std::int64_t micro_tokens) {
  Integers pairs;  // of the paper's numbers of pairs, those that fit
  for (std::int64_t count = 1; count <= std::min<std::int64_t>(128, line.setting.length / 4);
       count *= 2) {
    pairs.push_back(count);
  }
  const auto assigned = [](const char* name, Value value) {
    return Assignment{&setting_named(name), std::move(value), "bench"};
  };
  return resolve({}, {assigned("run.model", line.model), assigned("run.preset", "full"),
                      assigned("run.dtype", "bf16"),
                      assigned("data.lengths", Integers{line.setting.length}),
                      assigned("data.pairs", pairs), assigned("model.vocab_size", line.vocabulary),
                      assigned("train.batch_size", line.setting.rows),
                      assigned("train.micro_tokens", micro_tokens)})
      .settings;
}

GlobalBatch batch_of(const GpuTrainingLine& line, std::int64_t micro_tokens, GlobalBatch of_task) {
  RandomIds random(line.vocabulary);
  GlobalBatch batch =
      line.setting.text ? text_batch(line.setting, micro_tokens, random) : std::move(of_task);
  if (!line.all_rows) return batch;
  batch.tokens = 0;
  for (Batch& micro : batch.micro_batches) {
    label_all(micro, random);
    batch.tokens += micro.labels();
  }
  batch.labels = batch.tokens;
  return batch;
}

GpuTrainingTimes time_training_on_gpu(const GpuTrainingLine& line, int runs) {
  for (std::int64_t micro_tokens = line.setting.rows * line.setting.length;; micro_tokens /= 2) {
    try {
      return time_steps(line, micro_tokens, runs);
    } catch (const Error& error) {
      const bool smaller = micro_tokens / 2 >= std::max(kLeastMicroTokens, line.setting.length);
      if (error.code() != ExitCode::memory || !smaller) throw;
    }
  }
}

}  // namespace farsight::bench
