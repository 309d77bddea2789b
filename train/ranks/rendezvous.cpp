#include "train/ranks/rendezvous.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
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

constexpr std::size_t kMostBytes = std::size_t{1} << 20;  // of a greeting
constexpr double kGreetingSeconds = 5;  // from a connection to its greeting, and for a last word
constexpr double kMomentSeconds = 1;    // from the first byte of a greeting to its last
constexpr double kLingerSeconds = 2;    // after a refusal

std::string place_text(const MeetingPlace& meeting) {
  return meeting.file.empty() ? fmt::format("{}:{}", meeting.host, meeting.port)
                              : "file " + meeting.file;
}

std::string word_of_refusal(const std::string& sentence) {
  return Json::object({{"refused", sentence}}).dump();
}

/// Rank 0's side.
class Host {
 public:
  Host(const LaunchPlace& place, const Facts& facts)
      : place_(place), facts_(facts), instances_(static_cast<std::size_t>(place.world)) {
    for (int rank = 1; rank < place.world; rank++)
      links_.push_back({.rank = rank, .who = {}, .data = {}, .control = {}});
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
      if (!socket) refuse(missing_text(seconds), 0);
      std::string text;
      std::int64_t protocol = kMeetingProtocol;
      if (!heard(socket, text, until)) continue;
      std::optional<Greeting> greeting = greeting_of(text, &protocol);
      if (greeting) admit(std::move(socket), std::move(*greeting), protocol);
    }
    for (const RankLink& link : links_) {
      send_message(link.control, Json::object({{"who", process_name()}}).dump(), until);
    }
    return {.rank = 0, .world = place_.world, .links = std::move(links_)};
  }

 private:
  void publish() const {
    char host[256] = "127.0.0.1";
    if (!place_.one_host()) gethostname(host, sizeof host - 1);
    const Json json =
        Json::object({{"host", host}, {"port", port_of(listening_)}, {"job", place_.job}});
    write_file_atomically(place_.meeting.file, json.dump() + "\n");
  }

  /// The next connection that has begun to speak; empty if none has before `until`. One that says
  /// nothing keeps nobody waiting, and is closed after a while.
  Socket next_speaking(double until) {
    while (seconds_now() < until) {
      std::vector<pollfd> entries{{.fd = listening_.fd(), .events = POLLIN, .revents = 0}};
      for (const auto& [socket, since] : silent_)
        entries.push_back({.fd = socket.fd(), .events = POLLIN, .revents = 0});
      constexpr int kLookMs = 20;
      ::poll(entries.data(), entries.size(), kLookMs);
      for (std::size_t i = 0; i < silent_.size(); i++) {
        if (entries[i + 1].revents == 0) continue;
        Socket speaking = std::move(silent_[i].first);
        silent_.erase(silent_.begin() + static_cast<std::ptrdiff_t>(i));
        return speaking;
      }
      const double longest = seconds_now() - kGreetingSeconds;
      std::erase_if(silent_, [&](const auto& each) { return each.second < longest; });
      if (entries.front().revents == 0) continue;
      Socket fresh = accept_until(listening_, seconds_now());
      if (fresh) silent_.emplace_back(std::move(fresh), seconds_now());
    }
    return {};
  }

  /// A greeting arrives at one go.
  static bool heard(const Socket& socket, std::string& text, double until) {
    const double patience = std::min(until, seconds_now() + kMomentSeconds);
    return receive_message(socket, text, kMostBytes, patience) == Transfer::done;
  }

  void admit(Socket socket, Greeting greeting, std::int64_t protocol) {
    const double until = seconds_now() + kGreetingSeconds;
    if (protocol != kMeetingProtocol) {
      const std::string sentence = fmt::format(
          "a rank speaks protocol {} of meeting, rank 0 protocol {}: all ranks must be "
          "the same build",
          protocol, kMeetingProtocol);
      send_message(socket, word_of_refusal(sentence), until);
      refuse(sentence);
    }
    if (greeting.job != place_.job) {
      send_message(socket, Json::object({{"other", place_.job}}).dump(), until);
      strangers_++;
      return;
    }
    const auto refuse_both = [&](const std::string& sentence) {
      send_message(socket, word_of_refusal(sentence), until);
      refuse(sentence);
    };
    if (greeting.world != place_.world) {
      refuse_both(fmt::format("rank {} ({}) was started as one of {} ranks, rank 0 as one of {}",
                              greeting.rank, greeting.who, greeting.world, place_.world));
    }
    const bool known = greeting.rank >= 1 && greeting.rank < place_.world;
    RankLink* link = known ? &links_[static_cast<std::size_t>(greeting.rank - 1)] : nullptr;
    Socket* place = link == nullptr              ? nullptr
                    : greeting.kind == "data"    ? &link->data
                    : greeting.kind == "control" ? &link->control
                                                 : nullptr;
    // The same process may come again, when it could not bring its second connection.
    std::string* instance = known ? &instances_[static_cast<std::size_t>(greeting.rank)] : nullptr;
    if (place == nullptr || (!instance->empty() && *instance != greeting.instance)) {
      refuse_both(fmt::format("two processes are rank {}: {} and {}", greeting.rank,
                              link == nullptr ? process_name() : link->who, greeting.who));
    }
    if (greeting.kind == "control") {
      const std::string different = differences(greeting.facts, facts_);
      if (!different.empty()) {
        refuse_both(fmt::format("rank {} ({}) differs from rank 0: {}", greeting.rank, greeting.who,
                                different));
      }
    }
    link->who = greeting.who;
    *instance = greeting.instance;
    *place = std::move(socket);
  }

  std::vector<int> missing() const {
    std::vector<int> ranks;
    for (const RankLink& link : links_) {
      if (!link.data || !link.control) ranks.push_back(link.rank);
    }
    return ranks;
  }

  std::string missing_text(double seconds) const {
    const std::vector<int> ranks = missing();
    return fmt::format("{} {} of {} did not come to {} within {} s{}",
                       ranks.size() == 1 ? "rank" : "ranks", fmt::join(ranks, ", "), place_.world,
                       place_text(place_.meeting), seconds,
                       strangers_ == 0 ? "" : "; processes of another job did");
  }

  /// Tells all who are there (`told` know it already) and, for a moment, those who come late.
  [[noreturn]] void refuse(const std::string& sentence, std::size_t told = 1,
                           double linger = kLingerSeconds) {
    const std::string word = word_of_refusal(sentence);
    for (const RankLink& link : links_) {
      if (link.control && send_message(link.control, word, seconds_now() + 1) == Transfer::done) {
        told++;
      }
    }
    const double until = seconds_now() + linger;
    while (told < links_.size() && seconds_now() < until) {
      const Socket socket = next_speaking(until);
      std::string text;
      if (!heard(socket, text, until)) continue;
      std::int64_t protocol = 0;
      const std::optional<Greeting> greeting = greeting_of(text, &protocol);
      if (!greeting || greeting->kind != "control") continue;
      send_message(socket, word, until);
      told++;
    }
    fail(ExitCode::peer, "{}", sentence);
  }

  const LaunchPlace& place_;
  const Facts& facts_;
  Socket listening_;
  std::vector<std::pair<Socket, double>> silent_;  // and when it connected
  std::vector<RankLink> links_;
  std::vector<std::string> instances_;  // by rank
  int strangers_ = 0;
};

/// Another rank's side.
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
         place_.world, place_text(place_.meeting), seconds, why_);
  }

 private:
  std::optional<Meeting> try_once(double until) {
    MeetingPlace at = place_.meeting;
    if (!at.file.empty() && !read_place(at)) return std::nullopt;
    RankLink link;
    if (!greet(at, "control", link.control, until)) return std::nullopt;
    // Rank 0 may have hung up by now, after a word on the first connection.
    if (!greet(at, "data", link.data, until)) until = std::min(until, seconds_now() + 1);
    // Rank 0 tells everybody who is missing, at the end of the same time: a moment later, perhaps.
    std::string text;
    const Transfer answered =
        receive_message(link.control, text, kMostBytes, until + kGreetingSeconds);
    if (answered != Transfer::done) {
      why_ = answered == Transfer::late ? "what listens there says nothing"
                                        : "what listens there hung up";
      return std::nullopt;
    }
    return settle(std::move(link), text);
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

  std::optional<Meeting> settle(RankLink link, const std::string& text) {
    const Json answer = Json::parse(text, "rank 0's answer", {.depth = 4, .values = 16});
    if (const Json* sentence = answer.find("refused")) {
      fail(ExitCode::peer, "{}", sentence->as_string());
    }
    if (answer.contains("other")) {  // perhaps it is about to end
      why_ = fmt::format("what listens there is another job, {}", answer.at("other").as_string());
      return std::nullopt;
    }
    link.who = answer.at("who").as_string();
    Meeting meeting{.rank = place_.rank, .world = place_.world, .links = {}};
    meeting.links.push_back(std::move(link));
    return meeting;
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
      why_ = fmt::format("the file is of another job, {}", json.at("job").as_string());
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

Meeting meet(const LaunchPlace& place, const Facts& facts, double seconds) {
  check(place.world > 1 && place.rank >= 0 && place.rank < place.world,
        "meet: rank must be below world > 1, got rank {} of {}", place.rank, place.world);
  if (place.rank == 0) return Host(place, facts).run(seconds);
  return Guest(place, facts).run(seconds);
}

}  // namespace farsight
