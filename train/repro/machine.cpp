#include "train/repro/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "core/device_calls.h"
#include "core/parallel.h"
#include "train/presets.h"

namespace farsight {
namespace {

std::vector<std::string> visible_gpus() {
  std::vector<std::string> names;
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible == nullptr) {
    for (int gpu = 0; gpu < gpu_count(); gpu++)
      names.push_back(fmt::format("{}", gpu));
    return names;
  }
  const std::string list = visible;
  for (std::size_t from = 0; from < list.size();) {
    const std::size_t end = std::min(list.find(',', from), list.size());
    names.push_back(list.substr(from, end - from));
    from = end + 1;
  }
  return names;
}

}  // namespace

NamedSettings Machine::settings() const {
  return {{"run.threads", fmt::format("{}", threads)}, {"log.progress", "false"}};
}

std::string program_of(const Training& training) {
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  return (self.parent_path() / std::string(family_of(training.model))).string();
}

Machine machine_of(const ReproCommand& command, Device device, std::size_t runs) {
  Machine machine{.device = device, .slots = {}};
  const std::vector<std::string> gpus =
      device == Device::cuda ? visible_gpus() : std::vector<std::string>();
  const auto processors = static_cast<std::size_t>(threads());
  const auto per_gpu = static_cast<std::size_t>(repro_level(command.options.level).runs_per_gpu);
  const std::size_t fitting = gpus.empty() ? processors : per_gpu * gpus.size();
  const std::size_t wanted = command.jobs > 0 ? static_cast<std::size_t>(command.jobs) : fitting;
  const std::size_t slots = std::max<std::size_t>(1, std::min(wanted, runs));
  for (std::size_t slot = 0; slot < slots; slot++) {
    Environment& environment = machine.slots.emplace_back();
    if (!gpus.empty()) {
      environment.emplace_back("CUDA_VISIBLE_DEVICES", gpus[slot % gpus.size()]);
    }
  }
  machine.threads = static_cast<int>(std::max<std::size_t>(1, processors / slots));
  return machine;
}

}  // namespace farsight
