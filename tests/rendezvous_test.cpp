// The meeting of ranks: all there and alike, or one sentence that names who is not.
#include "train/ranks/rendezvous.h"

#include "core/clock.h"
#include "core/json.h"
#include "tests/rank_threads.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

const Facts kFacts = {{"build", "1.0"}, {"train.lr", "0.001"}};

/// Every rank meets with what `change` makes of its place and facts; what each was told.
std::vector<std::string> meet_with(int world,
                                   const std::function<void(int, LaunchPlace&, Facts&)>& change,
                                   double seconds = 5) {
  const int port = free_port();
  return errors_of_threads(world, [&](int rank) {
    LaunchPlace place = place_of(rank, world, port);
    Facts facts = kFacts;
    change(rank, place, facts);
    const Meeting meeting = meet(place, facts, seconds);
    CHECK(meeting.links.size() == (rank == 0 ? static_cast<std::size_t>(world - 1) : 1u));
  });
}

TEST_CASE("rendezvous: ranks meet in any order") {
  for (const int world : {2, 3, 8}) {
    CHECK(all_empty(meet_with(world, [](int rank, LaunchPlace&, Facts&) {
      // Rank 0 comes last: the others knock until it is there.
      if (rank == 0) std::this_thread::sleep_for(std::chrono::milliseconds(120));
    })));
  }
}

TEST_CASE("rendezvous: a setting that differs is named with both values on all ranks") {
  const auto errors = meet_with(3, [](int rank, LaunchPlace&, Facts& facts) {
    if (rank == 2) facts[1].second = "0.002";
    if (rank != 2) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  });
  CHECK(mentions(errors[0], "rank 2"));
  CHECK(mentions(errors[0], "train.lr = 0.002 where rank 0 has 0.001"));
  CHECK(mentions(errors[2], "train.lr = 0.002"));
}

TEST_CASE("rendezvous: another build, and settings that only one side has, are named") {
  CHECK(mentions(meet_with(2,
                           [](int rank, LaunchPlace&, Facts& facts) {
                             if (rank == 1) facts[0].second = "1.1";
                           })[1],
                 "build = 1.1 where rank 0 has 1.0"));
  CHECK(mentions(meet_with(2,
                           [](int rank, LaunchPlace&, Facts& facts) {
                             if (rank == 1) facts.emplace_back("train.new", "7");
                           })[0],
                 "train.new = 7 where rank 0 has none"));
  CHECK(mentions(meet_with(2,
                           [](int rank, LaunchPlace&, Facts& facts) {
                             if (rank == 1) facts.pop_back();
                           })[0],
                 "train.lr = none where rank 0 has 0.001"));
}

TEST_CASE("rendezvous: another number of ranks is named") {
  const auto errors = meet_with(2, [](int rank, LaunchPlace& place, Facts&) {
    if (rank == 1) place.world = 4;
  });
  CHECK(mentions(errors[0], "one of 4 ranks, rank 0 as one of 2"));
  CHECK(errors[0] == errors[1]);
}

TEST_CASE("rendezvous: two processes that are the same rank are both named") {
  const auto errors = meet_with(3, [](int rank, LaunchPlace& place, Facts&) {
    if (rank == 2) place.rank = 1;
  });
  CHECK(mentions(errors[0], "two processes are rank 1"));
}

TEST_CASE("rendezvous: who does not come is named to those who came") {
  const double start = seconds_now();
  const int port = free_port();
  const auto errors = errors_of_threads(4, [&](int rank) {
    if (rank == 1 || rank == 3) return;
    meet(place_of(rank, 4, port), kFacts, 0.5);
  });
  CHECK(mentions(errors[0], "ranks 1, 3 of 4 did not come"));
  CHECK(errors[0] == errors[2]);
  CHECK(seconds_now() - start < 20);
}

TEST_CASE("rendezvous: without rank 0 the others say where they looked") {
  const int port = free_port();
  const auto errors = errors_of_threads(2, [&](int rank) {
    if (rank == 1) meet(place_of(1, 2, port), kFacts, 0.3);
  });
  CHECK(mentions(errors[1], "found no rank 0 at 127.0.0.1:" + std::to_string(port)));
}

TEST_CASE("rendezvous: a port that is taken is refused at once") {
  int error = 0;
  const Socket taken = listen_at(0, true, error);
  ExitCode code = ExitCode::ok;
  const std::string message =
      error_of([&] { meet(place_of(0, 2, port_of(taken)), kFacts, 5); }, &code);
  CHECK(code == ExitCode::peer);
  CHECK(mentions(message, std::to_string(port_of(taken))));
  CHECK(mentions(message, "MASTER_PORT"));
}

TEST_CASE("rendezvous: a process of another job is turned away, and the job goes on") {
  const int port = free_port();
  const auto errors = errors_of_threads(3, [&](int rank) {
    LaunchPlace place = place_of(rank == 2 ? 1 : rank, 2, port);
    if (rank == 2) place.job = "yesterday's";
    if (rank == 1) std::this_thread::sleep_for(std::chrono::milliseconds(200));
    meet(place, kFacts, rank == 2 ? 0.6 : 5);
  });
  CHECK(errors[0].empty());
  CHECK(errors[1].empty());
  CHECK_FALSE(errors[2].empty());
}

TEST_CASE("rendezvous: strangers that send nonsense do not disturb the meeting") {
  const std::vector<std::string> nonsense = {
      "",
      "GET / HTTP/1.1\r\n\r\n",
      std::string(8, '\xff'),
      std::string("FRAN\x04\0\0\0{{{{", 12),                         // no JSON
      std::string("FRAN\x02\0\0\0[]", 10),                           // no object
      std::string("FRAN\xff\xff\xff\x7f", 8) + std::string(64, 'x')  // longer than allowed
  };
  const int port = free_port();
  const auto errors = errors_of_threads(3, [&](int rank) {
    if (rank < 2) {
      if (rank == 1) std::this_thread::sleep_for(std::chrono::milliseconds(300));
      meet(place_of(rank, 2, port), kFacts, 10);
      return;
    }
    for (const std::string& text : nonsense) {
      std::string why;
      Socket socket;
      while (!socket)
        socket = connect_to("127.0.0.1", port, seconds_now() + 2, why);
      send_bytes(socket, std::as_bytes(std::span(text)), seconds_now() + 1);
    }
  });
  CHECK(all_empty(errors));
}

TEST_CASE("rendezvous: connections that say nothing keep nobody waiting") {
  const int port = free_port();
  std::vector<Socket> silent;
  const auto errors = errors_of_threads(3, [&](int rank) {
    if (rank == 2) {
      std::string why;
      while (silent.size() < 8) {
        Socket socket = connect_to("127.0.0.1", port, seconds_now() + 2, why);
        if (socket) silent.push_back(std::move(socket));
      }
      return;
    }
    if (rank == 1) std::this_thread::sleep_for(std::chrono::milliseconds(300));
    meet(place_of(rank, 2, port), kFacts, 4);
  });
  CHECK(all_empty(errors));
}

TEST_CASE("rendezvous: ranks of one host find each other whatever a launcher calls it") {
  CHECK(all_empty(meet_with(
      2, [](int, LaunchPlace& place, Facts&) { place.meeting.host = "no-such-host.invalid"; })));
}

TEST_CASE("rendezvous: a rank that speaks another protocol is named as such") {
  const int port = free_port();
  std::string told;
  const auto errors = errors_of_threads(2, [&](int rank) {
    if (rank == 0) {
      meet(place_of(0, 2, port), kFacts, 5);
      return;
    }
    std::string why;
    Socket socket;
    while (!socket)
      socket = connect_to("127.0.0.1", port, seconds_now() + 2, why);
    const Json greeting = Json::object({{"farsight-ranks", 99}, {"job", "test"}});
    send_message(socket, greeting.dump(), seconds_now() + 1);
    receive_message(socket, told, 10000, seconds_now() + 5);
  });
  CHECK(mentions(errors[0], "protocol 99"));
  CHECK(mentions(told, "protocol 99"));
}

TEST_CASE("rendezvous: a file says where rank 0 is, and is gone afterwards") {
  const TemporaryFolder folder;
  const fs::path file = folder / "meet";
  const auto through_file = [&](const std::string& job) {
    return errors_of_threads(3, [&](int rank) {
      LaunchPlace place = place_of(rank, 3, 0);
      place.meeting = {.file = file.string()};
      place.job = job;
      meet(place, kFacts, 5);
    });
  };
  CHECK(all_empty(through_file("a")));
  CHECK_FALSE(fs::exists(file));
  // Left behind by a job that was killed: of another job, of this one, and no such file at all.
  for (const char* stale : {R"({"host":"127.0.0.1","port":1,"job":"old"})",
                            R"({"host":"127.0.0.1","port":1,"job":"b"})", "not json", ""}) {
    write_plainly(file, stale);
    CHECK(all_empty(through_file("b")));
  }
}

TEST_CASE("rendezvous: a stale file without a rank 0 is called stale") {
  const TemporaryFolder folder;
  LaunchPlace place = place_of(1, 2, 0);
  place.meeting = {.file = (folder / "meet").string()};
  write_plainly(folder / "meet", R"({"host":"127.0.0.1","port":1,"job":"test"})");
  CHECK(mentions(error_of([&] { meet(place, kFacts, 0.3); }), "left from an earlier job"));
}

}  // namespace
}  // namespace farsight
