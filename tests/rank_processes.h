// Ranks as processes of their own, which a test starts one by one.
#pragma once

#include <sys/wait.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/child_process.h"
#include "tests/temporary_folder.h"

namespace farsight {

/// A rank that a test starts by itself.
inline ChildProcess start_rank(const std::filesystem::path& folder, int rank, int world, int port,
                               std::vector<std::string> words, const Environment& more = {}) {
  ChildSpec spec{.words = std::move(words),
                 .environment = {{"RANK", std::to_string(rank)},
                                 {"WORLD_SIZE", std::to_string(world)},
                                 {"LOCAL_RANK", std::to_string(rank)},
                                 {"LOCAL_WORLD_SIZE", std::to_string(world)},
                                 {"MASTER_ADDR", "127.0.0.1"},
                                 {"MASTER_PORT", std::to_string(port)},
                                 {"FARSIGHT_JOB", "test"}},
                 .folder = folder,
                 .output = ChildStream::file(folder / ("out." + std::to_string(rank))),
                 .errors = ChildStream::file(folder / ("err." + std::to_string(rank)))};
  for (const auto& variable : more)
    spec.environment.push_back(variable);
  return ChildProcess(spec);
}

inline std::string errors_of(const std::filesystem::path& folder, int rank) {
  return read_plainly(folder / ("err." + std::to_string(rank)));
}

inline bool no_children() {
  return waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD;
}

}  // namespace farsight
