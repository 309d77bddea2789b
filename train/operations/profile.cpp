#include "train/operations/profile.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/clock.h"
#include "core/device_calls.h"
#include "core/files.h"
#include "core/json.h"

namespace farsight {
namespace {

Profile* measuring = nullptr;

/// "layer 3, selective_scan" -> "selective_scan"
std::string_view without_layer(std::string_view name) {
  const std::size_t comma = name.rfind(", ");
  return comma == std::string_view::npos ? name : name.substr(comma + 2);
}

std::string_view name_of(Pass pass) {
  return pass == Pass::forward ? "forward" : pass == Pass::backward ? "backward" : "update";
}

double floor_seconds(const Profile::Line& line, const DeviceLimits& limits) {
  return std::max(line.bytes / limits.copy_bytes_per_second,
                  line.flops / limits.product_flops_per_second);
}

}  // namespace

Profile::Profile(Device device, std::int64_t steps, const DeviceLimits& limits)
    : device_(device), steps_(steps), limits_(limits) {}

Profile::~Profile() {
  if (measuring == this) {
    measuring = nullptr;
    operation_done = nullptr;
  }
}

void Profile::note(std::string_view name, Pass pass, const LeastWork& work) {
  Profile& self = *measuring;
  self.events_.push_back({std::string(without_layer(name)), pass, work, 0});
  if (self.device_ == Device::cuda) {
    device_calls().mark(static_cast<int>(self.events_.size()));
  } else {
    self.events_.back().at = seconds_now();
  }
}

void Profile::begin_step() {
  if (!wanted() || seen_++ < kWarmUp) return;
  events_.clear();
  measuring = this;
  operation_done = note;
  if (device_ == Device::cuda) device_calls().mark(0);
  began_ = seconds_now();
}

void Profile::end_step() {
  if (measuring != this) return;
  measuring = nullptr;
  operation_done = nullptr;
  measured_++;
  double before = began_;
  for (std::size_t i = 0; i < events_.size(); i++) {
    const Event& event = events_[i];
    Line& line = table_[{event.operation, event.pass}];
    line.operation = event.operation;
    line.pass = event.pass;
    line.calls++;
    line.bytes += static_cast<double>(event.work.bytes);
    line.flops += event.work.flops;
    if (device_ == Device::cuda) {
      const int moment = static_cast<int>(i);
      line.seconds += device_calls().elapsed_ms(moment, moment + 1) / 1e3;
    } else {
      line.seconds += event.at - before;
      before = event.at;
    }
  }
}

std::vector<Profile::Line> Profile::lines() const {
  std::vector<Line> all;
  for (const auto& entry : table_) {
    all.push_back(entry.second);
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Line& a, const Line& b) { return a.seconds > b.seconds; });
  return all;
}

void Profile::write(const std::filesystem::path& run) {
  const double steps = static_cast<double>(std::max<std::int64_t>(1, measured_));
  double total = 0, all_floors = 0;
  for (const Line& line : lines()) {
    total += line.seconds;
    all_floors += floor_seconds(line, limits_);
  }
  std::string text = fmt::format(
      "# Where the time goes\n\nMeans of {} steps on {}, {:.3f} ms each; the floor of all "
      "operations "
      "is {:.1f} % of it.\nCopying {:.1f} GB/s, matrix products {:.1f} GFLOP/s, both measured.\n\n"
      "| operation | pass | calls | ms | share | GB | GFLOP | floor, ms | percent of floor |\n"
      "|---|---|---|---|---|---|---|---|---|\n",
      measured_, farsight::name_of(device_), 1e3 * total / steps, 100 * all_floors / total,
      limits_.copy_bytes_per_second / 1e9, limits_.product_flops_per_second / 1e9);
  Json operations = Json::array();
  for (const Line& line : lines()) {
    const double floor = floor_seconds(line, limits_);
    const double percent = line.seconds > 0 ? 100 * floor / line.seconds : 0;
    text += fmt::format(
        "| {} | {} | {:.0f} | {:.3f} | {:.1f} % | {:.4f} | {:.3f} | {:.3f} | {:.0f} |\n",
        line.operation, name_of(line.pass), static_cast<double>(line.calls) / steps,
        1e3 * line.seconds / steps, 100 * line.seconds / total, line.bytes / steps / 1e9,
        line.flops / steps / 1e9, 1e3 * floor / steps, percent);
    operations.push_back(Json::object({{"operation", line.operation},
                                       {"pass", name_of(line.pass)},
                                       {"calls", static_cast<double>(line.calls) / steps},
                                       {"milliseconds", 1e3 * line.seconds / steps},
                                       {"bytes", line.bytes / steps},
                                       {"flops", line.flops / steps},
                                       {"floor_milliseconds", 1e3 * floor / steps},
                                       {"percent_of_floor", percent}}));
  }
  const Json json = Json::object({{"steps", measured_},
                                  {"device", farsight::name_of(device_)},
                                  {"milliseconds_per_step", 1e3 * total / steps},
                                  {"copy_bytes_per_second", limits_.copy_bytes_per_second},
                                  {"product_flops_per_second", limits_.product_flops_per_second},
                                  {"operations", operations}});
  write_file_atomically(run / "profile.json", json.dump(2) + "\n");
  write_file_atomically(run / "profile.md", text);
  written_ = true;
}

}  // namespace farsight
