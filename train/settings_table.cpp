// The table. Order: as shown by --help and written to config.toml. Here: what runs, on which task, with
// which model and data; training_settings_table.cpp has the rest.
#include "train/setting_rows.h"

namespace farsight {
namespace setting_rows {
namespace {

std::vector<Setting> rows_of_runs() {
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
                          "tokenizer.json of a language model; empty = the run's own, else "
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
  };
}

}  // namespace
}  // namespace setting_rows

std::span<const Setting> all_settings() {
  static const std::vector<Setting> table = [] {
    std::vector<Setting> rows = setting_rows::rows_of_runs();
    for (Setting& row : setting_rows::rows_of_training())
      rows.push_back(std::move(row));
    return rows;
  }();
  return table;
}

}  // namespace farsight
