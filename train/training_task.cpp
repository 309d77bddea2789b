#include "train/training_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "eval/recall.h"
#include "eval/text_loss.h"
#include "train/from_settings.h"
#include "train/quantities.h"
#include "train/task.h"

namespace farsight {
namespace {

TrainingTask recall_task(const Settings& settings) {
  const RecallOptions options{.split = Split::valid,
                              .examples_per_cell = settings.data.valid_examples_per_cell,
                              .micro_tokens = settings.train.micro_tokens};
  return {.data = train_data_of(loader_of(settings)),
          .validate = [task = own_task(settings), options](const Model& model) -> ValidationResult {
            const RecallResult result = evaluate_recall(model, task, options);
            const double pairs = result.score.pair_accuracy;
            return {.loss = result.loss,
                    .score = pairs,
                    .pair_accuracy = pairs,
                    .text = fmt::format("pair accuracy {:.2f} %, loss {:.4f}", pairs, result.loss)};
          }};
}

TrainingTask text_task(const Settings& settings, const TextBlocks& train, const TextBlocks& valid) {
  TextLoader loader(train, {.seed = static_cast<std::uint64_t>(settings.run.seed),
                            .batch_size = settings.train.batch_size,
                            .micro_tokens = settings.train.micro_tokens});
  const std::int64_t micro_tokens = settings.train.micro_tokens;
  return {.data = train_data_of(std::move(loader)),
          .validate = [valid, micro_tokens](const Model& model) -> ValidationResult {
            const TextLoss result = evaluate_text(model, valid, micro_tokens);
            return {.loss = result.loss,
                    .score = 100 - result.loss,
                    .perplexity = result.perplexity(),
                    .text = fmt::format("loss {:.4f}, perplexity {:.2f}", result.loss,
                                        result.perplexity())};
          }};
}

}  // namespace

TrainingTask training_task_of(const Settings& settings,
                              const std::function<void(std::string_view)>& note) {
  if (!is_language_model(settings)) return recall_task(settings);
  Corpora corpora = corpora_of(settings, note);
  TrainingTask task = text_task(settings, corpora.train, corpora.valid);
  task.corpora = std::move(corpora);
  return task;
}

TrainingTask planned_task_of(const Settings& settings) {
  const bool known = settings.train.steps > 0 || settings.train.tokens > 0;
  if (!is_language_model(settings) || !known) return training_task_of(settings);
  const auto blank = [&](std::int64_t count) -> TextBlocks {
    return {.count = count,
            .length = settings.data.block,
            .read = [](std::int64_t, std::span<std::int32_t> to) { std::ranges::fill(to, 0); }};
  };
  return text_task(settings, blank(settings.train.batch_size),
                   blank(settings.data.validation_blocks));
}

std::int64_t total_steps(const Settings& settings, const TrainData& data) {
  const TrainSettings& train = settings.train;
  if (train.steps > 0) return train.steps;
  if (train.tokens == 0) return train.epochs * data.steps_per_epoch;
  const auto steps =
      static_cast<std::int64_t>(static_cast<double>(train.tokens) / data.tokens_per_step);
  return std::max<std::int64_t>(1, steps);
}

std::string step_text(const Settings& settings) {
  const std::int64_t rows = settings.train.batch_size;
  return is_language_model(settings)
             ? fmt::format("{} x {} tokens", grouped(rows), grouped(settings.data.block))
             : fmt::format("{} examples", rows);
}

}  // namespace farsight
