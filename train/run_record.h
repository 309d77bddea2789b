// The folder of a run:
//
//   runs/standard-mamba-pocket-seed42/
//     config.toml     every resolved setting; `--config` on it runs the same again
//     metrics.jsonl   a line for every log.interval steps
//     tensorboard/    the same as TensorBoard reads it (log.tensorboard)
//     result.json     when the run is finished: what came out, for programs
//     failure.txt     when it ended before: the reason, until it goes on
//     report.html     the same for people, with learning curves (figures/); and report.md, .json
//     launch          who started its processes (train/operations/restart.h)
//     corpus.json     of a language model: which text and tokenizer (train/corpora.h)
//     ...             and the checkpoints, written elsewhere
//
// Nothing that a run left behind is lost unless --overwrite is given:
//
//   the folder holds               named by --out                otherwise (default name, a file)
//   nothing                        used                          used
//   this run, unfinished           continued                     continued
//   this run, --resume never       refused                       NAME-2, NAME-3, ...
//   a finished or another run      refused                       NAME-2, NAME-3, ...
//   a run that another process     refused, even to --overwrite  NAME-2, NAME-3, ...
//     is writing right now
//   something else                 refused, even to --overwrite  NAME-2, NAME-3, ...
//
// "This run" has the same value for every setting that changes its numbers (Effect::numbers).
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "train/command_line.h"
#include "train/operations/tensorboard.h"
#include "train/report.h"

namespace farsight {

/// A line of metrics.jsonl.
struct StepMetrics {
  std::int64_t step = 0;  ///< steps done, from 1
  double loss = 0;
  double lr = 0;
  double grad_norm = 0;     ///< before clipping
  std::int64_t tokens = 0;  ///< since step 0
  double seconds = 0;       ///< of training, since step 0
  double tokens_per_second = 0;
  std::int64_t memory_bytes = 0;           ///< peak of the arena
  std::optional<double> train_accuracy{};  ///< labels of this batch predicted, percent
  std::optional<double> valid_accuracy{};  ///< pair accuracy, percent, where it was measured
  std::optional<double> valid_loss{};
  std::int64_t skipped = 0;  ///< steps so far that were not finite (train.on_nan)
  std::int64_t total_steps = 0;
  std::optional<double> exposed_ms{};  ///< waited for other ranks' gradients (train/ranks/)
  /// How often since the start of this process all ranks' weights were compared, and were equal.
  std::optional<std::int64_t> weights_compared{};
  std::optional<double> mfu{};         ///< model FLOPs, percent of what the device is made for
  std::optional<double> of_ceiling{};  ///< the same of what it was measured to do
  std::optional<double> valid_perplexity{};  ///< of text: exp(valid_loss)
};

/// "runs/standard-mamba-pocket-seed42"
std::filesystem::path default_folder(const Settings& settings);

class RunRecord {
 public:
  /// Chooses the folder by the table above, makes it and writes config.toml.
  /// `launch`: who started this process, perhaps not for the first time (train/operations/restart.h):
  /// then the folder is the one that the first attempt chose, and it goes on.
  /// Throws Error(usage) where the table says refused, Error(storage) if it cannot be written.
  RunRecord(const Resolved& resolved, const TrainOptions& given, const std::string& launch = {});
  /// Of another rank than the first: knows the folder, and writes nothing.
  explicit RunRecord(std::filesystem::path folder) : folder_(std::move(folder)) {}

  const std::filesystem::path& folder() const { return folder_; }

  /// An unfinished run was in the folder: training goes on from its last checkpoint, if there is one.
  bool continues() const { return continues_; }
  /// Another attempt of the same launch has begun it.
  bool restarts() const { return restarts_; }

  /// Drops the lines after `step`, and a torn last line, before training goes on from `step`: the
  /// steps until the interruption come again. 0 drops all.
  void rewind(std::int64_t step);

  void append(const StepMetrics& metrics);

  /// Keeps in failure.txt why training ended before its end, for the page; a signal is no failure. Never
  /// throws: the reason itself is under way to the user.
  void keep_failure(const Error& error);

  /// Writes result.json, and a run that has it is finished; then its page (run_report.h), which can be
  /// made again: if it cannot be written, stderr says so.
  void finish(const RunResult& result);

 private:
  void open_metrics();

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  /// Held while the run is written; the system lets go of it however the process ends.
  class Lock {
   public:
    Lock() = default;
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock();
    /// False if another process has the folder.
    bool take(const std::filesystem::path& folder);

   private:
    int fd_ = -1;
  };

  /// Makes the folder this run's own; says why not otherwise, and leaves it as it was.
  enum class Content { nothing, same_unfinished, another_unfinished, finished, busy, no_run };
  Content claim(const TrainOptions& options);
  void look_for(const std::string& launch, const std::filesystem::path& base, bool fixed);
  static Content content_of(const std::filesystem::path& folder, const Settings& settings);
  [[noreturn]] void refuse(Content content) const;

  Settings settings_;
  std::filesystem::path folder_;
  bool continues_ = false, restarts_ = false;
  Lock lock_;
  std::unique_ptr<std::FILE, Close> metrics_;
  std::unique_ptr<TensorBoardWriter> board_;
};

}  // namespace farsight
