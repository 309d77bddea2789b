#include "train/ranks/meeting_host.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "core/check.h"
#include "core/clock.h"
#include "core/files.h"
#include "core/json.h"
#include "train/ranks/greeting.h"

namespace farsight {
namespace {

constexpr double kMomentSeconds = 1;   // from the first byte of a greeting to its last
constexpr double kLingerSeconds = 2;   // after a refusal
constexpr double kReturnSeconds = 1;   // for a rank whose connection closed to come again
constexpr double kPauseSeconds = 0.1;  // when no connection can be accepted

std::string word_of_refusal(const std::string& sentence) {
  return Json::object({{"refused", sentence}}).dump();
}

class Host {
 public:
  Host(const LaunchPlace& place, const Facts& facts)
      : place_(place), facts_(facts), guests_(static_cast<std::size_t>(place.world - 1)) {
    for (std::size_t i = 0; i < guests_.size(); i++)
      guests_[i].link.rank = static_cast<int>(i + 1);
    int error = 0;
    const MeetingPlace& meeting = place.meeting;
    listening_ = listen_at(meeting.port, place.one_host(), error);
    require(static_cast<bool>(listening_), ExitCode::peer,
            "rank 0 cannot listen at port {}: {}; set MASTER_PORT to a port that is free",
            meeting.port,
            error == EADDRINUSE ? "another program, or another process with RANK=0, has it"
                                : std::strerror(error));
    if (!meeting.file.empty()) publish();
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host() {
    if (!place_.meeting.file.empty()) ::unlink(place_.meeting.file.c_str());
  }

  Meeting run(double seconds) {
    const double until = seconds_now() + seconds;
    while (!missing().empty()) {
      Socket socket = next_speaking(until);
      if (!socket) refuse_lost();
      if (!socket && seconds_now() >= until) refuse(missing_text(seconds), 0);
      std::string text;
      if (!heard(socket, text, until)) continue;
      std::optional<Greeting> greeting = greeting_of(text);
      if (greeting) admit(std::move(socket), std::move(*greeting));
    }
    Meeting meeting{.rank = 0, .world = place_.world, .links = {}};
    const std::string word = Json::object({{"all", place_.world}}).dump();
    for (Guest& guest : guests_) {
      send_message(guest.link.control, word, until);
      meeting.links.push_back(std::move(guest.link));
    }
    return meeting;
  }

 private:
  struct Guest {
    RankLink link{};
    std::string instance{};
    double gone_since = 0;  ///< seconds_now(), when its connection had closed; 0: it has not
  };

  void publish() const {
    char host[256] = "127.0.0.1";
    if (!place_.one_host()) gethostname(host, sizeof host - 1);
    const Json json =
        Json::object({{"host", host}, {"port", port_of(listening_)}, {"job", place_.job}});
    write_file_atomically(place_.meeting.file, json.dump() + "\n");
  }

  /// The next connection that has begun to speak; empty if none has before `until`, or when a rank
  /// that was there is gone. One that says nothing keeps nobody waiting, and is closed after a while.
  Socket next_speaking(double until) {
    while (seconds_now() < until) {
      std::vector<pollfd> entries;
      const bool pauses = seconds_now() < paused_until_;
      entries.push_back({.fd = pauses ? -1 : listening_.fd(), .events = POLLIN, .revents = 0});
      for (const auto& [socket, since] : silent_)
        entries.push_back({.fd = socket.fd(), .events = POLLIN, .revents = 0});
      for (const Guest& guest : guests_)
        entries.push_back({.fd = guest.link.control.fd(), .events = POLLIN, .revents = 0});
      constexpr int kLookMs = 20;
      ::poll(entries.data(), entries.size(), kLookMs);
      for (std::size_t i = 0; i < silent_.size(); i++) {
        if (entries[i + 1].revents == 0) continue;
        Socket speaking = std::move(silent_[i].first);
        silent_.erase(silent_.begin() + static_cast<std::ptrdiff_t>(i));
        return speaking;
      }
      for (std::size_t i = 0; i < guests_.size(); i++) {
        // Nobody who was welcomed has anything to say before all are there: this is the end.
        if (entries[1 + silent_.size() + i].revents != 0) miss(guests_[i]);
      }
      if (lost_guest() != nullptr) return {};
      const double longest = seconds_now() - kGreetingSeconds;
      const bool comes = entries.front().revents != 0;
      std::erase_if(silent_, [&](const auto& each) { return each.second < longest; });
      if (comes) accept_one();
    }
    return {};
  }

  void accept_one() {
    int error = 0;
    Socket fresh = accept_waiting(listening_, error);
    if (fresh) silent_.emplace_back(std::move(fresh), seconds_now());
    if (error == 0) return;
    // Descriptors may come back; poll() would say at once, and for ever, that somebody waits.
    accept_error_ = error;
    paused_until_ = seconds_now() + kPauseSeconds;
  }

  /// A rank may come again, when it could not bring its second connection.
  static void miss(Guest& guest) {
    guest.link.control.close();
    guest.link.data.close();
    guest.gone_since = seconds_now();
  }

  const Guest* lost_guest() const {
    const auto lost = std::find_if(guests_.begin(), guests_.end(), [](const Guest& guest) {
      return guest.gone_since != 0 && seconds_now() - guest.gone_since > kReturnSeconds;
    });
    return lost == guests_.end() ? nullptr : &*lost;
  }

  void refuse_lost() {
    const Guest* lost = lost_guest();
    if (lost == nullptr) return;
    refuse(fmt::format("rank {} of {} ({}) was lost while the ranks met: its connection closed",
                       lost->link.rank, place_.world, lost->link.who));
  }

  /// A greeting arrives at one go.
  static bool heard(const Socket& socket, std::string& text, double until) {
    const double patience = std::min(until, seconds_now() + kMomentSeconds);
    return receive_message(socket, text, kMostGreetingBytes, patience) == Transfer::done;
  }

  void admit(Socket socket, Greeting greeting) {
    const double until = seconds_now() + kGreetingSeconds;
    if (greeting.job != place_.job) {
      send_message(socket, Json::object({{"other", place_.job}}).dump(), until);
      strangers_++;
      return;
    }
    const auto refuse_both = [&](const std::string& sentence) {
      send_message(socket, word_of_refusal(sentence), until);
      refuse(sentence);
    };
    if (greeting.protocol != kMeetingProtocol) {
      refuse_both(
          fmt::format("a rank speaks protocol {} of meeting, rank 0 protocol {}: all ranks must be "
                      "the same build",
                      greeting.protocol, kMeetingProtocol));
    }
    if (greeting.kind == "gone") {
      refuse(
          fmt::format("rank {} of {} will not come: {}", greeting.rank, place_.world, greeting.who),
          1, kGreetingSeconds);  // the others have just been started, too
    }
    if (greeting.world != place_.world) {
      refuse_both(fmt::format("rank {} ({}) was started as one of {} ranks, rank 0 as one of {}",
                              greeting.rank, greeting.who, greeting.world, place_.world));
    }
    const bool known = greeting.rank >= 1 && greeting.rank < place_.world;
    Guest* guest = known ? &guests_[static_cast<std::size_t>(greeting.rank - 1)] : nullptr;
    const bool control = greeting.kind == "control";
    const bool another = guest == nullptr || (guest->gone_since == 0 && !guest->instance.empty() &&
                                              guest->instance != greeting.instance);
    if (another || (!control && greeting.kind != "data")) {
      refuse_both(fmt::format("two processes are rank {}: {} and {}", greeting.rank,
                              guest == nullptr ? process_name() : guest->link.who, greeting.who));
    }
    if (control) {
      const std::string different = differences(greeting.facts, facts_);
      if (!different.empty()) {
        refuse_both(fmt::format("rank {} ({}) differs from rank 0: {}", greeting.rank, greeting.who,
                                different));
      }
      send_message(socket, Json::object({{"welcome", process_name()}}).dump(), until);
      guest->gone_since = 0;
    }
    guest->link.who = greeting.who;
    guest->instance = greeting.instance;
    (control ? guest->link.control : guest->link.data) = std::move(socket);
  }

  std::vector<int> missing() const {
    std::vector<int> ranks;
    for (const Guest& guest : guests_) {
      if (!guest.link.data || !guest.link.control) ranks.push_back(guest.link.rank);
    }
    return ranks;
  }

  std::string missing_text(double seconds) const {
    const std::vector<int> ranks = missing();
    std::string text = fmt::format("{} {} of {} did not come to {} within {} s{}",
                                   ranks.size() == 1 ? "rank" : "ranks", fmt::join(ranks, ", "),
                                   place_.world, text_of(place_.meeting), seconds,
                                   strangers_ == 0 ? "" : "; processes of another job did");
    if (accept_error_ != 0) {
      text += fmt::format("; rank 0 could not accept all that came: {} (ulimit -n)",
                          std::strerror(accept_error_));
    }
    return text;
  }

  /// Tells all who are there (`told` know it already) and, for a moment, those who come late.
  [[noreturn]] void refuse(const std::string& sentence, std::size_t told = 1,
                           double linger = kLingerSeconds) {
    const std::string word = word_of_refusal(sentence);
    for (Guest& guest : guests_) {
      guest.gone_since = 0;  // who hears the last word goes
      const RankLink& link = dismissed_.emplace_back(std::move(guest.link));
      if (link.control && send_message(link.control, word, seconds_now() + 1) == Transfer::done) {
        told++;
      }
    }
    const double until = seconds_now() + linger;
    while (told < guests_.size() && seconds_now() < until) {
      const Socket socket = next_speaking(until);
      std::string text;
      if (!heard(socket, text, until)) continue;
      const std::optional<Greeting> greeting = greeting_of(text);
      if (!greeting || greeting->job != place_.job || greeting->kind != "control") continue;
      send_message(socket, word, until);
      told++;
    }
    fail(ExitCode::peer, "{}", sentence);
  }

  const LaunchPlace& place_;
  const Facts& facts_;
  Socket listening_;
  std::vector<std::pair<Socket, double>> silent_;  // and when it connected
  std::vector<Guest> guests_;                      // ranks 1, 2, ...
  std::vector<RankLink> dismissed_;                // open until they have read the last word
  int strangers_ = 0;
  int accept_error_ = 0;     // the last one
  double paused_until_ = 0;  // seconds_now()
};

}  // namespace

Meeting host_meeting(const LaunchPlace& place, const Facts& facts, double seconds) {
  return Host(place, facts).run(seconds);
}

}  // namespace farsight
