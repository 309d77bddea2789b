// Where a run goes on: which checkpoint --resume means, and whether it can be trusted.
//
//   (nothing)      the run's newest, if the folder holds this run, unfinished
//   auto           the same; one that is damaged is passed over for the newest before it that is whole
//   step-1000      that one of the run
//   PATH           a checkpoint, or the newest of another run
//   never          none
//
// Newest is the one that `latest` names: a save that was cut off has not moved it. What is used was
// read and compared with its manifest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "train/command_line.h"

namespace farsight {

struct ResumePoint {
  std::filesystem::path checkpoint;  ///< empty: from the beginning
  std::string note{};                ///< a sentence for people where it is not the newest; or empty
};

/// `continues`: the folder holds this run, unfinished (RunRecord::continues). Throws Error(data) for a
/// step that is not there, naming those that are; Error(corrupt) for a damaged checkpoint, naming the
/// file, the tensor and what --resume could go on from.
ResumePoint resume_point(const TrainOptions& options, const std::filesystem::path& run,
                         bool continues);

/// The K of "step-K"; none for another value of --resume.
std::optional<std::int64_t> resume_step(std::string_view resume);
/// Whether a value of --resume is a path.
bool resumes_path(std::string_view resume);

/// Steps of the checkpoints in a run's folder, newest first, whole or not.
std::vector<std::int64_t> checkpoint_steps(const std::filesystem::path& run);

}  // namespace farsight
