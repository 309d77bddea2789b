#include "core/device_ranks.h"

#include "core/check.h"

#if !FARSIGHT_CUDA

namespace farsight {

struct DeviceRanks::State {};

namespace {
[[noreturn]] void no_gpu() {
  fail(ExitCode::device, "this build has no CUDA");
}
}  // namespace

bool nccl_available(std::string* why) {
  if (why != nullptr) *why = "this build has no CUDA";
  return false;
}
std::string nccl_version() {
  return {};
}
DeviceRanks::Id DeviceRanks::new_id() {
  no_gpu();
}
DeviceRanks::DeviceRanks(const Id&, int, int, double) {
  no_gpu();
}
DeviceRanks::~DeviceRanks() = default;
void DeviceRanks::all_reduce(void*, std::int64_t, DType) {}
void DeviceRanks::reduce_scatter(void*, std::int64_t, DType) {}
void DeviceRanks::all_gather(void*, std::int64_t, DType) {}
void DeviceRanks::broadcast(void*, std::int64_t, DType, int) {}
void DeviceRanks::join() {}
std::optional<std::string> DeviceRanks::failure() const {
  return std::nullopt;
}
void DeviceRanks::abort() {}
void choose_gpu(int) {
  no_gpu();
}
std::string gpu_identity() {
  no_gpu();
}

}  // namespace farsight

#endif
