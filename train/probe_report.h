// What `farsight probe` writes: the layers' quantities as tables, CSV and JSON.
#pragma once

#include <string>
#include <vector>

#include "core/json.h"
#include "eval/probes/probe_cell.h"
#include "eval/report/document.h"

namespace farsight {

/// One row a layer: selectivity and its rank, what chance looks like, shares, reconstruction error.
Table quantities_table(const std::vector<LayerProbe>& layers);
/// Mamba's steps by the role of a token, gated and plain; without layers that have none.
Table delta_table(const std::vector<LayerProbe>& layers);

/// A table as a terminal shows it; a cell's note follows its text.
std::string plain_text(const Table& table);

/// The same numbers, all of them, one line a layer.
std::string quantities_csv(const std::vector<LayerProbe>& layers);
Json quantities_json(const std::vector<LayerProbe>& layers);

}  // namespace farsight
