// The paper's tables and figures that can be made again, as data: what is trained and tested for
// each, numbered as in arXiv 2410.15678.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/repro/trial.h"

namespace farsight {

/// The seven models of Table 3, in its order, by their names here and in the paper.
struct PaperModel {
  std::string_view name, title;
};
std::span<const PaperModel> paper_models();

struct ExhibitTable {
  struct Row {
    std::string heading;
    std::vector<Trial> trials{};  ///< one a column
  };
  std::string name;  ///< "1"
  std::string title;
  std::string corner;                  ///< heading of the column of headings
  std::vector<std::string> columns{};  ///< headings of the others
  std::vector<Row> rows{};
};
const std::vector<ExhibitTable>& exhibit_tables();
/// Table 4: language models.
inline constexpr std::string_view kTextTable = "4";

struct ExhibitFigure {
  std::string name;  ///< "6a"
  std::string title;
  std::vector<Training> trainings{};
  std::vector<Trial> trials{};  ///< tests beyond those of the trainings' own tables
};
const std::vector<ExhibitFigure>& exhibit_figures();

/// Which of them somebody wants; both empty: none.
struct Wanted {
  std::vector<std::string> tables, figures;
};
/// Everything but Table 4, which needs text: it is made where it is asked for by its name.
Wanted all_exhibits();
/// Reads "1,3" or "all" for `--table` and `--figure`; figures may be called 6 for 6a and 6b.
/// Throws Error(usage) with what there is.
std::vector<std::string> table_names(std::string_view list);
std::vector<std::string> figure_names(std::string_view list);

/// Every trial of the wanted exhibits, each once, in their order.
std::vector<Trial> trials_of(const Wanted& wanted);
/// Every training of them, each once: those of the trials and those whose insides are looked at.
std::vector<Training> trainings_of(const Wanted& wanted);

}  // namespace farsight
