// What a person sees while text becomes tokens: on a terminal one line that is drawn over,
//
//   tokenising  45 %  120 MB of text  26.4M tokens  48.2 MB/s  1 min 12 s left
//
// elsewhere such a line when a stage begins, then ever fewer (train/progress.h), and one when it ends.
#pragma once

#include <string>

#include "data/corpus/prepare_corpus.h"
#include "train/progress.h"

namespace farsight {

class CorpusProgressLine {
 public:
  explicit CorpusProgressLine(Display display);
  CorpusProgressLine(const CorpusProgressLine&) = delete;
  CorpusProgressLine& operator=(const CorpusProgressLine&) = delete;
  /// Ends the line.
  ~CorpusProgressLine();

  void show(const CorpusProgress& progress);

 private:
  std::string text_of(const CorpusProgress& progress, double now) const;
  void draw(const std::string& line);
  void end_stage();

  Display display_;
  std::string stage_;
  double began_ = 0, drawn_at_ = 0;
  CorpusProgress first_;  ///< of the stage: rates are of what came since
  CorpusProgress latest_;
  bool latest_drawn_ = true;
  std::size_t on_screen_ = 0;
};

}  // namespace farsight
