#include "train/probe_verb.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/clock.h"
#include "core/device_calls.h"
#include "core/parallel.h"
#include "core/safetensors.h"
#include "core/version.h"
#include "eval/probes/matrix_figure.h"
#include "train/checkpoint.h"
#include "train/exchange.h"
#include "train/from_settings.h"
#include "train/nearest.h"
#include "train/probe_report.h"
#include "train/quantities.h"
#include "train/resolve.h"
#include "train/run_folder.h"
#include "train/task.h"
#include "train/toml.h"
#include "train/verb_options.h"
#include "train/words.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr auto kKinds = std::to_array<std::string_view>({"matrix", "layers"});
constexpr VerbOption kOptions[] = {
    {"run", "DIR", "the run to look at, by its best checkpoint; or as the first word"},
    {"checkpoint", "DIR", "or: this checkpoint of it"},
    {"task", "NAME", "the task whose examples it reads [the run's own]"},
    {"cell", "LxKV", "of L tokens with KV pairs [the longest of the task]"},
    {"layer", "all|N,N", "which layers, from 0 [all]"},
    {"examples", "N", "of the cell, over which everything is averaged [20]"},
    {"split", "test|valid", "which examples [test]"},
    {"signed", "", "matrix: the mean of the channels, not of their absolute values"},
    {"row-normalised", "", "matrix: every row divided by its sum"},
    {"out", "DIR", "where the files go (matrix needs it): probe.html, layers.csv ..."},
    {"device", "auto|cpu|cuda", "[auto]"},
    {"gnuplot", "PROGRAM", "what draws the matrices [gnuplot]"},
    {"json", "", "print JSON"},
    {"help", "", "print this text and stop"},
};
constexpr std::string_view kTitle = "farsight probe";

struct Asked {
  bool matrix = false;
  Settings settings;
  fs::path checkpoint;
  ProbedCell what;
  ProbeOptions options;
  fs::path out;
  Gnuplot gnuplot;
  bool json = false;
};

std::int64_t positive(const Words& given, const std::string& flag, std::int64_t otherwise) {
  const auto text = given.value(flag);
  if (!text) return otherwise;
  const Setting range{.kind = Kind::integer, .least = 1, .most = 1e6};
  return std::get<std::int64_t>(parse_value(range, *text, "--" + flag));
}

std::string one_of(const Words& given, const std::string& flag,
                   std::span<const std::string_view> names) {
  const Setting choice{.kind = Kind::choice, .names = names};
  const std::string text = given.value(flag).value_or(std::string(names.front()));
  return std::get<std::string>(parse_value(choice, text, "--" + flag));
}

Asked asked(std::string_view kind, const Words& given) {
  constexpr auto kSplits = std::to_array<std::string_view>({"test", "valid"});
  constexpr auto kDevices = std::to_array<std::string_view>({"auto", "cpu", "cuda"});
  const bool matrix = kind == "matrix";
  const bool from_run = given.has("run"), from_checkpoint = given.has("checkpoint");
  require(from_run != from_checkpoint, ExitCode::usage,
          "{} {} needs a trained run: either --run runs/NAME or --checkpoint DIR", kTitle, kind);
  require(!matrix || given.has("out"), ExitCode::usage,
          "{} matrix needs --out DIR: where the matrices go", kTitle);
  const std::string flag = from_run ? "run" : "checkpoint";
  const fs::path run = config_of(*given.value(flag), "--" + flag).parent_path();
  const Setting& device = setting_named("run.device");
  const Assignment on{&device, parse_value(device, one_of(given, "device", kDevices), "--device"),
                      "--device"};
  const Settings settings = resolve(read_toml_file(run / "config.toml"), {on}).settings;
  const bool valid = one_of(given, "split", kSplits) == "valid";
  return {.matrix = matrix,
          .settings = settings,
          .checkpoint = from_run ? trained_checkpoint(run) : fs::path(*given.value("checkpoint")),
          .what = probed_cell(settings, given.value("task").value_or(own_task_name(settings)),
                              given.value("cell").value_or("")),
          .options = {.split = valid ? Split::valid : Split::test,
                      .examples = positive(given, "examples", 20),
                      .layers = layers_named(given.value("layer").value_or("all")),
                      .matrices = matrix,
                      .matrix = {.absolute = !given.has("signed"),
                                 .row_normalised = given.has("row-normalised")}},
          .out = given.value("out").value_or(""),
          .gnuplot = {.program = given.value("gnuplot").value_or("gnuplot")},
          .json = given.has("json")};
}

const Cell& cell_of(const Asked& a) {
  return a.what.task.cells[a.what.cell];
}

std::string cell_text(const Asked& a) {
  return fmt::format("{} {}", a.what.task.name, cell_name(cell_of(a)));
}

std::string reduction_text(const Asked& a) {
  return fmt::format("{}{}, mean over {} {}", a.options.matrix.absolute ? "absolute" : "signed",
                     a.options.matrix.row_normalised ? ", rows sum to 1" : "", a.options.examples,
                     a.options.examples == 1 ? "example" : "examples");
}

void save_matrices(const Asked& a, const std::vector<LayerProbe>& layers) {
  std::vector<NamedTensor> tensors;
  for (const LayerProbe& probe : layers) {
    tensors.push_back({fmt::format("layer.{}", probe.layer), probe.matrix});
  }
  save_safetensors(a.out / "matrices.safetensors", tensors,
                   {{"task", cell_text(a)},
                    {"reduction", reduction_text(a)},
                    {"rows", "target position"},
                    {"columns", "source position"}});
}

Figure draw(const Asked& a, const std::vector<LayerProbe>& layers) {
  std::vector<ExamplePlaces> examples;
  for (std::int64_t i = 0; i < a.options.examples; i++) {
    examples.push_back(places_of(
        generate(a.what.task, a.options.split, 0, a.what.cell, static_cast<std::uint64_t>(i))));
  }
  std::vector<HeatMap::Panel> panels;
  for (const LayerProbe& probe : layers) {
    panels.push_back(matrix_panel(probe.matrix, fmt::format("layer {}", probe.layer), examples));
  }
  const std::string caption =
      fmt::format("Attention-like matrices of {} on {} ({}). Framed: {}.", a.settings.run.model,
                  cell_text(a), reduction_text(a),
                  a.options.examples == 1 ? "a query's row and the pair that it asks for"
                                          : "the rows of queries and the region of pairs");
  return write_figure(a.out, "heat-map", matrix_figure(caption, std::move(panels)), a.gnuplot);
}

Report report_of(const Asked& a, const std::vector<LayerProbe>& layers, double seconds) {
  const Device device = device_of(a.settings);
  Report report{.title = fmt::format("{} on {}", a.settings.run.model, cell_text(a))};
  report.summary = {fmt::format("{}, {}, f32; {}", a.checkpoint.string(),
                                device == Device::cuda ? gpu_name() : std::string(name_of(device)),
                                human_duration(seconds)),
                    fmt::format("{} {} of split {}", a.options.examples,
                                a.options.examples == 1 ? "example" : "examples",
                                a.options.split == Split::valid ? "valid" : "test")};
  report.sections.push_back({"Layers", {quantities_table(layers)}});
  const Table steps = delta_table(layers);
  if (!steps.rows.empty()) report.sections.push_back({"Steps of the scan", {steps}});
  report.footer = version_line();
  return report;
}

Json json_of(const Asked& a, const std::vector<LayerProbe>& layers) {
  return Json::object({{"model", a.settings.run.model},
                       {"checkpoint", a.checkpoint.string()},
                       {"task", a.what.task.name},
                       {"length", cell_of(a).length},
                       {"pairs", cell_of(a).pairs},
                       {"examples", a.options.examples},
                       {"layers", quantities_json(layers)}});
}

std::string terminal_text(const Report& report, const std::vector<LayerProbe>& layers) {
  std::string text = report.title + "\n";
  for (const std::string& line : report.summary) {
    text += line + "\n";
  }
  text += "\n" + plain_text(quantities_table(layers));
  const Table steps = delta_table(layers);
  return steps.rows.empty() ? text : text + "\n" + plain_text(steps);
}

/// A line on stderr every few seconds: a long cell's matrices take minutes.
class Pulse {
 public:
  explicit Pulse(std::int64_t examples) : examples_(examples) {}
  void operator()(std::int64_t example, std::int64_t layer) {
    if (seconds_now() - told_ < kSeconds) return;
    told_ = seconds_now();
    const double share = (static_cast<double>(example) + 0.5) / static_cast<double>(examples_);
    fmt::print(stderr, "example {} of {}, layer {}; about {} left\n", example + 1, examples_, layer,
               human_duration((told_ - began_) * (1 / share - 1)));
  }

 private:
  static constexpr double kSeconds = 5;
  std::int64_t examples_;
  double began_ = seconds_now(), told_ = began_;
};

void probe(Asked a) {
  const double start = seconds_now();
  if (a.settings.run.threads > 0) set_threads(static_cast<int>(a.settings.run.threads));
  const Model model = model_from(a.checkpoint, device_of(a.settings), DType::f32);
  a.options.done = Pulse(a.options.examples);
  const std::vector<LayerProbe> layers = probe_cell(model, a.what.task, a.what.cell, a.options);
  Report report = report_of(a, layers, seconds_now() - start);
  const Json json = json_of(a, layers);
  fmt::print("{}\n", a.json ? json.dump(2) : terminal_text(report, layers));
  if (a.out.empty()) return;
  std::error_code failed;
  fs::create_directories(a.out, failed);
  require(!failed, ExitCode::storage, "--out: cannot make '{}': {}", a.out.string(),
          failed.message());
  write_file_atomically(a.out / "layers.csv", quantities_csv(layers));
  write_file_atomically(a.out / "layers.json", json.dump(2) + "\n");
  if (a.matrix) {
    save_matrices(a, layers);
    report.sections.insert(report.sections.begin(), {"Matrices", {draw(a, layers)}});
  }
  write_report(a.out, "probe", report);
  fmt::print(stderr, "files: {}\n", a.out.string());
}

}  // namespace

ProbedCell probed_cell(const Settings& settings, const std::string& task, const std::string& cell) {
  ProbedCell probed{task_of(settings, task)};
  const std::vector<Cell>& cells = probed.task.cells;
  if (cell.empty()) {
    probed.cell = cells.size() - 1;
    return probed;
  }
  const std::size_t cross = std::min(cell.find('x'), cell.size());
  const Setting whole{.kind = Kind::integer, .least = 1, .most = 1 << 24};
  require(cross < cell.size(), ExitCode::usage,
          "--cell must be a length and a number of pairs, 64x8, got '{}'", cell);
  const std::int64_t length =
      std::get<std::int64_t>(parse_value(whole, cell.substr(0, cross), "--cell, length"));
  const std::int64_t pairs =
      std::get<std::int64_t>(parse_value(whole, cell.substr(cross + 1), "--cell, pairs"));
  const Cell wanted{static_cast<int>(length), static_cast<int>(pairs)};
  const auto found = std::find(cells.begin(), cells.end(), wanted);
  if (found != cells.end()) {
    probed.cell = static_cast<std::size_t>(found - cells.begin());
    return probed;
  }
  Settings alone = settings;
  alone.data.lengths = {length};
  alone.data.pairs = {pairs};
  probed.task = task_of(alone, task);
  require(probed.task.cells == std::vector<Cell>{wanted}, ExitCode::data,
          "task {} has no cell {}: it has {} of its own, the first {}", task, cell,
          probed.task.cells.size(), cell_name(probed.task.cells.front()));
  return probed;
}

std::vector<std::int64_t> layers_named(const std::string& text) {
  if (text == "all") return {};
  const Setting list{.kind = Kind::integers, .least = 0, .most = 100'000};
  auto layers = std::get<Integers>(parse_value(list, text, "--layer"));
  require(!layers.empty(), ExitCode::usage, "--layer must be all or numbers from 0 on");
  std::sort(layers.begin(), layers.end());
  layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
  return layers;
}

int run_probe_verb(std::span<const std::string> words) {
  const std::string first = words.empty() ? "--help" : words.front();
  const bool kind = std::find(kKinds.begin(), kKinds.end(), first) != kKinds.end();
  require(kind || first.starts_with('-'), ExitCode::usage,
          "{}: the first word must be matrix or layers, got '{}'{}", kTitle, first,
          did_you_mean(first, kKinds));
  const std::string title = kind ? fmt::format("{} {}", kTitle, first) : std::string(kTitle);
  const Words given(title, kOptions, with_first_as("run", words.subspan(kind ? 1 : 0)),
                    Words::With::options_alone);
  if (given.has("help") || words.empty()) {
    fmt::print("{}", verb_help("farsight", "probe matrix|layers", kProbeHelp, kOptions));
    return 0;
  }
  given.refuse_unknown();
  require(kind, ExitCode::usage, "{}: the first word must be matrix or layers, got '{}'", kTitle,
          first);
  probe(asked(first, given));
  return 0;
}

}  // namespace farsight
