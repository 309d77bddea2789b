#include "train/quantities.h"

#include <fmt/format.h>

#include <cmath>

namespace farsight {

std::string human_duration(double seconds) {
  constexpr double kTooLong = 1e12;  // it must fit the integers below
  if (!(seconds >= 0) || seconds > kTooLong) return "?";
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  const std::int64_t minutes = whole / 60;
  const std::int64_t hours = minutes / 60;
  if (minutes == 0) return fmt::format("{} s", whole);
  if (hours == 0) return fmt::format("{} min {:02} s", minutes, whole % 60);
  if (hours < 24) return fmt::format("{} h {:02} min", hours, minutes % 60);
  const std::int64_t days = hours / 24;
  if (days >= 1000) return fmt::format("{:.1f} years", static_cast<double>(days) / 365.25);
  return fmt::format("{} d {:02} h", days, hours % 24);
}

std::string human_count(double count) {
  if (!std::isfinite(count)) return "?";
  constexpr const char* kUnits[] = {"", "k", "M", "G", "T", "P"};
  std::size_t unit = 0;
  while (std::abs(count) >= 999.5 && unit + 1 < std::size(kUnits)) {
    count /= 1000;
    unit++;
  }
  if (unit == 0) return fmt::format("{:.0f}", count);
  const int decimals = std::abs(count) < 9.995 ? 2 : std::abs(count) < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", count, decimals, kUnits[unit]);
}

std::string grouped(std::int64_t count) {
  const std::string digits = fmt::format("{}", count);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); i++) {
    const std::size_t behind = digits.size() - i;
    if (behind % 3 == 0 && !text.empty() && text.back() != '-') text += ',';
    text += digits[i];
  }
  return text;
}

}  // namespace farsight
