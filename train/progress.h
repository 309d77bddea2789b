// What a person sees while a model trains.
//
// On a terminal, one line that is drawn over (loss, labels predicted, tokens/s, time left):
//
//   [=========>            ]  812/2000  loss 3.214  labels 45.2 %  1.20M tokens/s  3 min 12 s
//   left
//
// Elsewhere (a file, a pipe, TERM=dumb, --no-progress) plain lines, the first step at once and then
// ever fewer: every 2 s at first, later every 2 % of the time passed, at most one a minute apart.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace farsight {

/// Where progress is written and what it can show.
struct Display {
  std::function<void(std::string_view)> write;
  std::function<double()> clock;  ///< seconds, from any origin, never backwards
  bool bar = false;               ///< the line may be drawn over with \r
  bool colour = false;
  int columns = 80;
};

/// stderr: a bar if it is a terminal and `progress` (the setting log.progress) is true; colour
/// unless NO_COLOR is set and not empty.
Display stderr_display(bool progress);

/// One optimiser step.
struct StepReport {
  std::int64_t step = 0;             ///< steps done, from 1
  double loss = 0;                   ///< mean over the labels of the batch
  std::int64_t tokens = 0;           ///< of this step
  std::optional<double> accuracy{};  ///< labels of a batch predicted, percent
  // Where there is room for them:
  std::optional<double> gradient_norm{}, lr{};
  double flops_per_token = 0;        ///< 0: not known
  double ceiling = 0;                ///< FLOPs a second that the device was measured to do
  std::optional<double> made_for{};  ///< that it is made for
  std::int64_t memory_bytes = 0;     ///< peak; 0: not known
};

class Progress {
 public:
  /// A run from step `first` (0, or where it is resumed) to step `last`.
  Progress(Display display, std::int64_t first, std::int64_t last);
  /// Leaves the cursor on a line of its own.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void step(const StepReport& report);

  /// A line that stays ("validation at step 200: 99.2 %"), above the bar.
  void note(std::string_view line);

  /// Draws the last step and ends the line. Nothing is drawn afterwards.
  void finish();

  /// Recent tokens per second; 0 before the second step. The first step is not counted: it
  /// allocates.
  double tokens_per_second() const { return tokens_per_second_; }
  /// Seconds that the remaining steps will take at the recent rate; empty before the second step.
  std::optional<double> seconds_left() const;

 private:
  void measure(const StepReport& report, double now);
  bool is_due(double now) const;
  void draw(double now);
  void erase();
  std::string numbers() const;
  std::string more_numbers() const;

  Display display_;
  std::int64_t first_, last_;
  StepReport latest_;
  double start_, drawn_at_ = 0, stepped_at_ = 0;
  double seconds_per_step_ = 0, tokens_per_second_ = 0;
  std::int64_t measured_steps_ = 0;
  std::size_t on_screen_ = 0;  // characters of the bar's line
  bool drawn_ = false, finished_ = false;
};

}  // namespace farsight
