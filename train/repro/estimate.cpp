#include "train/repro/estimate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <set>

#include "core/check.h"
#include "core/clock.h"
#include "core/file_calls.h"
#include "core/files.h"
#include "core/parallel.h"
#include "train/from_settings.h"
#include "train/interrupts.h"
#include "train/optimizer.h"
#include "train/plan.h"
#include "train/repro/outcome.h"
#include "train/repro/view.h"
#include "train/step.h"
#include "train/training_task.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr double kEnoughSeconds = 0.3;   // of measured steps
constexpr double kMostFlops = 3e10;      // of a measured step on a CPU: about a second
constexpr std::int64_t kMostLayers = 2;  // where a step must be reduced
constexpr std::int64_t kMostSteps = 20;
constexpr double kGuessedFlops = 1e14;  // a second, of a GPU on which a model cannot be measured

double flops_per_token(const Settings& settings) {
  return training_flops_per_token(model_of(settings, Device::meta), planned_task_of(settings).data);
}

/// Settings of a step that takes about a second at most.
Settings measurable(Settings settings) {
  if (settings.model.n_layer > kMostLayers && settings.model.gate_layers.empty()) {
    settings.model.n_layer = kMostLayers;
  }
  settings.train.steps = kMostSteps;
  settings.train.graphs = GraphUse::off;
  const double flops = flops_per_token(settings) * planned_task_of(settings).data.tokens_per_step;
  if (flops > kMostFlops) {
    const double share = kMostFlops / flops;
    const auto fewer =
        static_cast<std::int64_t>(share * static_cast<double>(settings.train.batch_size));
    settings.train.batch_size = std::max<std::int64_t>(1, fewer);
  }
  return settings;
}

/// FLOPs a second of training steps, the first one not counted: it allocates.
double measured_flops(const Settings& whole) {
  const Settings settings = measurable(whole);
  const TrainData data = planned_task_of(settings).data;
  const Model model = model_of(settings, Device::cpu);
  AdamW optimizer(*model.parameters, settings.train);
  TrainStep step(model, optimizer, settings.train.graphs);
  double tokens = 0, began = 0, seconds = 0;
  for (std::int64_t i = 0; i < kMostSteps && seconds < kEnoughSeconds; i++) {
    const GlobalBatch batch = data.at(i, {});
    step.launch(batch, 0);
    step.finish();
    if (i == 0) {
      began = seconds_now();
      continue;
    }
    tokens += static_cast<double>(batch.tokens);
    seconds = seconds_now() - began;
  }
  return tokens * training_flops_per_token(model, data) / seconds;
}

/// Sets the number of threads while it lives.
class WithThreads {
 public:
  explicit WithThreads(int count) : before_(threads()) { set_threads(count); }
  ~WithThreads() { set_threads(before_); }
  WithThreads(const WithThreads&) = delete;
  WithThreads& operator=(const WithThreads&) = delete;

 private:
  int before_;
};

/// The first run of every model that `known` has no speed of.
std::vector<PlannedRun> one_of_each(const std::vector<PlannedRun>& runs,
                                    const std::map<std::string, double>& known) {
  std::vector<PlannedRun> chosen;
  std::set<std::string> seen;
  for (const PlannedRun& run : runs) {
    if (!known.contains(run.training.model) && seen.insert(run.training.model).second) {
      chosen.push_back(run);
    }
  }
  return chosen;
}

/// A folder in `out`, on the disk that the runs are for, removed when it goes; and `out` with it if
/// it was not there before.
class ScratchFolder {
 public:
  explicit ScratchFolder(const fs::path& out) : out_(out), made_(!fs::exists(out)) {
    make_output_folder(out);
    std::string name = (out / ".measuring-XXXXXX").string();
    require(mkdtemp(name.data()) != nullptr, ExitCode::storage, "cannot make a folder in {}: {}",
            out.string(), reason(errno));
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code none;
    fs::remove_all(path_, none);
    if (made_) fs::remove(out_, none);  // if it is empty
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path out_, path_;
  bool made_;
};

/// On a GPU in processes of their own: what this one took there would be missing for the runs.
void measure_in_children(const std::vector<PlannedRun>& runs, const fs::path& out,
                         const Machine& machine, std::map<std::string, double>& tokens_per_second) {
  if (runs.empty()) return;
  const ScratchFolder scratch(out);
  const fs::path& folder = scratch.path();
  std::vector<Job> jobs;
  for (PlannedRun run : runs) {
    for (const auto& [name, text] :
         {std::pair("train.steps", "24"), std::pair("eval.interval", "24"),
          std::pair("data.valid_examples_per_cell", "1"),
          std::pair("data.test_examples_per_cell", "1")}) {
      run.given.emplace_back(name, text);
    }
    Job& job = jobs.emplace_back();
    job.name = run.training.model;
    job.log = folder / (job.name + ".log");
    JobCommand& command = job.commands.emplace_back();
    command.words = training_words(run, folder / job.name, machine.settings());
    command.words.insert(command.words.begin(), program_of(run.training));
  }
  const CatchInterrupts catching;
  run_jobs(jobs, machine.slots, {.interrupted = [] { return CatchInterrupts::requested(); }});
  if (CatchInterrupts::requested()) {
    fail(CatchInterrupts::exit_code(), "farsight repro: ended by {} while speeds were measured",
         CatchInterrupts::name());
  }
  for (const Job& job : jobs) {
    const auto progress = progress_of_run(folder / job.name);
    if (progress && progress->tokens_per_second > 0) {
      tokens_per_second[job.name] = progress->tokens_per_second;
    }
  }
}

}  // namespace

std::vector<RunCost> estimate_costs(const std::vector<PlannedRun>& runs,
                                    const std::filesystem::path& out, const Machine& machine) {
  std::map<std::string, double> tokens_per_second, flops_per_second;
  for (const PlannedRun& run : runs) {
    const RunOutcome outcome = read_outcome(run, paths_of(out, run));
    if (outcome.tokens_per_second > 0) {
      tokens_per_second[run.training.model] = outcome.tokens_per_second;
    }
  }
  if (machine.device == Device::cuda) {
    measure_in_children(one_of_each(runs, tokens_per_second), out, machine, tokens_per_second);
  }
  const WithThreads with(machine.threads);
  std::vector<RunCost> costs;
  for (const PlannedRun& run : runs) {
    const TrainData data = planned_task_of(run.settings).data;
    RunCost cost;
    cost.tokens = static_cast<double>(total_steps(run.settings, data)) * data.tokens_per_step;
    const std::string& model = run.training.model;
    if (const auto known = tokens_per_second.find(model); known != tokens_per_second.end()) {
      cost.seconds = cost.tokens / known->second;
    } else {
      if (!flops_per_second.contains(model)) {
        const bool measurable_here = machine.device == Device::cpu;
        flops_per_second[model] = measurable_here ? measured_flops(run.settings) : kGuessedFlops;
      }
      cost.seconds = cost.tokens * flops_per_token(run.settings) / flops_per_second[model];
    }
    costs.push_back(cost);
  }
  return costs;
}

}  // namespace farsight
