// The few functions of NCCL that are used, declared as its header declares them (2.14 and later), so
// that neither the header nor the library need be there when this is built.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <string>

namespace farsight::cuda {

struct NcclComm;  // opaque
using NcclResult = int;
constexpr NcclResult kNcclSuccess = 0, kNcclInProgress = 7;
enum NcclType : int { kNcclFloat32 = 7, kNcclFloat64 = 8 };
constexpr int kNcclSum = 0;

struct NcclId {
  char internal[128];
};

/// The beginning of ncclConfig_t: NCCL reads `size` bytes and knows by `version` what they mean.
struct NcclConfig {
  std::size_t size = sizeof(NcclConfig);
  unsigned magic = 0xcafebeef;
  unsigned version = 21400;
  int blocking = 0;
};

struct NcclFunctions {
  NcclResult (*get_version)(int*) = nullptr;
  NcclResult (*get_unique_id)(NcclId*) = nullptr;
  NcclResult (*init_rank)(NcclComm**, int world, NcclId, int rank, NcclConfig*) = nullptr;
  NcclResult (*abort)(NcclComm*) = nullptr;
  NcclResult (*async_error)(NcclComm*, NcclResult*) = nullptr;
  const char* (*error_string)(NcclResult) = nullptr;
  const char* (*last_error)(NcclComm*) = nullptr;
  NcclResult (*all_reduce)(const void*, void*, std::size_t, NcclType, int op, NcclComm*,
                           cudaStream_t) = nullptr;
  NcclResult (*reduce_scatter)(const void*, void*, std::size_t, NcclType, int op, NcclComm*,
                               cudaStream_t) = nullptr;
  NcclResult (*all_gather)(const void*, void*, std::size_t, NcclType, NcclComm*,
                           cudaStream_t) = nullptr;
  NcclResult (*broadcast)(const void*, void*, std::size_t, NcclType, int root, NcclComm*,
                          cudaStream_t) = nullptr;
};

/// Loaded at the first call. Null where there is no NCCL, or one older than 2.14; `why` says so.
const NcclFunctions* nccl(std::string* why = nullptr);

}  // namespace farsight::cuda
