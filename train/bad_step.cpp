#include "train/bad_step.h"

#include <fmt/format.h>

#include <exception>
#include <filesystem>

#include "train/step.h"

namespace farsight {

BadStep explain_bad_step(const TrainingContext& context, const std::vector<GlobalBatch>& batches,
                         StepOutcome outcome) {
  RankJob* const job = context.ranks;
  std::size_t shown = 0;  // the batch that shows it, or the first
  for (std::size_t i = 0; i < batches.size() && outcome.place.empty(); i++) {
    outcome.place = first_not_finite(context.model, batches[i]);
    if (!outcome.place.empty()) shown = i;
  }
  const std::string places = job == nullptr ? outcome.place : job->collect(outcome.place);
  BadStep bad{places.empty() ? "no single operation made a value that is not finite"
                             : "the first value that is not finite comes from " + places,
              ""};
  if (job != nullptr) outcome.shard = {.rank = job->rank(), .world = job->world()};
  const bool mine = job == nullptr || (places.empty() ? job->first() : job->leads(places));
  try {
    const std::filesystem::path bundle =
        mine ? save_step_bundle(context.record.folder(), context.settings, context.model,
                                batches[shown], outcome)
             : std::filesystem::path();
    if (!bundle.empty()) bad.saved = " farsight replay " + bundle.string() + " looks closer";
  } catch (const std::exception& error) {  // what is wrong with the step matters more
    bad.saved = fmt::format(" The step itself could not be saved: {}", error.what());
  }
  return bad;
}

}  // namespace farsight
