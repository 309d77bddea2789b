#include "train/operations/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "autograd/tape.h"
#include "core/arena.h"
#include "core/device_calls.h"
#include "train/operations/step_bundle.h"
#include "train/quantities.h"
#include "train/step.h"
#include "train/words.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShownBefore = 6;  // operations

std::vector<std::int64_t> sizes(const Shape& shape) {
  return {shape.dims.begin(), shape.dims.begin() + shape.n};
}

std::string place_text(const SeenValue& value) {
  return value.backward ? "the gradient of " + value.name : value.name;
}

/// [2, 0, 17] of the value at this index.
std::string index_text(std::int64_t index, const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> at(shape.size());
  for (std::size_t i = shape.size(); i-- > 0;) {
    at[i] = index % shape[i];
    index /= shape[i];
  }
  return fmt::format("[{}]", fmt::join(at, ", "));
}

std::string count_text(const SeenValue& value) {
  const ValueCount& count = value.count;
  return fmt::format("{} of {} values ({} NaN, {} infinite), the first at {}", grouped(count.bad()),
                     grouped(count.values), grouped(count.nan), grouped(count.infinite),
                     index_text(count.first_bad, value.shape));
}

double norm_of(const Tensor& gradients) {
  const Tensor wide = gradients.to(Device::cpu).to(DType::f64);
  double sum = 0;
  for (const double x : wide.span<double>()) {
    sum += x * x;
  }
  return std::sqrt(sum);
}

std::string verdict(double loss, double norm) {
  return fmt::format("loss {:.6g}, gradient norm {:.6g}", loss, norm);
}

void print_parameters(const Replay& result, const Model& model) {
  fmt::print("parameters   {} in {} tensors, ", grouped(model.parameters->count()),
             model.parameters->entries().size());
  if (result.bad_parameters.empty()) {
    fmt::print("all of them finite\n");
    return;
  }
  fmt::print("{} of them damaged before this step:\n", result.bad_parameters.size());
  for (const SeenValue& parameter : result.bad_parameters) {
    fmt::print("             {}: {}\n", parameter.name, count_text(parameter));
  }
}

void print_batch(const GlobalBatch& batch) {
  std::int64_t rows = 0, labels = 0;
  for (const Batch& micro : batch.micro_batches) {
    rows += micro.rows;
    labels += micro.labels();
  }
  fmt::print("batch        {} micro-batches, {} rows, {} labels here of {} in all\n",
             batch.micro_batches.size(), grouped(rows), grouped(labels), grouped(batch.labels));
}

void print_first(const Replay& result) {
  const SeenValue* bad = result.first_bad();
  if (bad == nullptr) {
    fmt::print("first        no operation made a value that is not finite: a sum over them did\n");
    return;
  }
  fmt::print("first        {}: {}\n", place_text(*bad), count_text(*bad));
  const std::size_t seen = result.seen.size() - 1;
  if (seen == 0) return;
  fmt::print("before it, and the largest value of each:\n");
  for (std::size_t i = seen - std::min(seen, kShownBefore); i < seen; i++) {
    fmt::print("             {:<40} {:.3g}\n", place_text(result.seen[i]),
               result.seen[i].count.largest);
  }
}

void print_in_f64(const StepBundle& bundle, const Model& model) {
  if (model.parameters->compute() == DType::f64) return;
  const Model wide = bundled_model(bundle.folder, Device::cpu, DType::f64);
  const Replay result = replay(wide, bundle.batch);
  fmt::print("in f64       {}: ", verdict(result.loss, result.gradient_norm));
  if (!result.bad_parameters.empty()) {
    fmt::print("the parameters were damaged already, so an earlier step is to blame\n");
  } else if (result.finite()) {
    fmt::print(
        "finite, so a number outgrew {} here; a lower --lr or --grad-clip keeps it smaller\n",
        name_of(model.parameters->compute()));
  } else {
    fmt::print("no better, so the step itself is to blame and not its precision\n");
  }
}

Device device_named(std::string_view name) {
  if (name == "cpu") return Device::cpu;
  require(name == "cuda", ExitCode::usage,
          "farsight replay: --device must be cpu or cuda, got '{}'", name);
  select_gpu();
  return Device::cuda;
}

void print_replay(const fs::path& folder, Device device) {
  const DType compute = read_step_bundle(folder, INT32_MAX).dtype;
  const Model model = bundled_model(folder, device, compute);
  const StepBundle bundle = read_step_bundle(folder, model.vocab_size);
  const StepOutcome& outcome = bundle.outcome;
  fmt::print("step {}{} of {}, on {} in {}, by farsight {}\n", outcome.step,
             outcome.shard.world > 1 ? fmt::format(", rank {}", outcome.shard.rank) : "",
             folder.parent_path().string(), bundle.device, name_of(bundle.dtype), bundle.version);
  fmt::print("recorded     {}{}\n", verdict(outcome.loss, outcome.gradient_norm),
             outcome.place.empty() ? "" : "; first " + outcome.place);
  const Replay result = replay(model, bundle.batch);
  print_parameters(result, model);
  print_batch(bundle.batch);
  fmt::print("again        {} on {}\n", verdict(result.loss, result.gradient_norm),
             name_of(device));
  if (result.finite()) {
    fmt::print("The step is finite now: what went wrong is not in its numbers. {}\n",
               bundle.device == name_of(device)
                   ? "A fault of the machine that came and went is likely."
                   : fmt::format("Try --device {}, where it went wrong.", bundle.device));
    return;
  }
  print_first(result);
  print_in_f64(bundle, model);
}

}  // namespace

bool Replay::finite() const {
  return std::isfinite(loss) && std::isfinite(gradient_norm);
}

const SeenValue* Replay::first_bad() const {
  return !seen.empty() && seen.back().count.bad() > 0 ? &seen.back() : nullptr;
}

ValueCount count_values(const Tensor& tensor) {
  const Tensor dense = tensor.contiguous().to(Device::cpu).to(DType::f64);
  ValueCount count{.values = dense.elements()};
  std::int64_t index = 0;
  for (const double x : dense.span<double>()) {
    if (std::isfinite(x)) {
      count.largest = std::max(count.largest, std::abs(x));
    } else {
      if (count.first_bad < 0) count.first_bad = index;
      std::isnan(x) ? count.nan++ : count.infinite++;
    }
    index++;
  }
  return count;
}

Replay replay(const Model& model, const GlobalBatch& batch) {
  Replay result;
  for (const ParameterStore::Entry& entry : model.parameters->entries()) {
    const Tensor& value = entry.parameter->master;
    const ValueCount count = count_values(value);
    if (count.bad() == 0) continue;
    result.bad_parameters.push_back({entry.name, false, sizes(value.shape()), count});
  }
  const Watch watch([&](const std::string& name, const Tensor& value, bool backward) {
    if (result.first_bad() != nullptr || value.dtype() == DType::i32) return;
    result.seen.push_back({name, backward, sizes(value.shape()), count_values(value)});
  });
  result.loss = forward_backward(model, batch).loss;
  // Between the parameters the flat buffer holds nothing of meaning.
  double sum = 0;
  for (const ParameterStore::Entry& entry : model.parameters->entries()) {
    const double norm =
        norm_of(model.parameters->gradients().slice_flat(entry.offset, entry.parameter->shape));
    sum += norm * norm;
  }
  result.gradient_norm = std::sqrt(sum);
  return result;
}

int run_replay_verb(std::span<const std::string> words) {
  constexpr VerbOption kOptions[] = {
      {"step", "FOLDER", "what a run left: runs/NAME/bad-step-00000012; or as the first word"},
      {"device", "cpu|cuda", "where to compute [cpu]"},
      {"help", "", "print this text and stop"}};
  std::vector<std::string> rest(words.begin(), words.end());
  std::string folder;
  if (!rest.empty() && !rest.front().starts_with("-")) {
    folder = rest.front();
    rest.erase(rest.begin());
  }
  const Words given("farsight replay", kOptions, rest, Words::With::options_alone);
  given.refuse_unknown();
  if (given.has("help")) {
    fmt::print("{}", verb_help("farsight", "replay", kReplayHelp, kOptions));
    return 0;
  }
  if (given.has("step")) folder = *given.value("step");
  require(!folder.empty(), ExitCode::usage,
          "farsight replay: which step? For example: farsight replay runs/NAME/bad-step-00000012");
  fs::path path = fs::path(folder).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  require(fs::exists(path / "step.json"), ExitCode::data,
          "farsight replay: '{}' is no step of a run: it has no step.json", path.string());
  print_replay(path, device_named(given.value("device").value_or("cpu")));
  return 0;
}

}  // namespace farsight
