#include "train/ranks/greeting.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/check.h"
#include "core/json.h"

namespace farsight {
namespace {

constexpr std::size_t kShown = 3;  // differences in one sentence

const std::string* value_of(const Facts& facts, const std::string& name) {
  const auto at = std::find_if(facts.begin(), facts.end(),
                               [&](const auto& fact) { return fact.first == name; });
  return at == facts.end() ? nullptr : &at->second;
}

}  // namespace

std::string text_of(const Greeting& greeting) {
  Json facts = Json::object();
  for (const auto& [name, value] : greeting.facts)
    facts[name] = value;
  return Json::object({{"farsight-ranks", kMeetingProtocol},
                       {"kind", greeting.kind},
                       {"job", greeting.job},
                       {"rank", greeting.rank},
                       {"world", greeting.world},
                       {"who", greeting.who},
                       {"instance", greeting.instance},
                       {"facts", facts}})
      .dump();
}

std::optional<Greeting> greeting_of(const std::string& text) {
  try {
    constexpr std::int64_t kMost = 1 << 16;
    const Json json = Json::parse(text, "a rank's greeting", {.depth = 4, .values = 4096});
    Greeting greeting{.protocol = json.at("farsight-ranks").as_int(0, 1 << 30),
                      .job = json.at("job").as_string()};
    if (greeting.protocol != kMeetingProtocol) return greeting;
    greeting.kind = json.at("kind").as_string();
    greeting.rank = static_cast<int>(json.at("rank").as_int(0, kMost));
    greeting.world = static_cast<int>(json.at("world").as_int(1, kMost));
    greeting.who = printable(json.at("who").as_string());
    greeting.instance = json.at("instance").as_string();
    for (const Json::Member& fact : json.at("facts").members()) {
      greeting.facts.emplace_back(fact.key, fact.value.as_string());
    }
    return greeting;
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::string printable(std::string_view text) {
  constexpr std::size_t kMost = 4096;
  std::string shown;
  for (const char c : text.substr(0, kMost)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 32 || byte == 127) {
      shown += fmt::format("\\x{:02x}", byte);
    } else {
      shown += c;
    }
  }
  return text.size() > kMost ? shown + " ..." : shown;
}

std::string differences(const Facts& theirs, const Facts& ours) {
  std::vector<std::string> found;
  const auto shown = [](const std::string* value) {
    return value == nullptr ? std::string("none") : value->empty() ? "nothing" : printable(*value);
  };
  for (const auto& [name, value] : ours) {
    const std::string* other = value_of(theirs, name);
    if (other != nullptr && *other == value) continue;
    found.push_back(fmt::format("{} = {} where rank 0 has {}", name, shown(other), shown(&value)));
  }
  for (const auto& [name, value] : theirs) {
    if (value_of(ours, name) != nullptr) continue;
    found.push_back(fmt::format("{} = {} where rank 0 has none", printable(name), shown(&value)));
  }
  if (found.size() > kShown) {
    const std::size_t more = found.size() - kShown;
    found.resize(kShown);
    found.push_back(fmt::format("{} more", more));
  }
  return fmt::format("{}", fmt::join(found, "; "));
}

}  // namespace farsight
