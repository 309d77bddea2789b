// What a connection to the meeting of ranks says first (rendezvous.h), and how two ranks differ.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "train/ranks/rendezvous.h"

namespace farsight {

inline constexpr std::int64_t kMeetingProtocol = 1;

/// The first thing that a connection says.
struct Greeting {
  std::string kind;  ///< data or control
  std::string job;
  int rank = 0, world = 1;
  std::string who;
  std::string instance;  ///< of no two processes the same, whatever they are called
  Facts facts{};
};

std::string text_of(const Greeting& greeting);

/// None for what is no greeting: somebody else's connection. Of another `protocol` than ours nothing
/// else is read.
std::optional<Greeting> greeting_of(const std::string& text, std::int64_t* protocol);

/// "train.lr = 0.002 where rank 0 has 0.001", the first few; empty if there are none.
std::string differences(const Facts& theirs, const Facts& ours);

}  // namespace farsight
