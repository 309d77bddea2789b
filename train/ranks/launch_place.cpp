#include "train/ranks/launch_place.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "core/check.h"
#include "core/philox.h"

namespace farsight {
namespace {

constexpr int kMostRanks = 65536;
constexpr int kUsualPort = 29500;  // torchrun's

/// Numbers among the environment variables, refused by name.
class Numbers {
 public:
  explicit Numbers(const Variables& variables) : variables_(variables) {}

  bool has(const char* name) const { return text(name) != nullptr; }
  /// Null for one that is empty, too.
  const char* text(const char* name) const {
    const char* value = variables_(name);
    return value == nullptr || *value == '\0' ? nullptr : value;
  }
  int number(const char* name, int least, int most) const {
    const std::string_view value = text(name);
    int result = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
    require(error == std::errc() && end == value.data() + value.size() && result >= least &&
                result <= most,
            ExitCode::usage, "the environment variable {} must be a number from {} to {}, got '{}'",
            name, least, most, value);
    return result;
  }
  int number_or(const char* name, int least, int most, int otherwise) const {
    return has(name) ? number(name, least, most) : otherwise;
  }

 private:
  const Variables& variables_;
};

/// The variables by which one kind of launcher tells a rank its place.
struct Names {
  const char* by;
  const char* rank;
  const char* world;
  const char* local_rank;
  const char* local_world;
};
constexpr Names kTorchrun = {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"};
constexpr Names kMpirun = {"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                           "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"};
constexpr Names kSrun = {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", nullptr};

std::optional<LaunchPlace> read(const Numbers& from, const Names& names) {
  if (!from.has(names.rank)) {
    // Slurm's and others' counts may be there without a rank; torchrun's pair belongs together.
    require(&names != &kTorchrun || !from.has(names.world), ExitCode::usage,
            "the environment variable {} is set ({}) but {} is not: a launcher sets both",
            names.world, from.text(names.world), names.rank);
    return std::nullopt;
  }
  const char* world_name = names.world;
  if (&names == &kSrun && !from.has(world_name)) world_name = "SLURM_NTASKS";
  require(from.has(world_name), ExitCode::usage,
          "the environment variable {} is set ({}) but {} is not: a launcher sets both", names.rank,
          from.text(names.rank), world_name);
  LaunchPlace place{.by = names.by};
  place.world = from.number(world_name, 1, kMostRanks);
  place.rank = from.number(names.rank, 0, place.world - 1);
  if (names.local_world != nullptr) {
    place.local_world = from.number_or(names.local_world, 1, place.world, 0);
  }
  const int most = place.local_world > 0 ? place.local_world : place.world;
  if (from.has(names.local_rank)) {
    place.local_rank = from.number(names.local_rank, 0, most - 1);
  } else {
    require(place.world == 1, ExitCode::usage,
            "the environment variable {} is not set: rank {} of {} does not know which GPU of its "
            "host is its own",
            names.local_rank, place.rank, place.world);
  }
  return place;
}

/// srun alone starts tasks; a batch script has SLURM_PROCID = 0 too, and is no rank.
bool started_by_srun(const Numbers& from) {
  const char* step = from.text("SLURM_STEP_ID");
  if (step == nullptr) step = from.text("SLURM_STEPID");
  if (step == nullptr) return false;
  const std::string_view text = step;
  // The batch script's and srun --interactive's own steps have numbers beyond any of srun's.
  return text != "batch" && text != "interactive" && text.size() < 10;
}

void require_agreement(const LaunchPlace& by_hand, const std::optional<LaunchPlace>& other) {
  if (!other || (by_hand.rank == other->rank && by_hand.world == other->world)) return;
  fail(ExitCode::usage,
       "RANK and WORLD_SIZE say rank {} of {}, but {} started this process as rank {} of {}: unset "
       "the former",
       by_hand.rank, by_hand.world, other->by, other->rank, other->world);
}

std::string text_or_empty(const Numbers& from, const char* name) {
  const char* text = from.text(name);
  return text == nullptr ? std::string() : std::string(text);
}

/// A port that two jobs hardly share, below those that the system gives to clients.
int port_of(const std::string& job) {
  return 20000 + static_cast<int>(hash_name(job.c_str()) % 10000);
}

std::string job_of(const Numbers& from, const LaunchPlace& place) {
  if (const char* own = from.text("FARSIGHT_JOB")) return own;
  if (place.by == "torchrun" && from.has("TORCHELASTIC_RUN_ID")) {
    return fmt::format("torchrun {} {}", from.text("TORCHELASTIC_RUN_ID"),
                       text_or_empty(from, "TORCHELASTIC_RESTART_COUNT"));
  }
  if (place.by == "srun") {
    return fmt::format("slurm {}.{}", text_or_empty(from, "SLURM_JOB_ID"),
                       text_or_empty(from, "SLURM_STEP_ID"));
  }
  for (const char* name : {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "SLURM_JOB_ID"}) {
    if (const char* value = from.text(name)) return fmt::format("{} {}", name, value);
  }
  return "";
}

MeetingPlace usual_meeting(const Numbers& from, const LaunchPlace& place) {
  MeetingPlace meeting{.host = text_or_empty(from, "MASTER_ADDR")};
  if (meeting.host.empty() && place.by == "srun") {
    for (const char* name : {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"}) {
      if (meeting.host.empty()) meeting.host = first_host(text_or_empty(from, name));
    }
  }
  if (meeting.host.empty() && place.one_host()) meeting.host = "127.0.0.1";
  require(!meeting.host.empty(), ExitCode::usage,
          "rank {} of {} does not know where rank 0 is: set MASTER_ADDR to its host (mpirun: -x "
          "MASTER_ADDR)",
          place.rank, place.world);
  meeting.port =
      from.number_or("MASTER_PORT", 1, 65535, place.job.empty() ? kUsualPort : port_of(place.job));
  // torchrun itself listens at MASTER_PORT then.
  if (text_or_empty(from, "TORCHELASTIC_USE_AGENT_STORE") == "True") {
    meeting.port = meeting.port == 65535 ? 1024 : meeting.port + 1;
  }
  return meeting;
}

MeetingPlace meeting_of(const std::string& rendezvous) {
  if (rendezvous.starts_with("file:")) {
    require(rendezvous.size() > 5, ExitCode::usage, "ranks.rendezvous = file: lacks a path");
    return {.file = rendezvous.substr(5)};
  }
  const std::size_t colon = rendezvous.rfind(':');
  const std::string port = colon == std::string::npos ? "" : rendezvous.substr(colon + 1);
  int number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  require(colon != std::string::npos && colon > 0 && !port.empty() && error == std::errc() &&
              end == port.data() + port.size() && number >= 1 && number <= 65535,
          ExitCode::usage, "ranks.rendezvous must be HOST:PORT or file:PATH, got '{}'", rendezvous);
  return {.host = rendezvous.substr(0, colon), .port = number};
}

}  // namespace

Variables process_variables() {
  return [](const char* name) { return std::getenv(name); };
}

std::string first_host(std::string_view node_list) {
  std::string host;
  for (std::size_t i = 0; i < node_list.size(); i++) {
    const char c = node_list[i];
    if (c == ',') break;
    if (c != '[') {
      host += c;
      continue;
    }
    const std::size_t close = node_list.find(']', i);
    if (close == std::string_view::npos) return "";
    const std::string_view inside = node_list.substr(i + 1, close - i - 1);
    host += inside.substr(0, inside.find_first_of("-,"));
    i = close;
  }
  return host;
}

std::optional<LaunchPlace> launch_place(const Variables& variables, const std::string& rendezvous) {
  const Numbers from(variables);
  const std::optional<LaunchPlace> plain = read(from, kTorchrun);
  const std::optional<LaunchPlace> mpirun = read(from, kMpirun);
  const std::optional<LaunchPlace> srun = started_by_srun(from) ? read(from, kSrun) : std::nullopt;
  const bool launched = from.has("TORCHELASTIC_RUN_ID") || from.has("FARSIGHT_JOB");
  const std::optional<LaunchPlace>& scheduled = mpirun ? mpirun : srun;
  if (plain && !launched) require_agreement(*plain, scheduled);
  std::optional<LaunchPlace> place = plain ? plain : scheduled;
  if (!place) {
    require(rendezvous.empty(), ExitCode::usage,
            "ranks.rendezvous = {} is of no use to a process that was started alone: use farsight "
            "launch, torchrun, srun or mpirun",
            rendezvous);
    return std::nullopt;
  }
  place->job = job_of(from, *place);
  if (place->world == 1) return place;
  place->meeting = rendezvous.empty() ? usual_meeting(from, *place) : meeting_of(rendezvous);
  const std::string& host = place->meeting.host;
  if (host == "localhost" || host.starts_with("127.")) place->local_world = place->world;
  return place;
}

}  // namespace farsight
