#include "eval/language/language_evaluation.h"

#include "core/check.h"
#include "core/parallel.h"

namespace farsight {
namespace {

/// Requests of a document: of a page its windows, else one a pair.
std::vector<ScoreRequest> requests_of(const LanguageTask& task, const LanguageDoc& doc,
                                      const Encode& encode, const LanguageOptions& options) {
  if (task.output == OutputType::loglikelihood_rolling) {
    return rolling_windows(encode(doc.pairs[0].continuation), options.prefix,
                           options.scorer.max_length);
  }
  std::vector<ScoreRequest> requests;
  for (const TextPair& pair : doc.pairs) {
    requests.push_back(encoded_pair(encode, pair.context, pair.continuation, options.prefix));
  }
  return requests;
}

/// What the scorer would refuse without knowing whose it is.
void require_scorable(const LanguageTask& task, std::size_t item,
                      const std::vector<ScoreRequest>& requests, std::int64_t max_length) {
  for (const ScoreRequest& request : requests) {
    const auto scored = static_cast<std::int64_t>(request.continuation.size());
    require(scored > 0, ExitCode::data, "{}: item {} has an empty continuation", task.name, item);
    require(scored <= max_length, ExitCode::data,
            "{}: item {} has a continuation of {} tokens, the model reads {}", task.name, item,
            scored, max_length);
  }
}

/// The documents of all tasks, one after another.
struct Place {
  std::size_t task = 0, doc = 0;
};

}  // namespace

std::vector<LanguageResult> evaluate_language(const Model& model, const Encode& encode,
                                              std::vector<LanguageTask> tasks,
                                              const LanguageOptions& options) {
  std::vector<Place> places;
  for (std::size_t t = 0; t < tasks.size(); t++) {
    for (std::size_t d = 0; d < tasks[t].docs.size(); d++) {
      places.push_back({t, d});
    }
  }
  std::vector<std::vector<ScoreRequest>> encoded(places.size());
  parallel_blocks(
      static_cast<std::int64_t>(places.size()), 16, [&](std::int64_t begin, std::int64_t end) {
        for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); i++) {
          const LanguageTask& task = tasks[places[i].task];
          encoded[i] = requests_of(task, task.docs[places[i].doc], encode, options);
        }
      });
  std::vector<ScoreRequest> requests;
  std::vector<std::size_t> counts;  // requests of a document
  for (std::size_t i = 0; i < places.size(); i++) {
    require_scorable(tasks[places[i].task], places[i].doc, encoded[i], options.scorer.max_length);
    counts.push_back(encoded[i].size());
    std::move(encoded[i].begin(), encoded[i].end(), std::back_inserter(requests));
  }
  const std::vector<ContinuationScore> scores =
      score_continuations(model, requests, options.scorer);

  std::vector<LanguageResult> results;
  for (LanguageTask& task : tasks) {
    results.push_back({.task = std::move(task)});
  }
  std::size_t next = 0;
  for (std::size_t i = 0; i < places.size(); i++) {
    LanguageResult& result = results[places[i].task];
    const LanguageDoc& doc = result.task.docs[places[i].doc];
    LanguageDocResult made;
    const bool rolling = result.task.output == OutputType::loglikelihood_rolling;
    if (rolling) made.scores.resize(1);
    for (std::size_t k = 0; k < counts[i]; k++, next++) {
      result.tokens += static_cast<std::int64_t>(requests[next].continuation.size());
      if (rolling) {
        made.scores[0].log_likelihood += scores[next].log_likelihood;
        made.scores[0].greedy = made.scores[0].greedy && scores[next].greedy;
      } else {
        made.scores.push_back(scores[next]);
      }
    }
    made.metrics = doc_metrics(result.task, doc, made.scores);
    result.docs.push_back(std::move(made));
  }
  for (LanguageResult& result : results) {
    result.metrics = task_metrics(result.task, result.docs);
  }
  return results;
}

}  // namespace farsight
