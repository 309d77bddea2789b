// Every setting of a run, and the one table that describes them.
//
// A setting is a field of `Settings` (its default is the initialiser below) and a row of the table
// in settings_table.cpp (name, flag, allowed values, one line of documentation). Everything else
// comes from the table: the command line, TOML files in both directions, --help, --print-config,
// range checks and the comparison of two runs. To add one, write the field and its row.
//
// Names are `section.key`, the same in TOML ([train] lr = 1e-3) and on the command line
// (--train.lr 1e-3); the common ones have a short flag too (--lr 1e-3).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/dtype.h"
#include "data/task_description.h"
#include "models/gate_kind.h"
#include "models/parameters.h"

namespace farsight {

enum class DeviceChoice : std::uint8_t { automatic, cpu, cuda };
enum class FillWith : std::uint8_t { random, zero };
enum class MadeOn : std::uint8_t { automatic, host, device };
enum class ClipKind : std::uint8_t { value, norm };
enum class DecayScope : std::uint8_t { all, matrices };
enum class Schedule : std::uint8_t { cosine, constant };
enum class OnNan : std::uint8_t { stop, skip };
enum class RowPacking : std::uint8_t { automatic, on, off };
enum class TextPacking : std::uint8_t { authors, end_of_text };
enum class PlainText : std::uint8_t { whole_file, end_of_text, blank_line };
enum class InvalidText : std::uint8_t { stop, replace };
enum class GraphUse : std::uint8_t { automatic, on, off };
enum class BestBy : std::uint8_t { pair_accuracy, loss, last };

using Integers = std::vector<std::int64_t>;

/// What runs, where, and where the results go.
struct RunSettings {
  std::string task = "standard";
  std::string model = "mamba";
  std::string preset = "pocket";
  std::string recipe = "farsight";
  DeviceChoice device = DeviceChoice::automatic;
  DType dtype = DType::f32;
  std::int64_t seed = 42;
  std::int64_t threads = 0;
  std::string out;
};

/// Sizes of the model; a family reads those it has. The defaults are those of Mamba-130M
/// (config.json of state-spaces/mamba-130m-hf).
struct ModelSettings {
  std::int64_t vocab_size = 50280;
  std::int64_t d_model = 768;
  std::int64_t n_layer = 24;
  std::int64_t d_state = 16;
  std::int64_t d_conv = 4;
  std::int64_t expand = 2;
  std::int64_t dt_rank = 0;
  std::int64_t n_head = 12;
  std::int64_t d_ff = 0;
  double rotary_pct = 0.25;
  std::int64_t l_max = 1024;
  double embed_dropout = 0.1;
  GateKind gate = GateKind::longconv;
  std::int64_t gate_kernel = 0;
  Integers gate_layers;
  double norm_eps = 1e-5;
  Init init = Init::standard;
  Storage storage = Storage::f32;
};

/// Sizes of the recall task and what all tasks share: a cell is one pair (length, pairs). From `dir`
/// on: the text of a language model.
struct DataSettings {
  Integers lengths = {64, 128, 256, 512};
  Integers pairs = {1, 2, 4, 8, 16, 32, 64, 128};
  std::int64_t vocabulary = 20000;
  std::int64_t examples_per_cell = 20000;
  std::int64_t valid_examples_per_cell = 100;
  std::int64_t test_examples_per_cell = 100;
  FillWith filler = FillWith::random;
  bool separator_target = true;
  MadeOn generate_on = MadeOn::automatic;
  std::string dir;
  std::string corpus;
  std::string validation;
  std::string tokenizer;
  std::string text_field = "text";
  PlainText documents = PlainText::whole_file;
  InvalidText invalid_utf8 = InvalidText::stop;
  TextPacking packing = TextPacking::authors;
  std::int64_t block = 2048;
  std::int64_t validation_blocks = 1000;
  std::string cache;
};

struct TrainSettings {
  std::int64_t steps = 0;
  std::int64_t tokens = 0;
  std::int64_t epochs = 30;
  std::int64_t batch_size = 160;
  std::int64_t micro_tokens = 16384;
  double lr = 1e-3;
  Schedule schedule = Schedule::cosine;
  double warmup = 0.1;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-6;
  double weight_decay = 0.1;
  DecayScope decay_scope = DecayScope::all;
  double grad_clip = 1.0;
  ClipKind clip_kind = ClipKind::value;
  OnNan on_nan = OnNan::stop;
  RowPacking packing = RowPacking::automatic;
  GraphUse graphs = GraphUse::automatic;
  bool reproducible = false;
  std::int64_t gradient_shards = 8;
};

/// Several processes that train together (train/ranks/).
struct RankSettings {
  std::int64_t zero = 0;
  std::int64_t bucket_mib = 32;
  std::int64_t check_interval = 100;
  double timeout = 60;
  double meeting_timeout = 30;
  std::string rendezvous;
};

struct EvalSettings {
  std::int64_t interval = 0;
};

/// When training may end before its last step (train/stopping.h).
struct StopSettings {
  double accuracy = 0;
  std::int64_t validations = 2;
  std::int64_t plateau = 0;
  double gain = 0;
};

struct CheckpointSettings {
  std::int64_t interval = 0;
  std::int64_t keep_last = 2;
  BestBy best_by = BestBy::pair_accuracy;
  bool async = true;
};

struct LogSettings {
  std::int64_t interval = 10;
  bool progress = true;
  bool tensorboard = true;
  std::int64_t profile = 0;
};

struct Settings {
  RunSettings run;
  TaskDescription task;  ///< data/task_description.h
  ModelSettings model;
  DataSettings data;
  TrainSettings train;
  EvalSettings eval;
  StopSettings stop;
  CheckpointSettings checkpoint;
  RankSettings ranks;
  LogSettings log;
};

/// The type of a setting; a choice is one of a list of names and travels as text.
enum class Kind : std::uint8_t { boolean, integer, real, text, choice, integers };
using Value = std::variant<bool, std::int64_t, double, std::string, Integers>;

/// Does another value change the numbers a run computes, or only where and how it is shown?
enum class Effect : std::uint8_t { numbers, surroundings };

/// One row of the table.
struct Setting {
  std::string_view name{};   ///< "train.lr"
  std::string_view alias{};  ///< "lr" for --lr, empty when there is only --train.lr
  Kind kind = Kind::text;
  Value (*get)(const Settings&) = nullptr;
  void (*set)(Settings&, const Value&) = nullptr;  ///< the value must have passed check_value
  double least = 0;                                ///< smallest allowed integer, real or list entry
  double most = 0;                                 ///< largest allowed
  std::span<const std::string_view> names{};       ///< of a choice: every allowed value
  std::string_view help{};
  Effect effect = Effect::numbers;

  std::string_view section() const { return name.substr(0, name.find('.')); }
  std::string_view key() const { return name.substr(name.find('.') + 1); }
};

/// All rows, grouped by section, in the order in which they are shown.
std::span<const Setting> all_settings();

/// The row called `name` ("train.lr"), or nullptr.
const Setting* find_setting(std::string_view name);

/// Like find_setting, for a name that must exist; throws Error(internal) otherwise.
const Setting& setting_named(std::string_view name);

/// What each table of a settings file is about, in one line.
std::string_view section_help(std::string_view section);

/// Reads `text` as a value of this setting; `where` opens the sentence of the Error(usage).
///   parse_value(lr, "fast", "--lr") -> "--lr must be a number from 0 to 100, got 'fast'"
Value parse_value(const Setting& setting, std::string_view text, std::string_view where);

/// Checks kind, range and allowed names of a value read from a file; returns it in its final form
/// (an integer becomes a real where a real is wanted, "mqar" becomes "standard").
/// Throws Error(usage), with the list of what exists and the nearest name.
Value check_value(const Setting& setting, Value value, std::string_view where);

/// The value as TOML, which the command line reads as well but for the quotes: 0.001, "cpu", [1,
/// 2]. Reals are written so that they read back to the same bits.
std::string toml_of(const Value& value);

/// What may be written for this setting: "0 to 1", "standard|last|shuffle".
std::string allowed_values(const Setting& setting);

/// Whether run.task names a file that declares a task: it ends with ".toml".
inline bool is_task_file(std::string_view task) {
  return task.ends_with(".toml");
}

/// Names of the settings that differ and that change the numbers a run computes.
std::vector<std::string_view> different_settings(const Settings& a, const Settings& b);

/// Names of the values of an enumeration, in its order: name_of(FillWith::zero) is "zero".
template <class E>
struct NamesOf;
#define FARSIGHT_NAMES(E, ...)                                                   \
  template <>                                                                    \
  struct NamesOf<E> {                                                            \
    static constexpr auto list = std::to_array<std::string_view>({__VA_ARGS__}); \
  };                                                                             \
  constexpr std::string_view name_of(E value) {                                  \
    return NamesOf<E>::list[static_cast<std::size_t>(value)];                    \
  }
FARSIGHT_NAMES(DeviceChoice, "auto", "cpu", "cuda")
FARSIGHT_NAMES(Init, "standard", "released")
FARSIGHT_NAMES(Storage, "f32", "bf16")
FARSIGHT_NAMES(FillWith, "random", "zero")
FARSIGHT_NAMES(MadeOn, "auto", "host", "device")
FARSIGHT_NAMES(ClipKind, "value", "norm")
FARSIGHT_NAMES(DecayScope, "all", "matrices")
FARSIGHT_NAMES(Schedule, "cosine", "constant")
FARSIGHT_NAMES(OnNan, "stop", "skip")
FARSIGHT_NAMES(RowPacking, "auto", "on", "off")
FARSIGHT_NAMES(TextPacking, "authors", "end-of-text")
FARSIGHT_NAMES(PlainText, "file", "endoftext", "blank-line")
FARSIGHT_NAMES(InvalidText, "stop", "replace")
FARSIGHT_NAMES(GraphUse, "auto", "on", "off")
FARSIGHT_NAMES(BestBy, "pair-accuracy", "loss", "last")
#undef FARSIGHT_NAMES
template <>
struct NamesOf<TaskKind> {
  static constexpr auto list = kTaskKindNames;
};
template <>
struct NamesOf<Placement> {
  static constexpr auto list = kPlacementNames;
};
template <>
struct NamesOf<Noise> {
  static constexpr auto list = kNoiseNames;
};
template <>
struct NamesOf<IdSampling> {
  static constexpr auto list = kIdSamplingNames;
};
template <>
struct NamesOf<GateKind> {
  static constexpr auto list = kGateKindNames;
};
template <>
struct NamesOf<DType> {  // i32 is not something to compute in
  static constexpr auto list = std::to_array<std::string_view>({"f64", "f32", "bf16"});
};

}  // namespace farsight
