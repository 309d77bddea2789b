// Which rank a process is, as torchrun, srun, mpirun and our own launcher say it, and what of that is
// refused.
#include "train/ranks/launch_place.h"

#include <doctest/doctest.h>

#include <map>

#include "tests/temporary_folder.h"

namespace farsight {
namespace {

using Environment = std::map<std::string, std::string>;

std::optional<LaunchPlace> place(const Environment& environment,
                                 const std::string& rendezvous = {}) {
  return launch_place(
      [&](const char* name) {
        const auto at = environment.find(name);
        return at == environment.end() ? nullptr : at->second.c_str();
      },
      rendezvous);
}

std::string refusal(const Environment& environment, const std::string& rendezvous = {}) {
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { place(environment, rendezvous); }, &code);
  CHECK((message.empty() || code == ExitCode::usage));
  return message;
}

const Environment kTorchrun = {{"RANK", "3"},
                               {"WORLD_SIZE", "8"},
                               {"LOCAL_RANK", "1"},
                               {"LOCAL_WORLD_SIZE", "2"},
                               {"MASTER_ADDR", "node1"},
                               {"MASTER_PORT", "29400"}};

Environment with(Environment environment, const Environment& more) {
  for (const auto& [name, value] : more)
    environment[name] = value;
  return environment;
}
Environment without(Environment environment, const std::string& name) {
  environment.erase(name);
  return environment;
}

TEST_CASE("launch place: none without a launcher, whatever else a cluster sets") {
  CHECK_FALSE(place({}));
  CHECK_FALSE(place({{"MASTER_ADDR", "node1"}, {"MASTER_PORT", "29500"}}));
  // A batch script has Slurm's variables too; only srun starts ranks.
  CHECK_FALSE(place({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_LOCALID", "0"}}));
  CHECK_FALSE(
      place({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_STEP_ID", "4294967291"}}));
}

TEST_CASE("launch place: torchrun") {
  const std::optional<LaunchPlace> found = place(kTorchrun);
  REQUIRE(found);
  CHECK(found->rank == 3);
  CHECK(found->world == 8);
  CHECK(found->local_rank == 1);
  CHECK(found->local_world == 2);
  CHECK(found->meeting.host == "node1");
  CHECK(found->meeting.port == 29400);
  CHECK_FALSE(found->one_host());
  // Its own store has the port then.
  CHECK(place(with(kTorchrun, {{"TORCHELASTIC_USE_AGENT_STORE", "True"}}))->meeting.port == 29401);
  // A restarted job does not meet what is left of the one before.
  const Environment again =
      with(kTorchrun, {{"TORCHELASTIC_RUN_ID", "x"}, {"TORCHELASTIC_RESTART_COUNT", "1"}});
  CHECK(place(again)->job != place(with(again, {{"TORCHELASTIC_RESTART_COUNT", "2"}}))->job);
}

TEST_CASE("launch place: ranks of one host meet on its loopback") {
  CHECK(place(with(kTorchrun, {{"LOCAL_WORLD_SIZE", "8"}}))->one_host());
  CHECK(place(with(kTorchrun, {{"MASTER_ADDR", "127.0.0.1"}}))->one_host());
  CHECK(place(with(without(kTorchrun, "MASTER_ADDR"), {{"LOCAL_WORLD_SIZE", "8"}}))->meeting.host ==
        "127.0.0.1");
}

TEST_CASE("launch place: srun, whose node list says where rank 0 is") {
  const Environment srun = {{"SLURM_PROCID", "5"},     {"SLURM_NTASKS", "16"},
                            {"SLURM_LOCALID", "1"},    {"SLURM_STEP_ID", "2"},
                            {"SLURM_JOB_ID", "77001"}, {"SLURM_STEP_NODELIST", "tux[03-06],gpu1"}};
  const std::optional<LaunchPlace> found = place(srun);
  REQUIRE(found);
  CHECK(found->rank == 5);
  CHECK(found->world == 16);
  CHECK(found->local_rank == 1);
  CHECK(found->meeting.host == "tux03");
  CHECK(found->meeting.port >= 20000);
  CHECK(found->meeting.port < 30000);
  const std::optional<LaunchPlace> other = place(with(srun, {{"SLURM_STEP_ID", "3"}}));
  CHECK(other->job != found->job);
  CHECK(place(with(srun, {{"MASTER_ADDR", "tux99"}, {"MASTER_PORT", "5000"}}))->meeting.host ==
        "tux99");
  CHECK(place(with(srun, {{"SLURM_STEP_NUM_TASKS", "8"}}))->world == 8);
}

TEST_CASE("launch place: the first host of a node list") {
  CHECK(first_host("node1") == "node1");
  CHECK(first_host("node1,node2") == "node1");
  CHECK(first_host("node[7,9-12]") == "node7");
  CHECK(first_host("rack[1-2]-node[03-04].site,b") == "rack1-node03.site");
  CHECK(first_host("") == "");
  CHECK(first_host("node[1-2") == "");
}

TEST_CASE("launch place: mpirun, on one host by itself, on several with MASTER_ADDR") {
  const Environment mpirun = {{"OMPI_COMM_WORLD_RANK", "1"},
                              {"OMPI_COMM_WORLD_SIZE", "4"},
                              {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                              {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}};
  CHECK(place(mpirun)->meeting.host == "127.0.0.1");
  CHECK(place(mpirun)->by == "mpirun");
  const Environment two_hosts = with(mpirun, {{"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
  CHECK(mentions(refusal(two_hosts), "MASTER_ADDR"));
  CHECK(place(with(two_hosts, {{"MASTER_ADDR", "a"}}))->meeting.host == "a");
  // Under Slurm it is mpirun that counts: srun started its daemons.
  const std::optional<LaunchPlace> nested = place(with(mpirun, {{"SLURM_PROCID", "0"},
                                                                {"SLURM_NTASKS", "1"},
                                                                {"SLURM_LOCALID", "0"},
                                                                {"SLURM_STEP_ID", "0"}}));
  CHECK(nested->by == "mpirun");
  CHECK(nested->rank == 1);
}

TEST_CASE("launch place: what cannot be is refused, naming the variable") {
  CHECK(mentions(refusal(with(kTorchrun, {{"RANK", "8"}})), "RANK must be a number from 0 to 7"));
  CHECK(mentions(refusal(with(kTorchrun, {{"RANK", "-1"}})), "RANK"));
  CHECK(mentions(refusal(with(kTorchrun, {{"RANK", "1x"}})), "'1x'"));
  CHECK(mentions(refusal(with(kTorchrun, {{"WORLD_SIZE", "0"}})), "WORLD_SIZE"));
  CHECK(mentions(refusal(with(kTorchrun, {{"WORLD_SIZE", "99999999999999999999"}})), "WORLD_SIZE"));
  CHECK(mentions(refusal(with(kTorchrun, {{"LOCAL_RANK", "2"}})), "LOCAL_RANK"));
  CHECK(mentions(refusal(with(kTorchrun, {{"MASTER_PORT", "70000"}})), "MASTER_PORT"));
  CHECK(mentions(refusal(without(kTorchrun, "WORLD_SIZE")), "WORLD_SIZE is not"));
  CHECK(mentions(refusal(without(kTorchrun, "RANK")), "RANK is not"));
  CHECK(mentions(refusal(with(kTorchrun, {{"RANK", ""}})), "RANK is not"));
  CHECK(mentions(refusal(without(kTorchrun, "LOCAL_RANK")), "LOCAL_RANK"));
  CHECK(mentions(refusal(without(kTorchrun, "MASTER_ADDR")), "MASTER_ADDR"));
}

TEST_CASE("launch place: two launchers that contradict each other are refused, an inner one wins") {
  const Environment srun = {
      {"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "2"}, {"SLURM_LOCALID", "0"}, {"SLURM_STEP_ID", "0"}};
  const std::string message = refusal(with(kTorchrun, srun));
  CHECK(mentions(message, "rank 3 of 8"));
  CHECK(mentions(message, "rank 1 of 2"));
  // srun starts a torchrun on every host.
  CHECK(place(with(with(kTorchrun, srun), {{"TORCHELASTIC_RUN_ID", "x"}}))->rank == 3);
  CHECK(place(with(with(kTorchrun, srun), {{"FARSIGHT_JOB", "x"}}))->rank == 3);
  // Set by hand from Slurm's own.
  CHECK(place(with(with(kTorchrun, srun), {{"RANK", "1"}, {"WORLD_SIZE", "2"}}))->rank == 1);
}

TEST_CASE("launch place: another meeting place than the launcher's") {
  CHECK(place(kTorchrun, "file:/shared/meet")->meeting.file == "/shared/meet");
  CHECK(place(kTorchrun, "node9:1234")->meeting.host == "node9");
  CHECK(place(kTorchrun, "node9:1234")->meeting.port == 1234);
  for (const char* wrong : {"node9", "node9:", ":12", "node9:0", "node9:x", "file:"}) {
    CHECK(mentions(refusal(kTorchrun, wrong), "ranks.rendezvous"));
  }
  CHECK(mentions(refusal({}, "node9:1234"), "started alone"));
}

TEST_CASE("launch place: one rank needs no meeting place") {
  const std::optional<LaunchPlace> alone = place({{"RANK", "0"}, {"WORLD_SIZE", "1"}});
  REQUIRE(alone);
  CHECK(alone->world == 1);
}

}  // namespace
}  // namespace farsight
