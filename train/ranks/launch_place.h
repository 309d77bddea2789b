// Which rank this process is, and where the ranks meet, as whoever started it says.
//
//   torchrun, farsight launch   RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT
//   mpirun (OpenMPI)            OMPI_COMM_WORLD_RANK _SIZE _LOCAL_RANK _LOCAL_SIZE
//   srun (Slurm)                SLURM_PROCID SLURM_STEP_NUM_TASKS SLURM_LOCALID, SLURM_STEP_NODELIST
//
// torchrun and farsight launch may themselves be started by srun or mpirun, and mpirun by Slurm: the
// innermost decides. RANK set by hand beside one of the others must say the same.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace farsight {

/// Where the ranks of a job meet.
struct MeetingPlace {
  std::string host{};  ///< of rank 0, as the others reach it
  int port = 0;
  std::string file{};  ///< or a file that all of them see, in which rank 0 says where it is
};

struct LaunchPlace {
  int rank = 0;
  int world = 1;
  int local_rank = 0;   ///< among the ranks of this host: which of its GPUs
  int local_world = 0;  ///< ranks of this host; 0: not told
  MeetingPlace meeting{};
  std::string job{};  ///< what keeps two jobs apart that meet at one place
  std::string by{};   ///< "torchrun", for messages

  bool one_host() const { return local_world == world; }
};

/// The value of an environment variable, or null.
using Variables = std::function<const char*(const char* name)>;
Variables process_variables();

/// None where the process was started alone. `rendezvous`: "" for what the launcher says, else
/// "HOST:PORT" or "file:PATH". Throws Error(usage) for variables that are missing, no numbers, out of
/// range or in contradiction.
std::optional<LaunchPlace> launch_place(const Variables& variables,
                                        const std::string& rendezvous = {});

/// The first host of a Slurm node list: "tux[03-07,12],gpu1" -> "tux03". Empty for an empty list.
std::string first_host(std::string_view node_list);

}  // namespace farsight
