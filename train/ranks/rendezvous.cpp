#include "train/ranks/rendezvous.h"

#include <fmt/format.h>

#include "core/check.h"
#include "train/ranks/meeting_guest.h"
#include "train/ranks/meeting_host.h"

namespace farsight {

std::string text_of(const MeetingPlace& meeting) {
  return meeting.file.empty() ? fmt::format("{}:{}", meeting.host, meeting.port)
                              : "file " + meeting.file;
}

Meeting meet(const LaunchPlace& place, const Facts& facts, double seconds) {
  check(place.world > 1 && place.rank >= 0 && place.rank < place.world,
        "meet: rank must be below world > 1, got rank {} of {}", place.rank, place.world);
  return place.rank == 0 ? host_meeting(place, facts, seconds)
                         : join_meeting(place, facts, seconds);
}

}  // namespace farsight
