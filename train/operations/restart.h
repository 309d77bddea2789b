// A run whose launcher starts all its processes again (farsight launch --max-restarts): each time with
// the words that it was given first. What they say of where to begin was done the first time, and is
// not done again: --overwrite deletes nothing more, --resume never goes on, and --resume step-1000 or
// PATH goes on from what came after it.
//
// Once a launch has begun to train a run, the run's folder has a file `launch` with its name.
#pragma once

#include <filesystem>
#include <string>

#include "train/operations/resume.h"

namespace farsight {

/// Whether an earlier attempt of this launch has begun to train the run. `launch`: empty for a process
/// that none has started (train/ranks/launch_job.h).
bool begun_by(const std::filesystem::path& run, const std::string& launch);

/// Where another attempt goes on: the newest checkpoint, by all means, and where there is none yet
/// wherever `options` say. Throws as resume_point().
ResumePoint restart_point(const TrainOptions& options, const std::filesystem::path& run,
                          bool continues);

/// The run goes on from `checkpoint` (empty: from its beginning): that is what `latest` names from here
/// on, whatever came after it before; of a checkpoint that is not the run's own `latest` names none.
/// Then the launch has begun.
void begin_from(const std::filesystem::path& run, const std::filesystem::path& checkpoint,
                const std::string& launch);

}  // namespace farsight
