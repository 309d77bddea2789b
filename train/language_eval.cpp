#include "train/language_eval.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "core/clock.h"
#include "core/device_calls.h"
#include "core/files.h"
#include "core/version.h"
#include "data/known_files.h"
#include "eval/language/results.h"
#include "train/checkpoint.h"
#include "train/corpora.h"
#include "train/exchange.h"
#include "train/from_settings.h"
#include "train/quantities.h"
#include "train/run_folder.h"
#include "train/tokenizer_choice.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

/// Where windows end for models without an end of their own, as in the harness.
constexpr std::int64_t kDefaultLength = 2048;
constexpr double kSecondsBetweenLines = 10;

void note(const std::string& line) {
  std::fputs((line + "\n").c_str(), stderr);
}

/// The token an empty context stands for.
std::int32_t prefix_of(const Tokenizer& tokenizer, const fs::path& file) {
  const auto id = tokenizer.id_of("<|endoftext|>");
  require(id.has_value(), ExitCode::data,
          "tokenizer {} has no <|endoftext|>, and texts without a context are scored behind it",
          file.string());
  return *id;
}

/// A line on stderr now and then. `read`: all tokens that the model reads, contexts included.
std::function<void(std::int64_t, std::int64_t)> progress_lines(std::int64_t& read) {
  return [&read, last = seconds_now()](std::int64_t done, std::int64_t all) mutable {
    read = all;
    const double now = seconds_now();
    if (done == all || now - last < kSecondsBetweenLines) return;
    last = now;
    note(fmt::format("read {} of {} tokens", human_count(static_cast<double>(done)),
                     human_count(static_cast<double>(all))));
  };
}

std::string device_name(Device device) {
  return device == Device::cuda ? gpu_name() : std::string(name_of(device));
}

}  // namespace

std::string language_task_list() {
  return fmt::format(
      "\nof language models, from files in --data-dir (farsight data fetch --list):\n{}\n",
      fmt::join(language_task_names(), "\n"));
}

std::string evaluate_on_language(const Settings& settings, const EvalOptions& options) {
  const fs::path data = data_directory(settings.data.dir);
  std::vector<LanguageTask> tasks;
  for (const std::string& name : options.language_tasks) {
    tasks.push_back(load_language_task(name, data, options.limit));
  }
  const fs::path checkpoint = options.weights.checkpoint.empty()
                                  ? trained_checkpoint(options.weights.run)
                                  : options.weights.checkpoint;
  const fs::path file = tokenizer_path(with_tokenizer_of_run(settings, checkpoint));
  const Tokenizer tokenizer = Tokenizer::load(file);
  if (!options.out.empty()) make_output_folder(options.out);
  const Device device = device_of(settings);
  const Model model = model_from(checkpoint, device, settings.run.dtype);
  require_tokenizer_fits(tokenizer, file, model.vocab_size, checkpoint);

  const std::int64_t length =
      model.max_length > 0 ? std::min(model.max_length, kDefaultLength) : kDefaultLength;
  const double start = seconds_now();
  std::int64_t read = 0;
  const auto encode = [&](std::string_view text) { return tokenizer.encode(text); };
  const std::vector<LanguageResult> results =
      evaluate_language(model, encode, std::move(tasks),
                        {.prefix = prefix_of(tokenizer, file),
                         .scorer = {.max_length = length,
                                    .pass_tokens = options.batch_tokens,
                                    .progress = progress_lines(read)}});
  const double seconds = seconds_now() - start;
  std::int64_t tokens = 0;
  for (const LanguageResult& result : results) {
    tokens += result.tokens;
  }
  note(fmt::format("checkpoint {}; {} tokens read and {} of them scored in {}, peak memory {}",
                   checkpoint.string(), grouped(read), grouped(tokens), human_duration(seconds),
                   human_bytes(arena(device).peak_bytes())));
  const EvaluationContext context{
      .model = model.family,
      .model_args =
          fmt::format("pretrained={},dtype={}", checkpoint.string(), name_of(settings.run.dtype)),
      .device = device_name(device),
      .tokenizer = file.string(),
      .fingerprint = tokenizer.fingerprint(),
      .parameter_hash = parameter_hash(model),
      .parameters = model.parameters->count(),
      .max_length = length,
      .pass_tokens = options.batch_tokens,
      .limit = options.limit,
      .version = version_line(),
      .seconds = seconds};
  if (!options.out.empty()) {
    write_results(options.out, results, context);
    note(fmt::format("results and samples in {}", options.out.string()));
  }
  return options.json ? results_json(results, context).dump(2) + "\n" : results_table(results);
}

}  // namespace farsight
