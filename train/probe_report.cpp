#include "train/probe_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace farsight {
namespace {

/// Every number of a layer under its name in CSV and JSON, but its number.
std::vector<std::pair<std::string, double>> numbers_of(const LayerProbe& probe) {
  const LayerQuantities& q = probe.quantities;
  std::vector<std::pair<std::string, double>> numbers = {
      {"selectivity", q.selectivity}, {"uniform", q.uniform}, {"pair_share", q.pair_share}};
  for (std::size_t i = 0; i < q.position_bias.size(); i++) {
    numbers.emplace_back(fmt::format("position_bias_{}", i + 1), q.position_bias[i]);
  }
  numbers.emplace_back("diagonal_share", q.diagonal_share);
  numbers.emplace_back("reconstruction_error", probe.error);
  for (std::size_t role = 0; probe.delta && role < kRoles.size(); role++) {
    numbers.emplace_back(fmt::format("delta_{}", role_name(kRoles[role])), probe.delta->mean[role]);
    numbers.emplace_back(fmt::format("delta_{}_plain", role_name(kRoles[role])),
                         probe.delta->plain[role]);
  }
  return numbers;
}

std::vector<std::size_t> ranks_of(const std::vector<LayerProbe>& layers) {
  std::vector<LayerQuantities> quantities;
  for (const LayerProbe& probe : layers) {
    quantities.push_back(probe.quantities);
  }
  std::vector<std::size_t> ranks(layers.size());
  const std::vector<std::size_t> order = ranking(quantities);
  for (std::size_t i = 0; i < order.size(); i++) {
    ranks[order[i]] = i + 1;
  }
  return ranks;
}

std::string percent(double share) {
  return fmt::format("{:.2f}", 100 * share);
}

}  // namespace

Table quantities_table(const std::vector<LayerProbe>& layers) {
  Table table{.caption = "Shares of a layer's mass, percent",
              .columns = {{"layer", Align::number},
                          {"rank", Align::number},
                          {"selectivity", Align::number},
                          {"uniform", Align::number},
                          {"pair share", Align::number},
                          {"1st quarter", Align::number},
                          {"2nd", Align::number},
                          {"3rd", Align::number},
                          {"4th", Align::number},
                          {"diagonal", Align::number},
                          {"error of W x", Align::number}}};
  const std::vector<std::size_t> ranks = ranks_of(layers);
  for (std::size_t i = 0; i < layers.size(); i++) {
    const LayerQuantities& q = layers[i].quantities;
    std::vector<TableCell> row = {{fmt::format("{}", layers[i].layer)},
                                  {fmt::format("{}", ranks[i])},
                                  {percent(q.selectivity)},
                                  {percent(q.uniform)},
                                  {percent(q.pair_share)}};
    for (const double share : q.position_bias) {
      row.push_back({percent(share)});
    }
    row.push_back({percent(q.diagonal_share)});
    row.push_back({fmt::format("{:.1e}", layers[i].error)});
    table.rows.push_back(row);
  }
  return table;
}

Table delta_table(const std::vector<LayerProbe>& layers) {
  Table table{.caption = "Mean step by what a token is (plain: without the gate's factor)",
              .columns = {{"layer", Align::number}}};
  for (const TokenRole role : kRoles) {
    table.columns.push_back({std::string(role_name(role)), Align::number});
  }
  for (const LayerProbe& probe : layers) {
    if (!probe.delta) continue;
    std::vector<TableCell> row = {{fmt::format("{}", probe.layer)}};
    for (std::size_t role = 0; role < kRoles.size(); role++) {
      const double mean = probe.delta->mean[role], plain = probe.delta->plain[role];
      TableCell& cell = row.emplace_back();
      if (!std::isnan(mean)) cell.text = fmt::format("{:.4f}", mean);
      if (!std::isnan(mean) && mean != plain) cell.note = fmt::format("plain {:.4f}", plain);
    }
    table.rows.push_back(row);
  }
  return table;
}

std::string plain_text(const Table& table) {
  std::vector<std::vector<std::string>> rows(1);
  for (const Column& column : table.columns) {
    rows.front().push_back(column.heading);
  }
  for (const std::vector<TableCell>& cells : table.rows) {
    std::vector<std::string>& row = rows.emplace_back();
    for (const TableCell& cell : cells) {
      row.push_back(cell.note.empty() ? cell.text : fmt::format("{} ({})", cell.text, cell.note));
    }
  }
  std::string text = table.caption + "\n";
  for (const std::vector<std::string>& row : rows) {
    for (std::size_t i = 0; i < row.size(); i++) {
      std::size_t width = 0;
      for (const std::vector<std::string>& other : rows) {
        width = std::max(width, other[i].size());
      }
      text += fmt::format("{}{:>{}}", i == 0 ? "" : "  ", row[i], width);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += "\n";
  }
  return text;
}

std::string quantities_csv(const std::vector<LayerProbe>& layers) {
  std::string text = "layer,rank";
  for (const auto& [name, value] : layers.empty() ? numbers_of({}) : numbers_of(layers.front())) {
    text += "," + name;
  }
  text += "\n";
  const std::vector<std::size_t> ranks = ranks_of(layers);
  for (std::size_t i = 0; i < layers.size(); i++) {
    text += fmt::format("{},{}", layers[i].layer, ranks[i]);
    for (const auto& [name, value] : numbers_of(layers[i])) {
      text += std::isnan(value) ? "," : fmt::format(",{:.9g}", value);
    }
    text += "\n";
  }
  return text;
}

Json quantities_json(const std::vector<LayerProbe>& layers) {
  const std::vector<std::size_t> ranks = ranks_of(layers);
  Json all = Json::array();
  for (std::size_t i = 0; i < layers.size(); i++) {
    Json one = Json::object({{"layer", layers[i].layer}, {"rank", ranks[i]}});
    for (const auto& [name, value] : numbers_of(layers[i])) {
      one[name] = std::isnan(value) ? Json() : Json(value);
    }
    all.push_back(one);
  }
  return all;
}

}  // namespace farsight
