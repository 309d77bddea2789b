#include "eval/language/results.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/files.h"
#include "core/sha256.h"

namespace farsight {
namespace {

std::string key_of(const LanguageMetric& metric, bool error) {
  return fmt::format("{}{},none", metric.name, error ? "_stderr" : "");
}

/// As Python writes a float.
std::string text_of(double value) {
  const std::string text = Json(value).dump();
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}

Json task_results(const LanguageResult& result) {
  Json json = Json::object({{"alias", result.task.name}});
  for (const LanguageMetric& metric : result.metrics) {
    json[key_of(metric, false)] = metric.value;
    json[key_of(metric, true)] = metric.error ? Json(*metric.error) : Json("N/A");
  }
  return json;
}

Json task_config(const LanguageTask& task) {
  Json files = Json::array();
  for (const std::filesystem::path& file : task.files) {
    files.push_back(Json::object({{"path", file.string()}, {"sha256", sha256_of_file(file)}}));
  }
  Json config = Json::object({{"task", task.name},
                              {"dataset_path", task.dataset},
                              {task.split + "_split", task.split},
                              {"output_type", name_of(task.output)},
                              {"num_fewshot", 0},
                              {"target_delimiter", " "},
                              {"metadata", Json::object({{"version", task.version}})},
                              {"files", files}});
  if (!task.note.empty()) config["note"] = task.note;
  return config;
}

Json by_task(const std::vector<LanguageResult>& results, const auto& value_of) {
  Json json = Json::object();
  for (const LanguageResult& result : results) {
    json[result.task.name] = value_of(result);
  }
  return json;
}

/// Of a sample: what was scored, by request.
Json arguments_of(const LanguageDoc& doc, bool rolling) {
  Json arguments = Json::object();
  for (std::size_t i = 0; i < doc.pairs.size(); i++) {
    const TextPair& pair = doc.pairs[i];
    arguments[fmt::format("gen_args_{}", i)] =
        rolling ? Json::object({{"arg_0", pair.continuation}})
                : Json::object({{"arg_0", pair.context}, {"arg_1", pair.continuation}});
  }
  return arguments;
}

using Row = std::vector<std::string>;

/// A Markdown table; columns named in `right` are aligned to the right.
std::string markdown(const std::vector<Row>& rows, const std::vector<bool>& right) {
  std::vector<std::size_t> widths(right.size(), 3);
  const auto shown = [](const std::string& cell) {  // characters, arrows being several bytes
    return static_cast<std::size_t>(std::count_if(cell.begin(), cell.end(), [](char c) {
      return (static_cast<unsigned char>(c) >> 6) != 2;
    }));
  };
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); i++) {
      widths[i] = std::max(widths[i], shown(row[i]));
    }
  }
  std::string text;
  for (std::size_t r = 0; r < rows.size(); r++) {
    for (std::size_t i = 0; i < right.size(); i++) {
      const std::size_t space = widths[i] - shown(rows[r][i]);
      const std::size_t before = r == 0 ? space / 2 : right[i] ? space : 0;  // the head is centred
      text += "|" + std::string(before, ' ') + rows[r][i] + std::string(space - before, ' ');
    }
    text += "|\n";
    if (r > 0) continue;
    for (std::size_t i = 0; i < right.size(); i++) {
      text += "|" + std::string(widths[i] - 1, '-') + (right[i] ? ":" : "-");
    }
    text += "|\n";
  }
  return text;
}

std::vector<const LanguageResult*> by_name(const std::vector<LanguageResult>& results) {
  std::vector<const LanguageResult*> sorted;
  for (const LanguageResult& result : results) {
    sorted.push_back(&result);
  }
  std::ranges::sort(sorted, {}, [](const LanguageResult* result) { return result->task.name; });
  return sorted;
}

}  // namespace

Json results_json(const std::vector<LanguageResult>& results, const EvaluationContext& context) {
  const auto count = [](const LanguageResult& result) {
    return Json::object({{"original", result.task.original},
                         {"effective", static_cast<std::int64_t>(result.task.docs.size())}});
  };
  const auto higher = [](const LanguageResult& result) {
    Json json = Json::object();
    for (const LanguageMetric& metric : result.metrics) {
      json[metric.name] = metric.higher_is_better;
    }
    return json;
  };
  return Json::object(
      {{"results", by_task(results, task_results)},
       {"group_subtasks", by_task(results, [](const auto&) { return Json::array(); })},
       {"configs", by_task(results, [](const auto& r) { return task_config(r.task); })},
       {"versions", by_task(results, [](const auto& r) { return Json(r.task.version); })},
       {"n-shot", by_task(results, [](const auto&) { return Json(0); })},
       {"higher_is_better", by_task(results, higher)},
       {"n-samples", by_task(results, count)},
       {"config", Json::object({{"model", context.model},
                                {"model_args", context.model_args},
                                {"model_num_parameters", context.parameters},
                                {"batch_tokens", context.pass_tokens},
                                {"device", context.device},
                                {"limit", context.limit > 0 ? Json(context.limit) : Json()}})},
       {"tokenizer",
        Json::object({{"path", context.tokenizer}, {"fingerprint", context.fingerprint}})},
       {"parameter_hash", context.parameter_hash},
       {"max_length", context.max_length},
       {"farsight_version", context.version},
       {"total_evaluation_time_seconds", text_of(context.seconds)}});
}

std::string sample_line(const LanguageResult& result, std::size_t item) {
  const LanguageDoc& doc = result.task.docs[item];
  const LanguageDocResult& scored = result.docs[item];
  const bool rolling = result.task.output == OutputType::loglikelihood_rolling;
  Json resps = Json::array(), filtered = Json::array();
  for (const ContinuationScore& score : scored.scores) {
    const std::string sum = text_of(score.log_likelihood);
    const Json response = rolling ? Json(sum) : Json::array({sum, score.greedy ? "True" : "False"});
    resps.push_back(Json::array({response}));
    filtered.push_back(response);
  }
  const TextPair& first = doc.pairs.front();
  Json line = Json::object({{"doc_id", static_cast<std::int64_t>(item)},
                            {"doc", doc.doc},
                            {"target", doc.target},
                            {"arguments", arguments_of(doc, rolling)},
                            {"resps", resps},
                            {"filtered_resps", filtered},
                            {"filter", "none"},
                            {"metrics", Json::array()},
                            {"prompt_hash", sha256(rolling ? first.continuation : first.context)},
                            {"target_hash", sha256(doc.target)}});
  for (const LanguageMetric& metric : scored.metrics) {
    line["metrics"].push_back(metric.name);
    line[metric.name] = metric.value;
  }
  if (rolling) {
    const std::string sum = text_of(scored.scores[0].log_likelihood);
    for (const LanguageMetric& metric : result.metrics) {
      const bool by_word = metric.name == "word_perplexity";
      line["metrics"].push_back(metric.name);
      line[metric.name] = Json::array({sum, std::to_string(by_word ? doc.words : doc.bytes)});
    }
  }
  return line.dump();
}

std::string results_table(const std::vector<LanguageResult>& results) {
  std::vector<Row> rows = {
      {"Tasks", "Version", "Filter", "n-shot", "Metric", "", "Value", "", "Stderr"}};
  std::string notes;
  for (const LanguageResult* result : by_name(results)) {
    bool first = true;
    for (const LanguageMetric& metric : result->metrics) {
      rows.push_back({first ? result->task.name : "",
                      first ? fmt::format("{:g}", result->task.version) : "", "none", "0",
                      metric.name, metric.higher_is_better ? "\u2191" : "\u2193",
                      fmt::format("{:.4f}", metric.value), "\u00b1",
                      metric.error ? fmt::format("{:.4f}", *metric.error) : "N/A"});
      first = false;
    }
    const auto done = static_cast<std::int64_t>(result->task.docs.size());
    if (done < result->task.original) {
      notes += fmt::format("{}: the first {} of {} items only\n", result->task.name, done,
                           result->task.original);
    }
    if (!result->task.note.empty()) notes += result->task.note + "\n";
  }
  const std::vector<bool> right = {false, true, false, true, false, false, true, false, true};
  return markdown(rows, right) + (notes.empty() ? "" : "\n" + notes);
}

void write_results(const std::filesystem::path& folder, const std::vector<LanguageResult>& results,
                   const EvaluationContext& context) {
  make_output_folder(folder);
  for (const LanguageResult& result : results) {
    const std::filesystem::path path = folder / fmt::format("samples_{}.jsonl", result.task.name);
    write_file_atomically(path, [&](OutputFile& file) {
      for (std::size_t item = 0; item < result.docs.size(); item++) {
        file.write(sample_line(result, item) + "\n");
      }
    });
  }
  write_file_atomically(folder / "results.json", results_json(results, context).dump(2) + "\n");
}

}  // namespace farsight
