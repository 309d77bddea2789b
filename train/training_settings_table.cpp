// The second half of the table (settings_table.cpp): how a model is trained, saved and watched.
#include "train/setting_rows.h"

namespace farsight::setting_rows {

std::vector<Setting> rows_of_training() {
  return {

      within(0, 1e9,
             train<&T::steps>("train.steps", "steps",
                              "optimiser steps; 0 = as many as train.tokens or train.epochs need")),
      within(0, kMany,
             train<&T::tokens>("train.tokens", "tokens",
                               "tokens to train on, when train.steps is 0; 0 = as many as "
                               "train.epochs have")),
      within(0, 1e6,
             train<&T::epochs>(
                 "train.epochs", "epochs",
                 "passes over the training set, when train.steps and train.tokens are 0")),
      within(1, 1e6,
             train<&T::batch_size>("train.batch_size", "batch-size",
                                   "examples, or rows of text, per optimiser step")),
      within(1, 1e9,
             train<&T::micro_tokens>("train.micro_tokens", "",
                                     "most tokens of a forward pass: the batch is cut into "
                                     "pieces of equal length")),
      within(0, 100, train<&T::lr>("train.lr", "lr", "peak learning rate")),
      train<&T::schedule>("train.schedule", "schedule",
                          "after the warm-up: cosine to 0, or constant"),
      within(0, 1,
             train<&T::warmup>("train.warmup", "warmup",
                               "share of all steps in which lr rises from 0, linearly")),
      within(0, 0.999999, train<&T::beta1>("train.beta1", "", "AdamW: decay of the mean gradient")),
      within(0, 0.999999,
             train<&T::beta2>("train.beta2", "", "AdamW: decay of the mean squared gradient")),
      within(0, 1,
             train<&T::eps>("train.eps", "",
                            "AdamW: added to the root of the second "
                            "moment")),
      within(0, 10,
             train<&T::weight_decay>("train.weight_decay", "weight-decay",
                                     "decoupled weight decay, times the current lr")),
      train<&T::decay_scope>("train.decay_scope", "decay-scope",
                             "what decays: all parameters, or matrices (neither 1-D tensors nor "
                             "A_log)"),
      within(0, 1e9,
             train<&T::grad_clip>("train.grad_clip", "grad-clip",
                                  "largest gradient, 0 = do not clip")),
      train<&T::clip_kind>("train.clip_kind", "clip-kind",
                           "clip each element by value, or all of them by their global norm"),
      train<&T::on_nan>("train.on_nan", "",
                        "a loss or gradient that is not finite: stop and keep the last good "
                        "checkpoint, or skip the step, at most 10 in a row"),
      train<&T::packing>("train.packing", "packing",
                         "short examples side by side in rows as long as the longest; auto: on a "
                         "GPU, but never for hyena, whose filter runs through whole rows"),
      around(train<&T::graphs>("train.graphs", "",
                               "start a step on a GPU as one graph; auto: where that is faster")),
      train<&T::reproducible>("train.reproducible", "reproducible",
                              "same bits on 1, 2, 4, ... ranks: the gradient is the sum of "
                              "train.gradient_shards shards of the batch in a fixed tree"),
      within(1, 1024,
             train<&T::gradient_shards>("train.gradient_shards", "",
                                        "a power of two, and as many as ranks at the least; for "
                                        "train.reproducible")),

      within(0, 1e9,
             eval<&EvalSettings::interval>("eval.interval", "eval-interval",
                                           "steps between validations, 0 = once per "
                                           "epoch")),

      within(0, 100,
             stop<&StopSettings::accuracy>("stop.accuracy", "",
                                           "end at this validation pair accuracy, percent; 0 = "
                                           "never")),
      within(1, 1e6,
             stop<&StopSettings::validations>("stop.validations", "",
                                              "validations in a row that must reach it")),
      within(0, 1e6,
             stop<&StopSettings::plateau>("stop.plateau", "",
                                          "end after this many validations without a better one; "
                                          "0 = never")),
      within(0, 0.999999,
             stop<&StopSettings::gain>("stop.gain", "",
                                       "better: this share of the least validation error so far "
                                       "is gone")),

      around(within(0, 1e9,
                    checkpoint<&C::interval>("checkpoint.interval", "ckpt-interval",
                                             "steps between checkpoints, 0 = at every "
                                             "validation"))),
      around(within(1, 1e6,
                    checkpoint<&C::keep_last>("checkpoint.keep_last", "ckpt-keep-n",
                                              "most recent checkpoints to keep, beside the "
                                              "best"))),
      checkpoint<&C::best_by>("checkpoint.best_by", "best-by",
                              "which checkpoint is tested: best validation pair accuracy, lowest "
                              "validation loss, or the last"),
      around(checkpoint<&C::async>("checkpoint.async", "",
                                   "checkpoints are written while training goes on; without, it "
                                   "waits for them")),

      around(within(0, 1,
                    ranks<&N::zero>("ranks.zero", "zero",
                                    "1: every rank keeps the optimiser's state of its part of the "
                                    "parameters alone (ZeRO-1)"))),
      around(within(
          1, 4096,
          ranks<&N::bucket_mib>("ranks.bucket_mib", "", "MiB of gradients that travel together"))),
      around(within(0, 1e9,
                    ranks<&N::check_interval>("ranks.check_interval", "",
                                              "steps between comparisons of all ranks' "
                                              "parameters, 0 = never"))),
      around(within(
          0.1, 86400,
          ranks<&N::timeout>("ranks.timeout", "", "seconds that ranks wait for one that hangs"))),
      around(within(0.1, 86400,
                    ranks<&N::meeting_timeout>("ranks.meeting_timeout", "",
                                               "seconds for all ranks to come"))),
      around(ranks<&N::rendezvous>("ranks.rendezvous", "rdzv",
                                   "where ranks meet: HOST:PORT or file:PATH; empty = as their "
                                   "launcher says")),

      around(within(1, 1e9,
                    log<&LogSettings::interval>("log.interval", "log-interval",
                                                "steps between lines of metrics.jsonl"))),
      around(log<&LogSettings::progress>("log.progress", "progress",
                                         "progress bar on a terminal; plain lines without")),
      around(log<&LogSettings::tensorboard>("log.tensorboard", "tensorboard",
                                            "the metrics as TensorBoard event files, too")),
      around(within(0, 1000,
                    log<&LogSettings::profile>("log.profile", "profile",
                                               "steps, after the first three, of which every "
                                               "operation is timed: profile.md; 0 = none"))),
  };
}

}  // namespace farsight::setting_rows
