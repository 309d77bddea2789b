#include "train/verb_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/check.h"
#include "core/files.h"
#include "eval/language/language_task.h"
#include "train/nearest.h"
#include "train/run_folder.h"
#include "train/toml.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

std::int64_t integer(const Words& words, const std::string& flag, double least, double most,
                     std::int64_t otherwise) {
  const auto text = words.value(flag);
  if (!text) return otherwise;
  const Setting range{.kind = Kind::integer, .least = least, .most = most};
  return std::get<std::int64_t>(parse_value(range, *text, "--" + flag));
}

std::string task_name(std::string_view text) {
  return std::get<std::string>(parse_value(setting_named("run.task"), text, "--task"));
}

Weights weights_of(const Words& words, std::string_view verb) {
  const Weights weights{words.value("run").value_or(""), words.value("checkpoint").value_or("")};
  require(weights.run.empty() != weights.checkpoint.empty(), ExitCode::usage,
          "{} needs a trained run: either --run runs/NAME or --checkpoint DIR", verb);
  return weights;
}

/// Language tasks are tested by themselves, on files that have one split.
void check_language_options(const Words& words, const EvalOptions& options) {
  const bool language = !options.language_tasks.empty();
  require(!language || options.tasks.empty(), ExitCode::usage,
          "eval: {} is a language task and {} is none: two calls test on both",
          language ? options.language_tasks.front() : "",
          options.tasks.empty() ? "" : options.tasks.front());
  for (const char* const flag : {"out", "batch-tokens"}) {
    require(language || !words.has(flag), ExitCode::usage, "eval: --{} is for language tasks ({})",
            flag, fmt::join(language_task_names(), ", "));
  }
  for (const char* const flag : {"split", "per-query"}) {
    require(!language || !words.has(flag), ExitCode::usage,
            "eval: --{} is for recall tasks, {} has none; leave it out{}", flag,
            options.language_tasks.empty() ? "" : options.language_tasks.front(),
            flag == std::string_view("split") ? "" : ", and see --out");
  }
}

/// "1,2,3;4,5,6": prompts of one length.
std::vector<std::vector<std::int32_t>> prompts_in(const std::string& text) {
  const Setting ids{.kind = Kind::integers, .least = 0, .most = 2147483647};
  std::vector<std::vector<std::int32_t>> prompts;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t end = std::min(text.find(';', from), text.size());
    const Value list = parse_value(ids, text.substr(from, end - from), "--prompt-ids");
    std::vector<std::int32_t>& row = prompts.emplace_back();
    for (const std::int64_t id : std::get<Integers>(list))
      row.push_back(static_cast<std::int32_t>(id));
    require(!row.empty(), ExitCode::usage, "--prompt-ids must name at least one id");
    const std::size_t first = prompts.front().size();
    require(row.size() == first, ExitCode::usage,
            "--prompt-ids: prompts of one batch must have one length, got {} and {} ids", first,
            row.size());
    from = end + 1;
  }
  return prompts;
}

/// What is to be continued.
void choose_prompt(const Words& words, GenerateOptions& options) {
  constexpr std::int64_t kTextTokens = 128;
  const auto ids = words.value("prompt-ids");
  const auto task = words.value("task");
  const auto file = words.value("prompt-file");
  options.text = words.value("prompt");
  const int given = int{ids.has_value()} + int{task.has_value()} + int{file.has_value()} +
                    int{options.text.has_value()};
  require(given == 1, ExitCode::usage,
          "generate needs one thing to continue: --prompt TEXT, --prompt-file FILE, --prompt-ids "
          "1,2,3 or --task NAME");
  if (task) options.task = task_name(*task);
  if (ids) options.prompts = prompts_in(*ids);
  if (file) options.text = read_file(*file);
  if (options.text) options.tokens = kTextTokens;
  options.past_end = words.has("past-end");
}

fs::path needed(const Words& words, std::string_view verb, const std::string& flag) {
  const auto value = words.value(flag);
  require(value.has_value() && !value->empty(), ExitCode::usage, "{} needs --{} (see --help)", verb,
          flag);
  return *value;
}

std::string one_of(const Words& words, const std::string& flag,
                   std::span<const std::string_view> names) {
  const Setting choice{.kind = Kind::choice, .names = names};
  const std::string text = words.value(flag).value_or(std::string(names.front()));
  return std::get<std::string>(parse_value(choice, text, "--" + flag));
}

}  // namespace

fs::path config_of(const fs::path& path, std::string_view flag) {
  require(fs::exists(path), ExitCode::storage, "{}: there is no '{}'", flag, path.string());
  const fs::path config = file_of_run(path, "config.toml");
  require(!config.empty(), ExitCode::storage,
          "{}: '{}' is no run and no checkpoint of one (it has no config.toml)", flag,
          path.string());
  return config;
}

Assignments settings_of(const Weights& weights) {
  if (!weights.run.empty()) return read_toml_file(config_of(weights.run, "--run"));
  const fs::path& checkpoint = weights.checkpoint;
  const fs::path config = file_of_run(checkpoint, "config.toml");
  const bool foreign = fs::is_regular_file(checkpoint) || fs::exists(checkpoint / "config.json");
  if (config.empty() && foreign) return {};
  return read_toml_file(config_of(checkpoint, "--checkpoint"));
}

TrainOptions train_options(const Words& words) {
  return {.resume = words.value("resume").value_or("auto"),
          .may_fall_back = words.value("resume") == "auto",
          .dry_run = words.has("dry-run"),
          .overwrite = words.has("overwrite")};
}

EvalOptions eval_options(const Words& words) {
  EvalOptions options;
  options.weights = weights_of(words, "eval");
  options.json = words.has("json");
  options.set = words.value("data").value_or("");
  options.per_query = words.value("per-query").value_or("");
  require(options.set.empty() || !(words.has("task") || words.has("split")), ExitCode::usage,
          "eval: --data names a set, which has a task and a split of its own; leave out {}",
          words.has("task") ? "--task" : "--split");
  std::string list = words.value("task").value_or("all");
  while (list != "all" && !list.empty()) {
    const std::size_t comma = list.find(',');
    const std::string name = list.substr(0, comma);
    if (is_language_task(name)) {
      options.language_tasks.push_back(name);
    } else if (const auto near = nearest_name(name, language_task_names()); !near.empty()) {
      fail(ExitCode::usage, "--task: there is no '{}'; did you mean '{}'? Language tasks are {}",
           name, near, fmt::join(language_task_names(), ", "));
    } else {
      options.tasks.push_back(task_name(name));
    }
    list = comma == std::string::npos ? "" : list.substr(comma + 1);
  }
  if (list == "all") options.tasks.clear();
  constexpr auto kSplits = std::to_array<std::string_view>({"test", "valid"});
  const Setting split{.kind = Kind::choice, .names = kSplits};
  const std::string text = words.value("split").value_or("test");
  options.split = std::get<std::string>(parse_value(split, text, "--split"));
  options.limit = integer(words, "limit", 0, 1e9, 0);
  options.batch_tokens = integer(words, "batch-tokens", 0, 1 << 24, 0);
  options.out = words.value("out").value_or("");
  check_language_options(words, options);
  return options;
}

GenerateOptions generate_options(const Words& words) {
  GenerateOptions options;
  options.weights = weights_of(words, "generate");
  choose_prompt(words, options);
  options.tokens = integer(words, "tokens", 1, 1e6, options.tokens);
  options.seed = integer(words, "seed", 0, 1e15, options.seed);
  options.samples = integer(words, "samples", 1, 4096, options.samples);
  options.sampling.top_k = integer(words, "top-k", 0, 1e6, options.sampling.top_k);
  const auto real = [&](const char* name, double least, double most, double& value) {
    const auto text = words.value(name);
    if (!text) return;
    const Setting range{.kind = Kind::real, .least = least, .most = most};
    value = std::get<double>(parse_value(range, *text, fmt::format("--{}", name)));
  };
  real("temperature", 0, 100, options.sampling.temperature);
  real("top-p", 0, 1, options.sampling.top_p);
  return options;
}

ConvertOptions convert_options(const Words& words) {
  constexpr auto kFormats =
      std::to_array<std::string_view>({"hf", "state-spaces", "safari", "zoology"});
  constexpr auto kTypes = std::to_array<std::string_view>({"f32", "bf16", "f16"});
  return {.from = needed(words, "convert", "from"),
          .to = needed(words, "convert", "to"),
          .format = one_of(words, "format", kFormats),
          .dtype = one_of(words, "dtype", kTypes)};
}

LogitsOptions logits_options(const Words& words) {
  return {.weights = weights_of(words, "logits"),
          .ids = needed(words, "logits", "ids"),
          .out = needed(words, "logits", "out")};
}

}  // namespace farsight
