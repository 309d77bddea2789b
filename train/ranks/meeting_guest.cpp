#include "train/ranks/meeting_guest.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <random>
#include <thread>

#include "core/check.h"
#include "core/clock.h"
#include "core/files.h"
#include "core/json.h"
#include "train/ranks/greeting.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

class Guest {
 public:
  Guest(const LaunchPlace& place, const Facts& facts) : place_(place), facts_(facts) {}

  Meeting run(double seconds) {
    constexpr auto kPause = std::chrono::milliseconds(50);
    const double until = seconds_now() + seconds;
    while (seconds_now() < until) {
      std::optional<Meeting> meeting = try_once(until);
      if (meeting) return std::move(*meeting);
      std::this_thread::sleep_for(kPause);
    }
    fail(ExitCode::peer, "rank {} of {} found no rank 0 at {} within {} s: {}", place_.rank,
         place_.world, text_of(place_.meeting), seconds, why_);
  }

 private:
  std::optional<Meeting> try_once(double until) {
    MeetingPlace at = place_.meeting;
    if (!at.file.empty() && !read_place(at)) return std::nullopt;
    RankLink link;
    if (!greet(at, "control", link.control, until)) return std::nullopt;
    if (greet(at, "data", link.data, until)) {
      return listen(std::move(link), until + kGreetingSeconds, true);
    }
    // Rank 0 may have hung up by now, after a word on the first connection.
    constexpr double kWordSeconds = 0.5;
    return listen(std::move(link), seconds_now() + kWordSeconds, false);
  }

  bool greet(const MeetingPlace& at, const char* kind, Socket& socket, double until) {
    // On one host rank 0 listens at the loopback alone, whatever name a launcher has for the host.
    const std::string host = place_.one_host() ? "127.0.0.1" : at.host;
    socket = connect_to(host, at.port, until, why_);
    if (!socket) {
      if (!at.file.empty()) {
        why_ = fmt::format(
            "{}:{}, which it names, does not answer ({}); is the file left from an earlier job?",
            at.host, at.port, why_);
      }
      return false;
    }
    const Greeting greeting{.kind = kind,
                            .job = place_.job,
                            .rank = place_.rank,
                            .world = place_.world,
                            .who = process_name(),
                            .instance = instance_,
                            .facts = facts_};
    return send_message(socket, text_of(greeting), until) == Transfer::done;
  }

  /// `until`: rank 0 tells everybody who is missing at the end of the time that all have, or a
  /// moment later. `whole`: both connections are there; else this rank has to come again.
  std::optional<Meeting> listen(RankLink link, double until, bool whole) {
    bool welcome = false;
    while (true) {
      std::string text;
      const Transfer answered = receive_message(link.control, text, kMostGreetingBytes, until);
      if (!whole && answered == Transfer::late) return std::nullopt;
      if (welcome && answered != Transfer::done) {
        // It never hangs up on those it knows without a word.
        fail(ExitCode::peer, "rank 0 of {} ({}) was lost while the ranks met: {}", place_.world,
             link.who,
             answered == Transfer::late ? "it says nothing any more" : "its connection closed");
      }
      if (answered != Transfer::done) {
        why_ = answered == Transfer::late ? "what listens there says nothing"
                                          : "what listens there hung up";
        return std::nullopt;
      }
      const Json answer = Json::parse(text, "rank 0's answer", {.depth = 4, .values = 16});
      if (const Json* sentence = answer.find("refused")) {
        fail(ExitCode::peer, "{}", printable(sentence->as_string()));
      }
      if (const Json* other = answer.find("other")) {  // perhaps it is about to end
        why_ = fmt::format("what listens there is another job, {}", printable(other->as_string()));
        return std::nullopt;
      }
      if (const Json* who = answer.find("welcome")) {
        welcome = true;
        link.who = printable(who->as_string());
        continue;
      }
      require(welcome && answer.contains("all"), ExitCode::peer,
              "rank 0's answer is none that a rank of this version knows");
      Meeting meeting{.rank = place_.rank, .world = place_.world, .links = {}};
      meeting.links.push_back(std::move(link));
      return meeting;
    }
  }

  bool read_place(MeetingPlace& at) {
    if (!fs::exists(at.file)) {
      why_ = "there is no such file";
      return false;
    }
    try {
      const Json json = read_json(at.file, {.depth = 4, .values = 16});
      at.host = json.at("host").as_string();
      at.port = static_cast<int>(json.at("port").as_int(1, 65535));
      if (json.at("job").as_string() == place_.job) return true;
      why_ = fmt::format("the file is of another job, {}", printable(json.at("job").as_string()));
    } catch (const Error& error) {
      why_ = error.what();
    }
    return false;
  }

  static std::string new_instance() {
    std::random_device random;
    return fmt::format("{:08x}{:08x}", random(), random());
  }

  const LaunchPlace& place_;
  const Facts& facts_;
  const std::string instance_ = new_instance();
  std::string why_ = "nobody answers";
};

}  // namespace

Meeting join_meeting(const LaunchPlace& place, const Facts& facts, double seconds) {
  return Guest(place, facts).run(seconds);
}

}  // namespace farsight
