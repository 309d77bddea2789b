#include "train/generate.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <map>
#include <vector>

#include "core/philox.h"
#include "eval/recall.h"
#include "ops/linear_cross_entropy.h"
#include "train/quantities.h"
#include "train/task.h"

namespace farsight {
namespace {

std::vector<std::int32_t> prompt_of(const Model& model, const Settings& settings,
                                    const GenerateOptions& options) {
  std::vector<std::int32_t> ids = options.prompt_ids;
  if (ids.empty()) {
    const MqarTask task = task_of(settings, options.task);
    ids = generate(task, Split::test, 0, 0, static_cast<std::uint64_t>(options.seed)).tokens;
  }
  for (std::int32_t id : ids) {
    require(id >= 0 && id < model.vocab_size, ExitCode::data,
            "prompt: token {} is outside the model's vocabulary of {}", id, model.vocab_size);
  }
  return ids;
}

Tensor row_of(const std::vector<std::int32_t>& ids, Device device) {
  return index_tensor(ids, {1, static_cast<std::int64_t>(ids.size())}, device);
}

std::string shape_of(const Parameter& p) {
  return fmt::format("{}", fmt::join(p.shape.dims.begin(), p.shape.dims.begin() + p.shape.n, "x"));
}

/// "backbone.layers.3.norm.weight" -> "backbone.layers.N.norm.weight": layers are alike.
std::string without_index(const std::string& name) {
  const std::size_t at = name.find("layers.");
  if (at == std::string::npos) return name;
  const std::size_t end = name.find('.', at + 7);
  return name.substr(0, at + 7) + "N" + name.substr(end);
}

}  // namespace

std::int32_t sample_token(const Tensor& logits, double temperature, std::uint64_t seed,
                          std::uint64_t index) {
  check(logits.shape().n == 2 && logits.dim(0) == 1, "sample_token: logits must be [1, V], got {}",
        logits.shape());
  if (temperature <= 0) return argmax_rows(logits).data<std::int32_t>()[0];
  const Tensor l = logits.to(DType::f64);
  double most = l.data<double>()[0];
  for (double x : l.span<double>()) {
    most = std::max(most, x);
  }
  double total = 0;
  for (double& x : l.span<double>()) {
    total += x = std::exp((x - most) / temperature);
  }
  const Random4 r = philox4x32(philox_key(seed, hash_name("generate")), 0, index);
  double rest = uniform_double(r.v[0], r.v[1]) * total;
  std::int32_t token = 0;
  for (double x : l.span<double>()) {
    if ((rest -= x) < 0) return token;
    token++;
  }
  return token - 1;
}

std::string generate_text(const Model& model, const Settings& settings,
                          const GenerateOptions& options) {
  const std::vector<std::int32_t> prompt = prompt_of(model, settings, options);
  const Decoder decode = model.decoder(1);
  const Device device = model.parameters->device();
  Tensor logits = decode(row_of(prompt, device)).to(Device::cpu);
  std::vector<std::int32_t> made;
  const auto start = std::chrono::steady_clock::now();
  for (std::int64_t i = 0; i < options.tokens; i++) {
    made.push_back(sample_token(logits, options.temperature,
                                static_cast<std::uint64_t>(options.seed),
                                static_cast<std::uint64_t>(i)));
    logits = decode(row_of({made.back()}, device)).to(Device::cpu);
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return fmt::format("prompt        {}\ncontinuation  {}\n{} tokens/s\n", fmt::join(prompt, " "),
                     fmt::join(made, " "),
                     human_count(static_cast<double>(options.tokens) / seconds));
}

std::string model_table(const Settings& settings, const Model& model) {
  struct Row {
    std::string name, shape;
    std::int64_t tensors = 0, count = 0;
  };
  std::vector<Row> rows;
  std::map<std::string, std::size_t> places;
  for (const ParameterStore::Entry& entry : model.parameters->entries()) {
    const std::string name = without_index(entry.name);
    const auto [place, fresh] = places.emplace(name + shape_of(*entry.parameter), rows.size());
    if (fresh) rows.push_back({name, shape_of(*entry.parameter)});
    rows[place->second].tensors++;
    rows[place->second].count += entry.count;
  }
  std::string text =
      fmt::format("{}, preset {}\n\n{:<48} {:>14} {:>8} {:>14}\n", settings.run.model,
                  settings.run.preset, "parameter", "shape", "tensors", "elements");
  for (const Row& row : rows) {
    text += fmt::format("{:<48} {:>14} {:>8} {:>14}\n", row.name, row.shape, row.tensors,
                        grouped(row.count));
  }
  return text + fmt::format("{:<48} {:>14} {:>8} {:>14}\n", "total", "",
                            model.parameters->entries().size(), grouped(model.parameters->count()));
}

Json model_json(const Settings& settings, const Model& model) {
  Json tensors = Json::array();
  for (const ParameterStore::Entry& entry : model.parameters->entries()) {
    const Shape& s = entry.parameter->shape;
    tensors.push_back(Json::object(
        {{"name", entry.name},
         {"shape", Json::array_of(std::vector<std::int64_t>(s.dims.begin(), s.dims.begin() + s.n))},
         {"elements", entry.count}}));
  }
  return Json::object({{"model", settings.run.model},
                       {"preset", settings.run.preset},
                       {"parameters", model.parameters->count()},
                       {"config", model.config},
                       {"tensors", tensors}});
}

}  // namespace farsight
