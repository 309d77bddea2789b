#include "train/ranks/launch_job.h"

#include <fmt/format.h>

#include <string_view>

#include "train/ranks/launch_place.h"

namespace farsight {
namespace {

std::string variable(const char* name) {
  const char* value = process_variables()(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

std::string job_of_attempt(const std::string& launch, int attempt) {
  return attempt == 0 ? launch : fmt::format("{}, restart {}", launch, attempt);
}

std::string launch_of_process() {
  const std::string job = variable("FARSIGHT_JOB");
  return job.starts_with("launch ") ? job.substr(0, job.find(',')) : std::string();
}

bool is_later_rank_of_launch() {
  return !launch_of_process().empty() && variable("RANK") != "0";
}

}  // namespace farsight
