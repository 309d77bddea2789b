#include "train/repro/view.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "core/check.h"
#include "core/json.h"
#include "train/quantities.h"

namespace farsight {
namespace {

constexpr double kRedrawSeconds = 0.5;
constexpr std::streamoff kTail = 32 << 10;  // holds a validation's line and what came after it

/// The last bytes of a file, from the beginning of a line on.
std::string tail_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return "";
  const std::streamoff size = file.tellg();
  const std::streamoff from = std::max<std::streamoff>(0, size - kTail);
  std::string text(static_cast<std::size_t>(size - from), '\0');
  file.seekg(from);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, file.gcount())));
  return from == 0 ? text : text.substr(std::min(text.find('\n'), text.size() - 1) + 1);
}

std::string cut(std::string line, int columns) {
  const auto most = static_cast<std::size_t>(std::max(20, columns - 1));
  if (line.size() > most) line.resize(most);
  return line;
}

}  // namespace

std::optional<RunProgress> progress_of_run(const std::filesystem::path& folder) {
  std::optional<RunProgress> progress;
  std::optional<double> validation;
  const std::string text = tail_of(folder / "metrics.jsonl");
  for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    try {
      const Json line = Json::parse(text.substr(begin, end - begin), "metrics.jsonl");
      if (const Json* found = line.find("valid_accuracy")) validation = found->as_double();
      progress = RunProgress{.step = line.at("step").as_int(),
                             .loss = line.at("loss").as_double(),
                             .tokens_per_second = line.at("tokens_per_second").as_double()};
    } catch (const Error&) {
      continue;  // it is being written
    }
  }
  if (progress) progress->validation = validation;
  return progress;
}

ReproView::ReproView(Display display, std::vector<ViewedRun> runs, const std::vector<Job>& jobs,
                     std::size_t slots)
    : display_(std::move(display)), runs_(std::move(runs)), jobs_(jobs), slots_(slots) {}

void ReproView::changed(std::size_t job, const JobStatus& status) {
  const std::string& name = runs_[job].name;
  const bool ends = status.state == JobState::done || status.state == JobState::failed;
  if (ends) ended_++;
  const std::string place = fmt::format("[{}/{}]", ended_, jobs_.size());
  switch (status.state) {
    case JobState::running:
      if (!display_.bar) {
        note(fmt::format("{} {} {}", place, status.attempts > 1 ? "again" : "begun", name));
      }
      break;
    case JobState::done:
      note(status.skipped
               ? fmt::format("{} there already: {}", place, name)
               : fmt::format("{} done {} in {}", place, name, human_duration(status.took)));
      break;
    case JobState::failed:
      note(fmt::format("{} FAILED {}: {}", place, name, status.reason));
      break;
    case JobState::waiting:
      note(fmt::format("{} {} failed and will be tried once more: {}", place, name, status.reason));
      break;
    case JobState::stopped:
      if (status.attempts > 0) note(fmt::format("{} stopped {}", place, name));
      break;
  }
}

double ReproView::share_done(std::size_t job, const JobStatus& status) const {
  if (status.state == JobState::done || status.state == JobState::failed) return 1;
  if (status.state != JobState::running) return 0;
  const auto progress = progress_of_run(runs_[job].folder);
  if (!progress || runs_[job].steps == 0) return 0;
  return std::min(1.0, static_cast<double>(progress->step) / static_cast<double>(runs_[job].steps));
}

std::string ReproView::overall(const std::vector<JobStatus>& statuses) const {
  std::size_t running = 0, done = 0, failed = 0;
  double left = 0, expected = 0, taken = 0;
  for (std::size_t job = 0; job < statuses.size(); job++) {
    const JobStatus& status = statuses[job];
    running += status.state == JobState::running ? 1 : 0;
    done += status.state == JobState::done ? 1 : 0;
    failed += status.state == JobState::failed ? 1 : 0;
    left += jobs_[job].seconds * (1 - share_done(job, status));
    if (status.state == JobState::done && !status.skipped) {
      expected += jobs_[job].seconds;
      taken += status.took;
    }
  }
  const double slower = expected > 0 ? taken / expected : 1;  // than the plan thought
  return fmt::format("{} of {} done, {} running{}; about {} left", done, jobs_.size(), running,
                     failed > 0 ? fmt::format(", {} failed", failed) : "",
                     human_duration(left * slower / static_cast<double>(slots_)));
}

std::string ReproView::running(std::size_t job, const JobStatus& status) const {
  const auto progress = progress_of_run(runs_[job].folder);
  const std::string again = status.attempts > 1 ? " (second attempt)" : "";
  if (!progress) return fmt::format("  {}{}  begins", runs_[job].name, again);
  return fmt::format(
      "  {}{}  step {} of {}  loss {:.3g}{}  {} tokens/s", runs_[job].name, again, progress->step,
      runs_[job].steps, progress->loss,
      progress->validation ? fmt::format("  validation {:.1f} %", *progress->validation) : "",
      human_count(progress->tokens_per_second));
}

void ReproView::tick(const std::vector<JobStatus>& statuses) {
  const double now = display_.clock();
  if (!display_.bar || now - drawn_at_ < kRedrawSeconds) return;
  drawn_at_ = now;
  std::string text = cut(overall(statuses), display_.columns) + '\n';
  std::size_t lines = 1;
  for (std::size_t job = 0; job < statuses.size() && lines < 40; job++) {
    if (statuses[job].state != JobState::running) continue;
    text += cut(running(job, statuses[job]), display_.columns) + '\n';
    lines++;
  }
  erase();
  display_.write(text);
  lines_on_screen_ = lines;
}

void ReproView::erase() {
  if (lines_on_screen_ == 0) return;
  display_.write(fmt::format("\x1b[{}A\x1b[J", lines_on_screen_));  // up, and clear to the end
  lines_on_screen_ = 0;
}

void ReproView::note(std::string_view line) {
  erase();
  display_.write(fmt::format("{}\n", line));
}

void ReproView::finish() {
  erase();
}

}  // namespace farsight
