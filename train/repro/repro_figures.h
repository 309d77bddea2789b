// The figures of a reproduction, as far as their runs are there.
#pragma once

#include <filesystem>
#include <vector>

#include "core/dtype.h"
#include "eval/report/document.h"
#include "train/repro/exhibits.h"
#include "train/repro/outcomes.h"

namespace farsight {

/// Where figures are written, and what computes what they need of trained models.
struct FigureContext {
  std::filesystem::path out;  ///< of the reproduction; figures go to out/figures
  Device device = Device::cpu;

  std::filesystem::path folder() const { return out / "figures"; }
};

/// One of the paper's figures: drawings and what they show; for what is missing, why.
std::vector<Block> figure_blocks(const ExhibitFigure& exhibit, const Outcomes& outcomes,
                                 const FigureContext& context);

/// Validation accuracy by step, a drawing for each training task.
std::vector<Block> learning_curves(const Outcomes& outcomes, const FigureContext& context);

/// Figures 4, 8, 9 and 10: attention-like matrices of the model trained on standard.
std::vector<Block> matrix_blocks(const ExhibitFigure& exhibit, const Outcomes& outcomes,
                                 const FigureContext& context);

/// "missing: mamba trained on k2v2: not finished: 1200 steps done"
Paragraph missing(const Training& training, const std::string& why);

}  // namespace farsight
