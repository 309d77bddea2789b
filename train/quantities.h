// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace farsight {

/// "0.4 s", "12 s", "3 min 12 s", "1 h 05 min", "2 d 03 h". Not finite or negative: "?".
std::string human_duration(double seconds);

/// Three digits and a unit: "950", "12.3k", "1.20M", "4.19G". Not finite: "?".
std::string human_count(double count);

/// With thousands separated: "129,135,360".
std::string grouped(std::int64_t count);

}  // namespace farsight
