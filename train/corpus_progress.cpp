#include "train/corpus_progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "train/quantities.h"

namespace farsight {
namespace {

constexpr double kRedrawSeconds = 0.1;
constexpr double kFirstLinesEvery = 2;
constexpr double kLinesEveryShare = 0.02;
constexpr double kLinesAtMostEvery = 60;
constexpr double kRateAfter = 0.2;  // seconds: before, a rate would only be noise

double megabytes(double bytes) {
  return bytes / 1e6;
}

}  // namespace

CorpusProgressLine::CorpusProgressLine(Display display) : display_(std::move(display)) {}

CorpusProgressLine::~CorpusProgressLine() {
  end_stage();
  if (on_screen_ > 0) display_.write("\n");
}

void CorpusProgressLine::end_stage() {
  if (!latest_drawn_) draw(text_of(latest_, display_.clock()));
  latest_drawn_ = true;
}

std::string CorpusProgressLine::text_of(const CorpusProgress& progress, double now) const {
  if (progress.stage == "waiting") return "another process tokenises this corpus: waiting for it";
  if (progress.stage == "found") return "tokenised before: " + progress.folder.string();
  const auto total = static_cast<double>(progress.total_input_bytes);
  const auto read = static_cast<double>(progress.input_bytes);
  std::string text =
      fmt::format("{:<10}  {:.0f} %", progress.stage, total > 0 ? 100 * read / total : 100.0);
  if (progress.tokens > 0) {
    if (progress.text_bytes > 0) {  // ids that were imported have none
      text +=
          fmt::format("  {:.1f} MB of text", megabytes(static_cast<double>(progress.text_bytes)));
    }
    text += fmt::format("  {} tokens", human_count(static_cast<double>(progress.tokens)));
  }
  const double seconds = now - began_;
  const double since = read - static_cast<double>(first_.input_bytes);
  if (seconds < kRateAfter || since <= 0) return text;
  const bool of_text = progress.text_bytes > first_.text_bytes;
  const double bytes =
      of_text ? static_cast<double>(progress.text_bytes - first_.text_bytes) : since;
  return text + fmt::format("  {:.1f} MB/s  {} left", megabytes(bytes / seconds),
                            human_duration((total - read) / since * seconds));
}

void CorpusProgressLine::draw(const std::string& line) {
  if (!display_.bar) return display_.write(line + '\n');
  std::string drawn = line.substr(0, static_cast<std::size_t>(std::max(display_.columns - 1, 1)));
  const std::size_t shown = drawn.size();
  drawn.resize(std::max(shown, on_screen_), ' ');  // over what the longer line left behind
  display_.write('\r' + drawn);
  on_screen_ = shown;
}

void CorpusProgressLine::show(const CorpusProgress& progress) {
  const double now = display_.clock();
  const bool begins = progress.stage != stage_;
  if (begins) {
    end_stage();
    stage_ = progress.stage;
    began_ = now;
    first_ = progress;
  }
  latest_ = progress;
  latest_drawn_ = false;
  const double passed = now - began_;
  const double every =
      display_.bar ? kRedrawSeconds
                   : std::clamp(kLinesEveryShare * passed, kFirstLinesEvery, kLinesAtMostEvery);
  if (!begins && now - drawn_at_ < every) return;
  drawn_at_ = now;
  latest_drawn_ = true;
  draw(text_of(progress, now));
}

}  // namespace farsight
