#include "train/repro/repro_figures.h"

namespace farsight {

std::vector<Block> matrix_figure(const ExhibitFigure& exhibit, const Outcomes& outcomes,
                                 const FigureContext& context) {
  static_cast<void>(outcomes);
  static_cast<void>(context);
  return {missing(exhibit.trainings.front(), "attention-like matrices are not drawn yet")};
}

}  // namespace farsight
