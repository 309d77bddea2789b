#include "train/operations/watch.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <optional>
#include <thread>

#include "core/arena.h"
#include "core/check.h"
#include "core/json.h"
#include "train/interrupts.h"
#include "train/quantities.h"
#include "train/run_folder.h"
#include "train/words.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kRecent = 20;  // lines over which speed is averaged

double number_or(const Json& line, std::string_view key, double otherwise) {
  return number_in(line, key).value_or(otherwise);
}

double age_seconds(const fs::path& path) {
  std::error_code none;
  const auto written = fs::last_write_time(path, none);
  if (none) return 0;
  return std::chrono::duration<double>(fs::file_time_type::clock::now() - written).count();
}

/// Seconds a step, over the last lines.
std::optional<double> pace(const std::vector<Json>& lines) {
  if (lines.size() < 2) return std::nullopt;
  const Json& first = lines[lines.size() - std::min(lines.size(), kRecent)];
  const double steps = number_or(lines.back(), "step", 0) - number_or(first, "step", 0);
  const double seconds = number_or(lines.back(), "seconds", 0) - number_or(first, "seconds", 0);
  return steps > 0 && seconds > 0 ? std::optional(seconds / steps) : std::nullopt;
}

std::string last_validation(const std::vector<Json>& lines) {
  for (std::size_t i = lines.size(); i-- > 0;) {
    const auto loss = number_in(lines[i], "valid_loss");
    if (!loss) continue;
    std::string text = fmt::format("loss {:.4g}", *loss);
    if (const auto pairs = number_in(lines[i], "valid_accuracy")) {
      text += fmt::format(", pair accuracy {:.2f} %", *pairs);
    }
    if (const auto perplexity = number_in(lines[i], "valid_perplexity")) {
      text += fmt::format(", perplexity {:.2f}", *perplexity);
    }
    return text + fmt::format("  (step {})",
                              grouped(static_cast<std::int64_t>(number_or(lines[i], "step", 0))));
  }
  return "none yet";
}

std::string state_of(const fs::path& run, const std::vector<Json>& lines) {
  if (fs::exists(run / "result.json")) return "finished";
  const double age = age_seconds(run / "metrics.jsonl");
  const double expected = pace(lines).value_or(1) * 10 * 10;
  const std::string last = fmt::format("last heard of {} ago", human_duration(age));
  return age > std::max(60.0, expected) ? "silent: " + last : last;
}

std::string bar_of(double share, int width) {
  const int full = static_cast<int>(std::clamp(share, 0.0, 1.0) * width);
  return "[" + std::string(static_cast<std::size_t>(full), '=') +
         std::string(static_cast<std::size_t>(width - full), ' ') + "]";
}

int terminal_columns() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string sparkline(std::span<const double> values, int width) {
  constexpr const char* kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::vector<double> finite;
  std::copy_if(values.begin(), values.end(), std::back_inserter(finite),
               [](double x) { return std::isfinite(x); });
  if (finite.empty() || width < 1) return {};
  const auto [least, most] = std::minmax_element(finite.begin(), finite.end());
  const double low = *least, range = *most - *least;
  const std::size_t columns = std::min(finite.size(), static_cast<std::size_t>(width));
  std::string text;
  for (std::size_t i = 0; i < columns; i++) {
    const std::size_t begin = i * finite.size() / columns, end = (i + 1) * finite.size() / columns;
    double sum = 0;
    for (std::size_t k = begin; k < end; k++) {
      sum += finite[k];
    }
    const double mean = sum / static_cast<double>(end - begin);
    const double height = range > 0 ? (mean - low) / range * 7.999 : 0;
    text += kBlocks[static_cast<std::size_t>(std::clamp(height, 0.0, 7.0))];
  }
  return text;
}

std::string watch_text(const fs::path& run, int columns) {
  require(fs::exists(run / "metrics.jsonl"), ExitCode::data,
          "farsight watch: '{}' is no run: it has no metrics.jsonl", run.string());
  const std::vector<Json> lines = metric_lines(run).lines;
  std::string text = fmt::format("{}  {}\n", run.string(), state_of(run, lines));
  if (lines.empty()) return text + "no step is logged yet\n";
  const Json& last = lines.back();
  const double step = number_or(last, "step", 0), total = number_or(last, "total_steps", 0);
  const auto line = [&](std::string_view name, const std::string& value) {
    text += fmt::format("{:<12}{}\n", name, value);
  };
  std::string progress = grouped(static_cast<std::int64_t>(step));
  if (total > 0) {
    progress = fmt::format("{} {} of {}", bar_of(step / total, std::clamp(columns - 50, 10, 40)),
                           progress, grouped(static_cast<std::int64_t>(total)));
    const auto seconds = pace(lines);
    if (seconds && step < total) {
      progress += fmt::format(", {} left", human_duration(*seconds * (total - step)));
    }
  }
  line("step", progress);
  std::vector<double> losses;
  for (const Json& each : lines) {
    losses.push_back(number_or(each, "loss", NAN));
  }
  line("loss", fmt::format("{:.4g}  {}", number_or(last, "loss", NAN),
                           sparkline(losses, std::clamp(columns - 24, 10, 100))));
  line("gradient", fmt::format("{:.3g}, learning rate {:.3g}", number_or(last, "grad_norm", NAN),
                               number_or(last, "lr", NAN)));
  if (const auto skipped = number_in(last, "skipped")) {
    line("skipped", fmt::format("{} steps that were not finite", *skipped));
  }
  line("validation", last_validation(lines));
  std::string speed =
      fmt::format("{} tokens/s", human_count(number_or(last, "tokens_per_second", 0)));
  if (const auto mfu = number_in(last, "mfu")) speed += fmt::format(", MFU {:.1f} %", *mfu);
  if (const auto share = number_in(last, "of_ceiling")) {
    speed += fmt::format(", {:.0f} % of the measured ceiling", *share);
  }
  line("speed", speed);
  line("memory", human_bytes(static_cast<std::int64_t>(number_or(last, "memory_bytes", 0))));
  return text;
}

int run_watch_verb(std::span<const std::string> words) {
  constexpr VerbOption kOptions[] = {
      {"run", "RUN", "folder of a run: runs/standard-mamba-pocket-seed42; or as the first word"},
      {"once", "", "show it once and stop, as where the output is no terminal"},
      {"interval", "SECONDS", "between two looks [2]"},
      {"help", "", "print this text and stop"}};
  std::vector<std::string> rest(words.begin(), words.end());
  std::string run;
  if (!rest.empty() && !rest.front().starts_with("-")) {
    run = rest.front();
    rest.erase(rest.begin());
  }
  const Words given("farsight watch", kOptions, rest, Words::With::options_alone);
  given.refuse_unknown();
  if (given.has("help")) {
    fmt::print("{}", verb_help("farsight", "watch", kWatchHelp, kOptions));
    return 0;
  }
  if (given.has("run")) run = *given.value("run");
  require(!run.empty(), ExitCode::usage,
          "farsight watch: which run? For example: farsight watch "
          "runs/standard-mamba-pocket-seed42");
  const Setting range{.kind = Kind::real, .least = 0.1, .most = 3600};
  const double interval =
      std::get<double>(parse_value(range, given.value("interval").value_or("2"), "--interval"));
  if (given.has("once") || isatty(STDOUT_FILENO) != 1) {
    fmt::print("{}", watch_text(run, terminal_columns()));
    return 0;
  }
  const CatchInterrupts catching;
  while (!CatchInterrupts::requested()) {
    fmt::print("\033[H\033[2J{}", watch_text(run, terminal_columns()));
    std::fflush(stdout);
    if (fs::exists(fs::path(run) / "result.json")) break;
    std::this_thread::sleep_for(std::chrono::duration<double>(interval));
  }
  return 0;
}

}  // namespace farsight
