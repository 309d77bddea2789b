#include "train/operations/restart.h"

#include <system_error>

#include "core/check.h"
#include "core/file_calls.h"
#include "core/files.h"
#include "train/checkpoint.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFile = "launch";

void name_latest(const fs::path& run, const fs::path& checkpoint) {
  std::error_code none;
  const fs::path named = fs::exists(run / "latest", none) ? run / "latest" : fs::path();
  const bool own = !checkpoint.empty() && fs::equivalent(parent_of(checkpoint), run, none);
  // What `latest` said is not asked: it may be damaged, and the run goes on from elsewhere all the same.
  if (own) write_pointer(run / "latest", checkpoint.filename().string());
  if (own || checkpoint.empty() || named.empty()) return;
  const int error = remove_path(named);
  if (error != 0) storage_failure("remove", named, error);
  sync_folder(run);
}

}  // namespace

bool begun_by(const fs::path& run, const std::string& launch) {
  if (launch.empty() || !fs::exists(run / kFile)) return false;
  return read_file(run / kFile) == launch + "\n";
}

ResumePoint restart_point(const TrainOptions& options, const fs::path& run, bool continues) {
  ResumePoint newest = resume_point({.resume = "auto", .may_fall_back = true}, run, true);
  if (!newest.checkpoint.empty()) return newest;
  return resume_point(options, run, continues);
}

void begin_from(const fs::path& run, const fs::path& checkpoint, const std::string& launch) {
  name_latest(run, checkpoint);
  if (!launch.empty()) write_file_atomically(run / kFile, launch + "\n");
}

}  // namespace farsight
