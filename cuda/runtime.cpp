#include "cuda/runtime.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "core/check.h"
#include "core/device_calls.h"
#include "core/device_ranks.h"
#include "core/version.h"
#include "cuda/convert.cuh"

namespace farsight {
namespace cuda {
namespace {

constexpr std::int64_t kWorkspaceBytes = std::int64_t{32} << 20;  // what cuBLAS asks for on Hopper

struct Gpu {
  bool selected = false;
  int index = 0;  // among those that the process sees
  cudaStream_t compute = nullptr, copy = nullptr;
  cudaDeviceProp properties = {};
  Workspace workspace;
};

Gpu& gpu() {
  static Gpu instance;
  return instance;
}

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

/// Empty when the first visible device can run this build's kernels.
std::string reason_against() {
  int devices = 0;
  const cudaError_t counted = cudaGetDeviceCount(&devices);
  static_cast<void>(cudaGetLastError());  // a failed question is not a failed launch
  if (counted == cudaErrorInsufficientDriver || counted == cudaErrorStubLibrary) {
    int driver = 0;
    static_cast<void>(cudaDriverGetVersion(&driver));
    if (driver == 0) return "this machine has no NVIDIA driver";
    return fmt::format("the NVIDIA driver is for CUDA {}, this build needs {}",
                       version_text(driver), version_text(CUDART_VERSION));
  }
  if (counted == cudaErrorNoDevice || (counted == cudaSuccess && devices == 0)) {
    return std::getenv("CUDA_VISIBLE_DEVICES") != nullptr
               ? "CUDA_VISIBLE_DEVICES hides every GPU, or there is none"
               : "this machine has no NVIDIA GPU";
  }
  if (counted != cudaSuccess) return fmt::format("CUDA: {}", cudaGetErrorString(counted));
  cudaDeviceProp& properties = gpu().properties;
  const cudaError_t asked = cudaGetDeviceProperties(&properties, gpu().index);
  if (asked != cudaSuccess) return fmt::format("CUDA: {}", cudaGetErrorString(asked));
  static_cast<void>(cudaSetDevice(gpu().index));  // or the question would open the first
  const cudaError_t fits = kernels_fit_device();
  static_cast<void>(cudaGetLastError());
  if (fits == cudaSuccess) return {};
  if (fits == cudaErrorNoKernelImageForDevice || fits == cudaErrorInvalidDeviceFunction ||
      fits == cudaErrorUnsupportedPtxVersion) {
    return fmt::format(
        "built for GPU architectures {}, found {} ({}): configure with "
        "-DCMAKE_CUDA_ARCHITECTURES={}{}",
        build_info().cuda_architectures, fmt::format("{}.{}", properties.major, properties.minor),
        properties.name, properties.major, properties.minor);
  }
  return fmt::format("{} cannot be used: {}", properties.name, cudaGetErrorString(fits));
}

}  // namespace

cudaStream_t stream() {
  return gpu().compute;
}
cudaStream_t copy_stream() {
  return gpu().copy;
}
int multiprocessors() {
  return gpu().properties.multiProcessorCount;
}
int compute_capability() {
  return 10 * gpu().properties.major + gpu().properties.minor;
}
Workspace workspace() {
  return gpu().workspace;
}

bool sync_after_launch() {
  static const bool wanted = [] {
    const char* value = std::getenv("FARSIGHT_SYNC");
    return value != nullptr && std::string_view(value) != "0" && *value != '\0';
  }();
  return wanted;
}

void succeeded(cudaError_t status, const char* call) {
  require(status == cudaSuccess, ExitCode::device, "{}: {}", call, cudaGetErrorString(status));
}

void launched(const char* kernel) {
  cudaError_t status = cudaGetLastError();
  if (status == cudaSuccess && sync_after_launch()) status = cudaStreamSynchronize(stream());
  require(status == cudaSuccess, ExitCode::device, "kernel {}: {}", kernel,
          cudaGetErrorString(status));
}

void unsupported(const char* kernel, const char* what) {
  fail(ExitCode::device, "{}: {} runs on the CPU only", kernel, what);
}

}  // namespace cuda

int gpu_count() {
  int devices = 0;
  const cudaError_t counted = cudaGetDeviceCount(&devices);
  static_cast<void>(cudaGetLastError());
  return counted == cudaSuccess ? devices : 0;
}

bool gpu_available(std::string* why) {
  static const std::string reason = cuda::reason_against();
  if (why != nullptr) *why = reason;
  return reason.empty();
}

void select_gpu() {
  cuda::Gpu& gpu = cuda::gpu();
  if (gpu.selected) return;
  std::string why;
  require(gpu_available(&why), ExitCode::device, "{}", why);
  using cuda::succeeded;
  succeeded(cudaSetDevice(gpu.index), "cudaSetDevice");
  // Neither waits for the legacy default stream, which nothing here uses.
  succeeded(cudaStreamCreateWithFlags(&gpu.compute, cudaStreamNonBlocking), "cudaStreamCreate");
  succeeded(cudaStreamCreateWithFlags(&gpu.copy, cudaStreamNonBlocking), "cudaStreamCreate");
  gpu.workspace.bytes = cuda::kWorkspaceBytes;
  succeeded(cudaMalloc(&gpu.workspace.address, cuda::kWorkspaceBytes), "cudaMalloc");
  cuda::install_memory();
  cuda::install_spans();
  gpu.selected = true;
}

std::string gpu_name() {
  return cuda::gpu().properties.name;
}

void choose_gpu(int index) {
  check(!cuda::gpu().selected || cuda::gpu().index == index, "choose_gpu: one is in use already");
  const int count = gpu_count();
  require(index < std::max(count, 1), ExitCode::device,
          "GPU {} (counted from 0) is asked for, and this machine shows {}", index, count);
  cuda::gpu().index = index;
}

std::string gpu_identity() {
  const char* bytes = cuda::gpu().properties.uuid.bytes;
  std::string text;
  for (std::size_t i = 0; i < sizeof cuda::gpu().properties.uuid.bytes; i++)
    text += fmt::format("{:02x}", static_cast<unsigned char>(bytes[i]));
  return text;
}

}  // namespace farsight
