// The table. Order: as shown by --help and written to config.toml.
#include <algorithm>
#include <type_traits>

#include "core/check.h"
#include "train/presets.h"
#include "train/settings.h"

namespace farsight {

namespace {

constexpr double kMany = 1e15;  // integers below it are exact as doubles

template <class T>
constexpr Kind kind_of() {
  if constexpr (std::is_same_v<T, bool>) return Kind::boolean;
  if constexpr (std::is_same_v<T, std::int64_t> || std::is_same_v<T, int>) return Kind::integer;
  if constexpr (std::is_same_v<T, double>) return Kind::real;
  if constexpr (std::is_same_v<T, std::string>) return Kind::text;
  if constexpr (std::is_same_v<T, Integers>) return Kind::integers;
  if constexpr (std::is_enum_v<T>) return Kind::choice;
}

/// The row of one field; ranges and names are added by the functions below.
template <auto section, auto field>
Setting row(std::string_view name, std::string_view alias, std::string_view help) {
  using Field = std::remove_cvref_t<decltype(std::declval<Settings>().*section.*field)>;
  Setting setting{.name = name, .alias = alias, .kind = kind_of<Field>(), .help = help};
  if constexpr (std::is_enum_v<Field>) {
    setting.names = NamesOf<Field>::list;
    setting.get = [](const Settings& s) -> Value {
      return std::string(NamesOf<Field>::list[static_cast<std::size_t>(s.*section.*field)]);
    };
    setting.set = [](Settings& s, const Value& value) {
      const auto& list = NamesOf<Field>::list;
      const auto at = std::find(list.begin(), list.end(), std::get<std::string>(value));
      s.*section.*field = static_cast<Field>(at - list.begin());
    };
  } else if constexpr (std::is_same_v<Field, int>) {
    setting.get = [](const Settings& s) -> Value { return std::int64_t{s.*section.*field}; };
    setting.set = [](Settings& s, const Value& value) {
      s.*section.*field = static_cast<int>(std::get<std::int64_t>(value));
    };
  } else {
    setting.get = [](const Settings& s) -> Value { return s.*section.*field; };
    setting.set = [](Settings& s, const Value& value) {
      s.*section.*field = std::get<Field>(value);
    };
  }
  return setting;
}

Setting within(double least, double most, Setting setting) {
  setting.least = least;
  setting.most = most;
  return setting;
}

Setting one_of(std::span<const NamedChoice> choices, std::vector<std::string_view>& keep,
               Setting setting) {
  keep.clear();
  for (const NamedChoice& choice : choices)
    keep.push_back(choice.name);
  setting.names = keep;
  setting.kind = Kind::choice;
  return setting;
}

Setting around(Setting setting) {
  setting.effect = Effect::surroundings;
  return setting;
}

template <auto field>
constexpr auto run = row<&Settings::run, field>;
template <auto field>
constexpr auto task = row<&Settings::task, field>;
template <auto field>
constexpr auto model = row<&Settings::model, field>;
template <auto field>
constexpr auto data = row<&Settings::data, field>;
template <auto field>
constexpr auto train = row<&Settings::train, field>;
template <auto field>
constexpr auto eval = row<&Settings::eval, field>;
template <auto field>
constexpr auto stop = row<&Settings::stop, field>;
template <auto field>
constexpr auto checkpoint = row<&Settings::checkpoint, field>;
template <auto field>
constexpr auto ranks = row<&Settings::ranks, field>;
template <auto field>
constexpr auto log = row<&Settings::log, field>;

using R = RunSettings;
using K = TaskDescription;
using M = ModelSettings;
using D = DataSettings;
using T = TrainSettings;
using C = CheckpointSettings;
using N = RankSettings;

std::vector<Setting> make_table() {
  static std::vector<std::string_view> tasks, models, presets, recipes;
  return {
      one_of(
          task_choices(), tasks,
          run<&R::task>("run.task", "task",
                        "recall task to train on, or a file that declares one: FILE.toml; or lm: "
                        "the text of data.corpus")),
      one_of(model_choices(), models, run<&R::model>("run.model", "model", "model to train")),
      one_of(preset_choices(), presets,
             run<&R::preset>("run.preset", "preset", "sizes and protocol, from presets/NAME.toml")),
      one_of(recipe_choices(), recipes,
             run<&R::recipe>("run.recipe", "recipe",
                             "where the paper's text and its code disagree: whom to follow")),
      run<&R::device>("run.device", "device", "where to compute; auto takes a GPU if there is one"),
      run<&R::dtype>("run.dtype", "dtype",
                     "type of activations; parameters stay f32 (f64 under f64)"),
      within(0, kMany, run<&R::seed>("run.seed", "seed", "of initial parameters and data")),
      around(within(
          0, 1024,
          run<&R::threads>("run.threads", "threads", "CPU threads, 0 = all cores; same results"))),
      around(run<&R::out>("run.out", "out",
                          "folder of the run, empty = runs/TASK-MODEL-PRESET-seedSEED")),

      task<&K::name>("task.name", "",
                     "of a variant, for folders and results; empty = that of run.task"),
      task<&K::kind>("task.kind", "",
                     "recall (key-value pairs, later asked for by key), or one of the tasks that "
                     "have no further choice but lengths"),
      task<&K::placement>("task.placement", "",
                          "where pairs lie: at the start, at the end of the first half, or "
                          "scattered over it"),
      within(1, 65536, task<&K::key_length>("task.key_length", "", "tokens of a key")),
      within(1, 65536, task<&K::value_length>("task.value_length", "", "tokens of a value")),
      task<&K::separators>("task.separators", "",
                           "pairs and queries are blocks: 10 key 11 value 10, and 12 for each "
                           "token asked for"),
      task<&K::noise>("task.noise", "",
                      "what else is in the context: keys that end alike, as many pairs that "
                      "nobody asks for, or the same keys in four sections"),
      task<&K::sampling>("task.sampling", "", "whether ids may come twice in an example"),
      within(0, 1,
             task<&K::query_power>("task.query_power", "",
                                   "a of p(i) ~ i^(a-1) over the places of queries; 1 = uniform")),
      task<&K::cells>("task.cells", "",
                      "exactly these cells, \"64x4 128x8\" (length x pairs); empty = those of "
                      "data.lengths and data.pairs that fit"),

      within(8, 1 << 20, model<&M::vocab_size>("model.vocab_size", "", "token ids V")),
      within(1, 65536, model<&M::d_model>("model.d_model", "", "width d of the residual stream")),
      within(1, 1024, model<&M::n_layer>("model.n_layer", "", "number of blocks")),
      within(1, 4096, model<&M::d_state>("model.d_state", "", "states N of each channel's scan")),
      within(1, 64, model<&M::d_conv>("model.d_conv", "", "taps of the short convolution")),
      within(1, 16, model<&M::expand>("model.expand", "", "inner width I = expand x d_model")),
      within(0, 65536,
             model<&M::dt_rank>("model.dt_rank", "",
                                "rank R of the step projection, 0 = d_model / 16, "
                                "rounded up")),
      within(1, 65536, model<&M::n_head>("model.n_head", "", "attention heads (pythia)")),
      within(0, 262144,
             model<&M::d_ff>("model.d_ff", "",
                             "inner width of the MLP, 0 = 4 x d_model (pythia, rwkv-169m ...) or 2 "
                             "x d_model (hyena, rwkv)")),
      within(0, 1,
             model<&M::rotary_pct>("model.rotary_pct", "",
                                   "share of a head's dims with rotary positions (pythia)")),
      within(2, 1 << 20,
             model<&M::l_max>("model.l_max", "",
                              "longest sequence of models that end there (hyena, rwkv)")),
      within(0, 0.999999,
             model<&M::embed_dropout>(
                 "model.embed_dropout", "",
                 "share of the embeddings dropped in training (hyena, hyena-safari, rwkv)")),
      model<&M::gate>("model.gate", "gate",
                      "Mamba's module that sees far: longconv is global selection, the others what "
                      "its authors tried; all but attn need model.gate_kernel"),
      within(0, 65536,
             model<&M::gate_kernel>("model.gate_kernel", "",
                                    "taps K of the gate's convolution, 0 = no gate (but attn)")),
      within(0, 1023,
             model<&M::gate_layers>("model.gate_layers", "",
                                    "blocks that have the gate, counted from 0; empty = "
                                    "all")),
      within(1e-12, 1, model<&M::norm_eps>("model.norm_eps", "", "epsilon inside the norms")),
      model<&M::init>("model.init", "",
                      "first parameters: standard (dt bias for steps of 0.001 to 0.1), or released "
                      "(dt bias 0, as the paper's code)"),
      model<&M::storage>("model.storage", "",
                         "what parameters, moments and buffers are rounded to after every update: "
                         "f32, or bf16, as the paper's Hyena and RWKV were trained"),

      within(4, 1 << 20, data<&D::lengths>("data.lengths", "lengths", "tokens per example, L")),
      within(1, 1 << 18,
             data<&D::pairs>("data.pairs", "pairs",
                             "key-value pairs per example; the cell (L, pairs) exists "
                             "when the pairs fit L / 2")),
      within(8, 1 << 20,
             data<&D::vocabulary>("data.vocabulary", "",
                                  "ids the task draws from: keys from the lower half, "
                                  "values from the upper")),
      within(1, 1e9,
             data<&D::examples_per_cell>("data.examples_per_cell", "",
                                         "training examples of a cell and epoch")),
      within(1, 1e6,
             data<&D::valid_examples_per_cell>("data.valid_examples_per_cell", "",
                                               "validation examples of a cell")),
      within(1, 1e6,
             data<&D::test_examples_per_cell>("data.test_examples_per_cell", "",
                                              "test examples of a cell")),
      data<&D::filler>("data.filler", "", "what fills unused positions: random ids, or the id 0"),
      data<&D::separator_target>("data.separator_target", "",
                                 "training also asks for the separator that ends a value, where "
                                 "there are separators"),
      around(data<&D::generate_on>("data.generate_on", "",
                                   "who makes the training examples: the host while a GPU trains "
                                   "(auto), or the device that trains; same examples")),
      around(
          data<&D::dir>("data.dir", "data-dir",
                        "folder of corpora, tokenizers and test sets; empty = what FARSIGHT_DATA "
                        "names")),
      data<&D::corpus>("data.corpus", "corpus",
                       "text to train on (lm): files, patterns such as c/*.jsonl.zst, with commas "
                       "between them, or a folder of farsight corpus build; empty = the data "
                       "folder's wiki corpus"),
      data<&D::validation>(
          "data.validation", "validation",
          "text to validate on (lm), in the same forms; empty = of the wiki corpus "
          "its own, of others the last twentieth of data.corpus"),
      data<&D::tokenizer>("data.tokenizer", "tokenizer",
                          "tokenizer.json of a language model; empty = "
                          "tokenizer/20B_tokenizer.json of the data folder"),
      data<&D::text_field>("data.text_field", "", "member of a JSON line that has the text"),
      data<&D::documents>("data.documents", "",
                          "what the documents of a plain text file are: the file, what stands "
                          "between <|endoftext|>, or between blank lines"),
      data<&D::invalid_utf8>("data.invalid_utf8", "",
                             "bytes that are no UTF-8: stop, or replace them by U+FFFD"),
      data<&D::packing>(
          "data.packing", "",
          "documents into blocks: as the paper's authors did, nothing between them and "
          "what is left of every 1,000 dropped; or with end-of-text between them"),
      within(2, 1 << 20,
             data<&D::block>("data.block", "block",
                             "tokens of a row of text; all but the last "
                             "have a label")),
      within(1, 1e9,
             data<&D::validation_blocks>("data.validation_blocks", "",
                                         "most rows of text that are validated on")),
      around(data<&D::cache>(
          "data.cache", "",
          "folder where text is kept as tokens; empty = corpora in the user's cache folder")),

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

}  // namespace

std::span<const Setting> all_settings() {
  static const std::vector<Setting> table = make_table();
  return table;
}

}  // namespace farsight
