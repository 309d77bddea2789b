// Ranks that die at named moments: all others end naming the one that died, and the same command goes on
// to the bits of a run that was left alone (crash_counts.h). bin/dying_rank is the program that dies.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <csignal>
#include <fstream>
#include <random>

#include "core/clock.h"
#include "core/json.h"
#include "tests/crash_counts.h"
#include "tests/rank_processes.h"
#include "tests/rank_threads.h"
#include "tests/tiny_run.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr int kNormalExit = SIGUSR2;  // what dying_rank makes of it
constexpr int kWays[] = {SIGKILL, SIGSEGV, kNormalExit};

struct Death {
  std::string moment = "none";
  int nth = 0;
  int way = SIGKILL;
  int actor = 0, victim = 0;  ///< who comes to the moment, and who dies of it
};

/// How a run on several ranks ended.
struct RankEnds {
  std::vector<ChildEnd> ends;
  std::vector<std::string> errors;
  double last = 0;  ///< seconds_now(), when the last of them had
};

RankEnds run_to_end(const fs::path& folder, int world, const Death& death) {
  const int port = free_port();
  std::vector<ChildProcess> processes;
  for (int rank = 0; rank < world; rank++) {
    std::vector<std::string> words = {FARSIGHT_BINARY_DIR "/bin/dying_rank",
                                      rank == death.actor ? death.moment : "none",
                                      std::to_string(death.nth),
                                      std::to_string(death.way),
                                      std::to_string(death.victim),
                                      folder.string(),
                                      "train"};
    for (const std::string& word : words_of(tiny_flags({{"run.out", (folder / "run").string()},
                                                        {"run.device", "cpu"},
                                                        {"run.threads", "1"},
                                                        {"train.steps", "12"},
                                                        {"checkpoint.interval", "3"},
                                                        {"ranks.check_interval", "5"}})))
      words.push_back(word);
    processes.push_back(start_rank(folder, rank, world, port, words));
  }
  RankEnds all{.ends = std::vector<ChildEnd>(processes.size()), .errors = {}};
  for (std::size_t running = processes.size(); running > 0; usleep(500)) {
    for (ChildProcess& process : processes) {
      if (process.id() == 0) continue;
      const std::optional<ChildEnd> end = process.poll();
      if (!end) continue;
      all.ends[static_cast<std::size_t>(&process - processes.data())] = *end;
      all.last = seconds_now();
      running--;
    }
  }
  for (int rank = 0; rank < world; rank++)
    all.errors.push_back(errors_of(folder, rank));
  return all;
}

std::string result_of(const fs::path& folder) {
  return read_json(folder / "run/result.json").at("parameter_hash").as_string();
}

/// The parameters of a run on `world` ranks that nobody disturbs.
const std::string& undisturbed(int world) {
  static std::map<int, std::string> known;
  if (known.contains(world)) return known[world];
  const TemporaryFolder folder;
  const RankEnds run = run_to_end(folder.path(), world, {});
  for (std::size_t rank = 0; rank < run.ends.size(); rank++)
    REQUIRE_MESSAGE(run.ends[rank].well(), run.errors[rank]);
  return known[world] = result_of(folder.path());
}

/// The death came: none of the others may be well, and all must say whose it was.
void check_survivors(const RankEnds& run, const Death& death) {
  const auto victim = static_cast<std::size_t>(death.victim);
  const std::string name = fmt::format("rank {} of {}", death.victim, run.ends.size());
  for (std::size_t rank = 0; rank < run.ends.size(); rank++) {
    const ChildEnd& end = run.ends[rank];
    INFO("rank ", rank, ", ", end.text(), ": ", run.errors[rank]);
    if (rank == victim) {
      CHECK((death.way == kNormalExit ? end.well() : end.signal == death.way));
      continue;
    }
    CHECK(end.exit_code == static_cast<int>(ExitCode::peer));
    CHECK(mentions(run.errors[rank], name));
  }
}

struct Counts {
  int deaths = 0, survivors = 0;
  int by_way[3] = {};
  double longest = 0;  ///< seconds from a death to the end of the last survivor
};

void count_one(const Death& death, int world, Counts& counts) {
  INFO(death.moment, " ", death.nth, " by rank ", death.actor, ": signal ", death.way, " to rank ",
       death.victim, " of ", world);
  const TemporaryFolder folder;
  const RankEnds run = run_to_end(folder.path(), world, death);
  double died = 0;
  std::ifstream(folder / "died") >> died;
  REQUIRE(died > 0);
  check_survivors(run, death);
  counts.longest = std::max(counts.longest, run.last - died);
  counts.survivors += world - 1;
  // Who only watches while rank 0 saves takes no checkpoint with it.
  if (death.moment == "save" && death.victim != 0) {
    for (const auto& entry : fs::directory_iterator(folder / "run"))
      CHECK_FALSE(entry.path().filename().string().ends_with(".inprogress"));
  }
  const RankEnds rest = run_to_end(folder.path(), world, {});
  for (std::size_t rank = 0; rank < rest.ends.size(); rank++)
    REQUIRE_MESSAGE(rest.ends[rank].well(), rest.errors[rank]);
  CHECK(result_of(folder.path()) == undisturbed(world));
  CHECK(no_children());
  counts.deaths++;
}

/// What comes to its moment about anywhere in a run of twelve steps.
Death death_at(const std::string& moment, int i, int world, std::mt19937& random) {
  const auto below = [&](int count) {
    return static_cast<int>(random() % static_cast<unsigned>(count));
  };
  Death death{.moment = moment, .way = kWays[i % 3], .actor = i / 2 % world};
  death.victim = death.actor;
  if (moment == "init") {
    // Another rank than 0 says two things; rank 0 says two to each, and all know it after the first.
    death.nth = death.actor == 0 ? world - 2 + below(world) : below(2);
  } else if (moment == "forward") {
    death.nth = below(300);
  } else if (moment == "all-reduce") {
    death.nth = below(death.actor == 0 ? 20 * (world - 1) : 20);
  } else {
    death.actor = 0;
    death.nth = below(100);
  }
  return death;
}

void die(const std::string& moment) {
  const int wanted = crash_count("FARSIGHT_DEATHS", 1);
  std::mt19937 random(static_cast<unsigned>(moment.size()));
  Counts counts;
  for (int i = 0; i < wanted; i++) {
    const int world = i % 2 == 0 ? 2 : 4;
    const Death death = death_at(moment, i, world, random);
    count_one(death, world, counts);
    counts.by_way[i % 3]++;
  }
  // On a machine that does other things, too: docs/operations.md has what was measured.
  constexpr double kGenerous = 15;
  CHECK(counts.longest < kGenerous);
  say(fmt::format(
      "{} deaths of one of 2 or 4 ranks {} ({} by SIGKILL, {} by SIGSEGV, {} by exit(0)): "
      "{} survivors named the rank, the last one ended at most {:.2f} s later; as many "
      "resumed runs ended at the bits of one that was left alone",
      counts.deaths,
      moment == "init"         ? "while they met"
      : moment == "forward"    ? "in a forward pass"
      : moment == "all-reduce" ? "in the middle of an all-reduce"
                               : "while a checkpoint was saved",
      counts.by_way[0], counts.by_way[1], counts.by_way[2], counts.survivors, counts.longest));
}

TEST_CASE("crash: a rank that dies while the ranks meet is named by all others") {
  die("init");
}

TEST_CASE("crash: a rank that dies in a forward pass is named by all others") {
  die("forward");
}

TEST_CASE("crash: a rank that dies in the middle of an all-reduce is named by all others") {
  die("all-reduce");
}

TEST_CASE("crash: a rank that dies while a checkpoint is saved is named by all others") {
  die("save");
}

}  // namespace
}  // namespace farsight
