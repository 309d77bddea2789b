#include "cuda/nccl_functions.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace farsight::cuda {
namespace {

constexpr int kOldest = 21400;  // the first that does not block

struct Loaded {
  NcclFunctions functions;
  std::string why;  // empty: loaded
};

Loaded load() {
  Loaded loaded;
  constexpr const char* kName = "libnccl.so.2";
  constexpr const char* kAdvice =
      "install it (Debian, Ubuntu: apt install libnccl2 from NVIDIA's repository) or set "
      "LD_LIBRARY_PATH to its folder";
  void* library = dlopen(kName, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    loaded.why = fmt::format("several GPUs need NCCL, and {} was not found: {}", kName, kAdvice);
    return loaded;
  }
  NcclFunctions& f = loaded.functions;
  const auto find = [&](auto& function, const char* name) {
    void* address = dlsym(library, name);
    if (address == nullptr && loaded.why.empty()) {
      loaded.why = fmt::format("{} lacks {}: it is too old; {}", kName, name, kAdvice);
    }
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(address);
  };
  find(f.get_version, "ncclGetVersion");
  find(f.get_unique_id, "ncclGetUniqueId");
  find(f.init_rank, "ncclCommInitRankConfig");
  find(f.abort, "ncclCommAbort");
  find(f.async_error, "ncclCommGetAsyncError");
  find(f.error_string, "ncclGetErrorString");
  find(f.last_error, "ncclGetLastError");
  find(f.all_reduce, "ncclAllReduce");
  find(f.reduce_scatter, "ncclReduceScatter");
  find(f.all_gather, "ncclAllGather");
  find(f.broadcast, "ncclBroadcast");
  int version = 0;
  if (loaded.why.empty() && (f.get_version(&version) != kNcclSuccess || version < kOldest)) {
    loaded.why = fmt::format("NCCL {}.{} is older than 2.14: {}", version / 10000,
                             version % 10000 / 100, kAdvice);
  }
  return loaded;
}

}  // namespace

const NcclFunctions* nccl(std::string* why) {
  static const Loaded loaded = load();
  if (why != nullptr) *why = loaded.why;
  return loaded.why.empty() ? &loaded.functions : nullptr;
}

}  // namespace farsight::cuda
