// What a person sees while a reproduction runs. On a terminal one line for all and one for each run
// under way, drawn over; elsewhere a line for each event and nothing in between:
//
//   [12/32] trained k2v2-mamba-seed42 in 1 min 40 s
//   12 of 32 done, 2 running; about 14 min left
//     shuffle-mamba-gs-seed42   step 3200 of 8000  loss 0.112  validation 98.1 %  48.2k tokens/s
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "train/progress.h"
#include "train/repro/jobs.h"

namespace farsight {

/// How far a run is, by its metrics.jsonl.
struct RunProgress {
  std::int64_t step = 0;
  double loss = 0, tokens_per_second = 0;
  std::optional<double> validation{};  ///< the last one, percent
};
/// Looks at the end of the file only. Nothing when there is no whole line yet.
std::optional<RunProgress> progress_of_run(const std::filesystem::path& folder);

/// What the view knows of a job beyond its Job.
struct ViewedRun {
  std::string name;
  std::filesystem::path folder;
  std::int64_t steps = 0;  ///< of the whole run
};

class ReproView {
 public:
  ReproView(Display display, std::vector<ViewedRun> runs, const std::vector<Job>& jobs,
            std::size_t slots);

  void changed(std::size_t job, const JobStatus& status);
  void tick(const std::vector<JobStatus>& statuses);
  /// Takes the drawn lines away.
  void finish();

 private:
  void note(std::string_view line);
  void erase();
  double share_done(std::size_t job, const JobStatus& status) const;
  std::string overall(const std::vector<JobStatus>& statuses) const;
  std::string running(std::size_t job, const JobStatus& status) const;

  Display display_;
  std::vector<ViewedRun> runs_;
  const std::vector<Job>& jobs_;
  std::size_t slots_;
  std::size_t ended_ = 0;
  double drawn_at_ = -1;
  std::size_t lines_on_screen_ = 0;
};

}  // namespace farsight
