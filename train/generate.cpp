#include "train/generate.h"

#include <fmt/format.h>

#include <map>
#include <span>
#include <vector>

#include "train/continuation.h"
#include "train/quantities.h"
#include "train/task.h"

namespace farsight {
namespace {

using Ids = std::vector<std::int32_t>;

std::vector<Ids> prompts_of(const Model& model, const Settings& settings,
                            const GenerateOptions& options) {
  std::vector<Ids> prompts = options.prompts;
  if (prompts.empty()) {
    const MqarTask task = task_of(settings, options.task);
    prompts.push_back(
        generate(task, Split::test, 0, 0, static_cast<std::uint64_t>(options.seed)).tokens);
    const std::int64_t ids = task.model_vocabulary();
    require(ids <= model.vocab_size, ExitCode::data,
            "task {} uses token ids up to {}, the model knows {}: a smaller --data.vocabulary fits",
            task.name, ids - 1, model.vocab_size);
  }
  for (const Ids& ids : prompts) {
    for (std::int32_t id : ids) {
      require(id >= 0 && id < model.vocab_size, ExitCode::data,
              "prompt: token {} is outside the model's vocabulary of {}", id, model.vocab_size);
    }
  }
  return prompts;
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

std::string generate_text(const Model& model, const Settings& settings,
                          const GenerateOptions& options) {
  const std::vector<Ids> prompts = prompts_of(model, settings, options);
  const auto rows = static_cast<std::int64_t>(prompts.size()) * options.samples;
  std::vector<Ids> made(static_cast<std::size_t>(rows));
  const double seconds =
      continue_prompts(model, prompts, options, [&](std::span<const std::int32_t> newest) {
        for (std::size_t row = 0; row < made.size(); row++)
          made[row].push_back(newest[row]);
        return true;
      });
  std::string text;
  for (std::size_t row = 0; row < made.size(); row++) {
    const auto samples = static_cast<std::size_t>(options.samples);
    if (row % samples == 0) {
      text += fmt::format("prompt        {}\n", fmt::join(prompts[row / samples], " "));
    }
    text += fmt::format("continuation  {}\n", fmt::join(made[row], " "));
  }
  return text + fmt::format("{} tokens/s\n",
                            human_count(static_cast<double>(options.tokens * rows) / seconds));
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
