#include "train/operations/step_bundle.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "core/atomic_folder.h"
#include "core/safetensors.h"
#include "core/version.h"
#include "train/checkpoint.h"
#include "train/step_inputs.h"
#include "train/toml.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFormat = "farsight-step-1";
constexpr std::string_view kPrefix = "bad-step-";
constexpr std::int64_t kMostMicroBatches = 1 << 20;

/// JSON has no NaN.
std::string number_text(double value) {
  return fmt::format("{}", value);
}

double number_from(const Json& text) {
  const std::string& word = text.as_string();
  if (word == "nan" || word == "-nan") return std::numeric_limits<double>::quiet_NaN();
  if (word == "inf") return std::numeric_limits<double>::infinity();
  if (word == "-inf") return -std::numeric_limits<double>::infinity();
  double value = 0;
  const auto [rest, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || rest != word.data() + word.size()) text.refuse("expected a number");
  return value;
}

std::string micro_name(std::size_t index, std::string_view part) {
  return fmt::format("{}.{}", index, part);
}

/// As the step itself reads them, whoever made them.
std::vector<NamedTensor> tensors_of(const GlobalBatch& batch, const Model& model) {
  const Device device = model.parameters->device();
  const StepInputs inputs = inputs_of(batch, accumulator_of(model.parameters->compute()), device);
  std::vector<NamedTensor> tensors;
  for (std::size_t i = 0; i < inputs.micro_batches.size(); i++) {
    const MicroInputs& micro = inputs.micro_batches[i];
    const auto add = [&](std::string_view part, const Tensor& tensor) {
      tensors.push_back({micro_name(i, part), tensor.to(Device::cpu)});
    };
    add("tokens", micro.tokens);
    add("rows", micro.rows);
    add("targets", micro.targets);
    if (micro.position) add("positions", micro.position);
    add("numbers", micro.pass.slice_flat(2, {micro.tokens.elements()}));
  }
  return tensors;
}

int bundles_in(const fs::path& run) {
  int count = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(run)) {
    if (entry.path().filename().string().starts_with(kPrefix)) count++;
  }
  return count;
}

std::vector<std::int32_t> integers(const SafetensorsFile& file, const std::string& name,
                                   std::int32_t least, std::int64_t end) {
  const Tensor tensor = file.load(name);
  require(tensor.dtype() == DType::i32, ExitCode::corrupt, "{}: {} must be I32, got {}",
          file.path(), name, name_of(tensor.dtype()));
  std::vector<std::int32_t> values;
  for (const std::int32_t value : tensor.span<std::int32_t>()) {
    require(value >= least && value < end, ExitCode::corrupt, "{}: {} holds {}, expected {} to {}",
            file.path(), name, value, least, end - 1);
    values.push_back(value);
  }
  return values;
}

Batch micro_batch(const SafetensorsFile& file, std::size_t index, std::int64_t vocab_size) {
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  const std::string tokens = micro_name(index, "tokens");
  const StoredTensor* stored = file.find(tokens);
  require(stored != nullptr && stored->shape.size() == 2, ExitCode::corrupt,
          "{}: {} must be there, of two dimensions", file.path(), tokens);
  const std::int64_t rows = stored->shape[0], length = stored->shape[1];
  require(rows >= 1 && length >= 1 && rows <= kMost / length, ExitCode::corrupt,
          "{}: {} is {} x {}", file.path(), tokens, rows, length);
  Batch batch{.rows = static_cast<int>(rows),
              .length = static_cast<int>(length),
              .tokens = integers(file, tokens, 0, vocab_size),
              .examples = {},
              .label_rows = integers(file, micro_name(index, "rows"), -1, rows * length),
              .targets = integers(file, micro_name(index, "targets"), -1, vocab_size),
              .pairs = {}};
  require(batch.label_rows.size() == batch.targets.size(), ExitCode::corrupt,
          "{}: micro-batch {} has {} label rows and {} targets", file.path(), index,
          batch.label_rows.size(), batch.targets.size());
  // What a GPU rounded up comes again by itself.
  while (!batch.label_rows.empty() && batch.label_rows.back() < 0) {
    batch.label_rows.pop_back();
    batch.targets.pop_back();
  }
  const std::string positions = micro_name(index, "positions");
  if (file.find(positions) != nullptr) {
    batch.positions = integers(file, positions, 0, length);
    require(batch.positions.size() == batch.tokens.size(), ExitCode::corrupt,
            "{}: {} has {} values for {} tokens", file.path(), positions, batch.positions.size(),
            batch.tokens.size());
  }
  const std::string numbers = micro_name(index, "numbers");
  if (file.find(numbers) != nullptr) {
    constexpr std::int64_t kEnd = std::int64_t{1} << 31;
    for (const std::int32_t number :
         integers(file, numbers, std::numeric_limits<std::int32_t>::min(), kEnd)) {
      batch.numbers.push_back(static_cast<std::uint32_t>(number));
    }
    require(batch.numbers.size() == batch.tokens.size(), ExitCode::corrupt,
            "{}: {} has {} values for {} tokens", file.path(), numbers, batch.numbers.size(),
            batch.tokens.size());
  }
  return batch;
}

DType dtype_named(const Json& name) {
  for (const DType type : {DType::f64, DType::f32, DType::bf16}) {
    if (name.as_string() == name_of(type)) return type;
  }
  name.refuse("expected f64, f32 or bf16");
}

}  // namespace

fs::path save_step_bundle(const fs::path& run, const Settings& settings, const Model& model,
                          const GlobalBatch& batch, const StepOutcome& outcome) {
  const std::string rank =
      outcome.shard.world > 1 ? fmt::format("-rank{}", outcome.shard.rank) : "";
  const fs::path path = run / fmt::format("{}{:08}{}", kPrefix, outcome.step, rank);
  if (!fs::exists(path) && bundles_in(run) >= kMostBundles) return {};
  AtomicFolder folder(path);
  const std::vector<NamedTensor> tensors = tensors_of(batch, model);
  const Json step =
      Json::object({{"format", kFormat},
                    {"version", version_line()},
                    {"step", outcome.step},
                    {"loss", number_text(outcome.loss)},
                    {"gradient_norm", number_text(outcome.gradient_norm)},
                    {"place", outcome.place},
                    {"rank", outcome.shard.rank},
                    {"world", outcome.shard.world},
                    {"device", name_of(model.parameters->device())},
                    {"dtype", name_of(model.parameters->compute())},
                    {"labels", batch.labels},
                    {"tokens", batch.tokens},
                    {"key", batch.key},
                    {"micro_batches", batch.micro_batches.size() + batch.plans.size()}});
  folder.write("step.json", step.dump(2) + "\n");
  folder.write("settings.toml", write_toml(settings));
  folder.write("config.json", model.config.dump(2) + "\n");
  folder.write("batch.safetensors", [&](OutputFile& file) { write_safetensors(file, tensors); });
  folder.write("model.safetensors", [&](OutputFile& file) {
    write_safetensors(file, named_parameters(model), {{"format", "pt"}});
  });
  folder.commit();
  return path;
}

StepBundle read_step_bundle(const fs::path& folder, std::int64_t vocab_size) {
  const Json step = read_json(folder / "step.json");
  if (step.at("format").as_string() != kFormat) {
    step.at("format").refuse(fmt::format("expected \"{}\"", kFormat));
  }
  constexpr std::int64_t kMost = std::int64_t{1} << 60;
  StepBundle bundle{.folder = folder,
                    .outcome = {.step = step.at("step").as_int(0, kMost),
                                .loss = number_from(step.at("loss")),
                                .gradient_norm = number_from(step.at("gradient_norm")),
                                .place = step.at("place").as_string(),
                                .shard = {static_cast<int>(step.at("rank").as_int(0, 1 << 20)),
                                          static_cast<int>(step.at("world").as_int(1, 1 << 20))}},
                    .dtype = dtype_named(step.at("dtype")),
                    .version = step.at("version").as_string(),
                    .device = step.at("device").as_string(),
                    .batch = {.tokens = step.at("tokens").as_int(0, kMost),
                              .labels = step.at("labels").as_int(1, kMost),
                              .micro_batches = {},
                              .key = step.at("key").as_unsigned()}};
  const SafetensorsFile file(folder / "batch.safetensors");
  const std::int64_t count = step.at("micro_batches").as_int(0, kMostMicroBatches);
  for (std::int64_t i = 0; i < count; i++) {
    bundle.batch.micro_batches.push_back(
        micro_batch(file, static_cast<std::size_t>(i), vocab_size));
  }
  return bundle;
}

Model bundled_model(const fs::path& folder, Device device, DType compute) {
  require(fs::exists(folder / "step.json"), ExitCode::data,
          "'{}' is no step of a run: it has no step.json", folder.string());
  const Json config = checkpoint_config(folder);
  compare_parameters(folder, make_model(config, Device::meta, compute));
  Model model = make_model(config, device, compute);
  load_parameters(folder, model);
  return model;
}

}  // namespace farsight
