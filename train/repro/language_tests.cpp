#include "train/repro/language_tests.h"

#include "core/check.h"
#include "data/known_files.h"
#include "eval/language/language_task.h"
#include "train/run_folder.h"

namespace farsight {

std::vector<std::string> language_tests_there(const Settings& settings,
                                              const std::vector<std::string>& tests) {
  std::vector<std::string> there;
  for (const std::string& test : tests) {
    try {
      load_language_task(test, data_directory(settings.data.dir), 1);
      there.push_back(test);
    } catch (const Error&) {
      continue;  // its cells will say that it was not tested
    }
  }
  return there;
}

std::optional<double> language_score(const Json& results, std::string_view task) {
  const Json* all = results.find("results");
  const Json* of_task = all == nullptr ? nullptr : all->find(task);
  if (of_task == nullptr || !of_task->is_object()) return std::nullopt;
  if (task == "wikitext") return number_in(*of_task, "word_perplexity,none");
  const std::optional<double> share =
      number_in(*of_task, task == "hellaswag" ? "acc_norm,none" : "acc,none");
  return share ? std::optional(100 * *share) : std::nullopt;
}

}  // namespace farsight
