#include "train/environment.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <string>
#include <thread>

#include "core/parallel.h"
#include "core/version.h"
#include "ops/gemm.h"

namespace farsight {

namespace {

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("model name")) continue;
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string system_text() {
  utsname name{};
  if (uname(&name) != 0) return "unknown";
  return fmt::format("{} {} {}", name.sysname, name.release, name.machine);
}

std::int64_t memory_bytes() {
  const std::int64_t pages = sysconf(_SC_PHYS_PAGES);
  const std::int64_t page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? pages * page : 0;
}

}  // namespace

Json environment_json() {
  const std::time_t now = std::time(nullptr);
  Json json =
      Json::object({{"date", fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(now))},
                    {"system", system_text()},
                    {"cpu", cpu_model()},
                    {"processors", static_cast<std::int64_t>(std::thread::hardware_concurrency())},
                    {"threads", threads()},
                    {"memory_bytes", memory_bytes()}});
  json["blas"] = cpu::blas_description();
  json["build"] = version_line();
  json["compiler"] = build_info().compiler;
  return json;
}

}  // namespace farsight
