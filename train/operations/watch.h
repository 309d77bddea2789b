// `farsight watch RUN`: a run as it trains, on a terminal: how far it is, its loss as a line, the last
// validation, speed, memory, time left. Reads metrics.jsonl, and nothing that the run waits for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace farsight {

inline constexpr std::string_view kWatchHelp =
    "a run as it trains: progress, loss, validation, speed, memory, time left";
int run_watch_verb(std::span<const std::string> words);

/// Blocks of eight heights, one for each of `width` stretches of the values: "▇▅▃▂▁". Values that are
/// not finite are left out.
std::string sparkline(std::span<const double> values, int width);

/// What is to be seen of the run now, in lines. Throws Error(data) where there is no run.
std::string watch_text(const std::filesystem::path& run, int columns);

}  // namespace farsight
