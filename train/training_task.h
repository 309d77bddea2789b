// What a run is trained on and what it is judged by: all that the training loop knows of its task.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "data/train_data.h"
#include "models/model.h"
#include "train/corpora.h"
#include "train/settings.h"

namespace farsight {

/// What a validation says of the parameters as they are.
struct ValidationResult {
  double loss = 0;  ///< mean cross-entropy over all labels, nats
  /// What the best checkpoint and the end of training are chosen by where it is not the loss, larger
  /// is better: pair accuracy in percent; of text, which has no pairs, 100 - loss.
  double score = 0;
  std::optional<double> pair_accuracy{};  ///< percent; recall tasks
  std::optional<double> perplexity{};     ///< exp(loss); text
  std::string text;                       ///< for people: "pair accuracy 99.20 %, loss 0.0312"
};

struct TrainingTask {
  TrainData data;
  std::function<ValidationResult(const Model&)> validate;
  std::optional<Corpora> corpora{};  ///< text alone
};

/// `note` gets a line now and then while text is tokenised. Throws Error(usage or data) where the
/// settings admit no batch, and what corpora_of does (train/corpora.h).
TrainingTask training_task_of(const Settings& settings,
                              const std::function<void(std::string_view)>& note = {});

/// The same for a plan: where the number of steps is known without it, text stays unread, and every
/// block is blank.
TrainingTask planned_task_of(const Settings& settings);

/// Optimiser steps of the whole run: train.steps, or train.tokens over the tokens of a step, rounded
/// down, or train.epochs over the data; at least one.
std::int64_t total_steps(const Settings& settings, const TrainData& data);

/// What a step learns from: "160 examples", "256 x 2,048 tokens".
std::string step_text(const Settings& settings);

}  // namespace farsight
