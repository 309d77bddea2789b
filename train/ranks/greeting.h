// What the ranks say to each other where they meet (rendezvous.h), and how two of them differ.
//
//   another rank, on each of its connections   a greeting
//   farsight launch                            the same, of a rank that has ended and will not come
//   rank 0, on that of control                 {"welcome": NAME}    known; the others are waited for
//                                              {"other": JOB}       this is the meeting of another job
//                                              {"refused": WHY}     to everybody; the meeting is over
//                                              {"all": WORLD}       all are there
//
// After a welcome a connection that closes is a rank that was lost. Every protocol has "farsight-ranks"
// and "job" in its greeting: a stranger of another version is told from a rank of this job.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "train/ranks/rendezvous.h"

namespace farsight {

inline constexpr std::int64_t kMeetingProtocol = 2;
inline constexpr std::size_t kMostGreetingBytes = std::size_t{1} << 20;
/// From a connection to its greeting, and for a last word.
inline constexpr double kGreetingSeconds = 5;

/// The first thing that a connection says.
struct Greeting {
  std::int64_t protocol = kMeetingProtocol;
  std::string kind{};  ///< data, control, or gone: `who` says how it ended
  std::string job{};
  int rank = 0, world = 1;
  std::string who{};
  std::string instance{};  ///< of no two processes the same, whatever they are called
  Facts facts{};
};

std::string text_of(const Greeting& greeting);

/// None for what is no greeting: somebody else's connection. Of another protocol than ours only its
/// number and the job are read.
std::optional<Greeting> greeting_of(const std::string& text);

/// What another process says, for a terminal: control characters are written as \x1b, and what is
/// longer than a sentence is cut.
std::string printable(std::string_view text);

/// "train.lr = 0.002 where rank 0 has 0.001", the first few; empty if there are none.
std::string differences(const Facts& theirs, const Facts& ours);

}  // namespace farsight
