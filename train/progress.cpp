#include "train/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "core/arena.h"
#include "train/quantities.h"

namespace farsight {

namespace {

constexpr double kRedrawSeconds = 0.1;  // of the bar: faster than the eye needs costs time
constexpr double kFirstLinesEvery = 2;  // seconds between plain lines
constexpr double kLinesEveryShare = 0.02;
constexpr double kLinesAtMostEvery = 60;
constexpr double kRecentSeconds = 5;  // the window over which rates are averaged
constexpr std::size_t kBarWidth = 22;
constexpr int kWide = 140;  // columns that hold everything

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

int terminal_columns() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

Display stderr_display(bool progress) {
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::string_view(term) == "dumb";
  const bool bar = progress && !dumb && isatty(STDERR_FILENO) == 1;
  return {.write =
              [](std::string_view text) {
                std::fwrite(text.data(), 1, text.size(), stderr);
                std::fflush(stderr);
              },
          .clock =
              [] {
                const auto now = std::chrono::steady_clock::now().time_since_epoch();
                return std::chrono::duration<double>(now).count();
              },
          .bar = bar,
          .colour = bar && !is_set("NO_COLOR"),
          .columns = terminal_columns()};
}

Progress::Progress(Display display, std::int64_t first, std::int64_t last)
    : display_(std::move(display)), first_(first), last_(last), start_(display_.clock()) {
  latest_.step = first;
  stepped_at_ = start_;
}

Progress::~Progress() {
  finish();
}

void Progress::step(const StepReport& report) {
  const double now = display_.clock();
  measure(report, now);
  const std::optional<double> known = latest_.accuracy;
  latest_ = report;
  if (!latest_.accuracy) latest_.accuracy = known;
  if (is_due(now)) draw(now);
}

void Progress::measure(const StepReport& report, double now) {
  const double seconds = now - stepped_at_;
  const bool first_step = report.step <= first_ + 1;
  stepped_at_ = now;
  if (first_step || seconds <= 0) return;
  // An average that forgets with time, not with steps: short and long steps weigh as they last.
  const double weight = measured_steps_ == 0 ? 1 : seconds / (seconds + kRecentSeconds);
  const double rate = static_cast<double>(report.tokens) / seconds;
  seconds_per_step_ += weight * (seconds - seconds_per_step_);
  tokens_per_second_ += weight * (rate - tokens_per_second_);
  measured_steps_++;
}

std::optional<double> Progress::seconds_left() const {
  if (measured_steps_ == 0) return std::nullopt;
  return static_cast<double>(last_ - latest_.step) * seconds_per_step_;
}

bool Progress::is_due(double now) const {
  if (finished_) return false;
  if (!drawn_ || latest_.step >= last_) return true;
  if (display_.bar) return now - drawn_at_ >= kRedrawSeconds;
  const double passed = now - start_;
  return now - drawn_at_ >=
         std::clamp(kLinesEveryShare * passed, kFirstLinesEvery, kLinesAtMostEvery);
}

std::string Progress::numbers() const {
  std::string text = fmt::format("{}/{}  loss {:.4g}", latest_.step, last_, latest_.loss);
  if (latest_.accuracy) text += fmt::format("  labels {:.1f} %", *latest_.accuracy);
  if (const auto left = seconds_left()) {
    text += fmt::format("  {} tokens/s  {} left", human_count(tokens_per_second_),
                        human_duration(*left));
  }
  return display_.bar && display_.columns < kWide ? text : text + more_numbers();
}

std::string Progress::more_numbers() const {
  std::string text;
  if (latest_.gradient_norm) text += fmt::format("  gradient {:.3g}", *latest_.gradient_norm);
  if (latest_.lr) text += fmt::format("  lr {:.3g}", *latest_.lr);
  const double flops = tokens_per_second_ * latest_.flops_per_token;
  if (flops > 0 && latest_.made_for) {
    text += fmt::format("  MFU {:.1f} %", 100 * flops / *latest_.made_for);
  }
  if (flops > 0 && latest_.ceiling > 0) {
    text += fmt::format("  {:.0f} % of the ceiling", 100 * flops / latest_.ceiling);
  }
  if (latest_.memory_bytes > 0) text += "  " + human_bytes(latest_.memory_bytes);
  return text;
}

void Progress::draw(double now) {
  drawn_ = true;
  drawn_at_ = now;
  if (!display_.bar) {
    display_.write("step " + numbers() + '\n');
    return;
  }
  const double done =
      last_ > 0 ? static_cast<double>(latest_.step) / static_cast<double>(last_) : 1;
  const auto full = static_cast<std::size_t>(std::clamp(done, 0.0, 1.0) * kBarWidth);
  std::string bar(full, '=');
  if (full < kBarWidth) bar += '>';
  bar.resize(kBarWidth, ' ');
  std::string line = fmt::format("[{}]  {}", bar, numbers());
  // One column stays free: a full line would wrap, and \r only goes back to its last row.
  const auto room = static_cast<std::size_t>(std::max(display_.columns - 1, 1));
  if (line.size() > room) line.resize(room);
  const std::size_t shown = line.size();
  if (line.size() < on_screen_) line.resize(on_screen_, ' ');  // what the longer line left behind
  if (display_.colour && shown > full + 1) {
    line.insert(full + 1, "\033[0m");
    line.insert(1, "\033[32m");
  }
  display_.write('\r' + line);
  on_screen_ = shown;
}

void Progress::erase() {
  if (on_screen_ == 0) return;
  display_.write('\r' + std::string(on_screen_, ' ') + '\r');
  on_screen_ = 0;
}

void Progress::note(std::string_view line) {
  erase();
  display_.write(std::string(line) + '\n');
  if (display_.bar && drawn_ && !finished_) draw(display_.clock());
}

void Progress::finish() {
  if (finished_) return;
  if (display_.bar && drawn_) {
    draw(display_.clock());
    display_.write("\n");
    on_screen_ = 0;
  }
  finished_ = true;
}

}  // namespace farsight
