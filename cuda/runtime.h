// The device in use, for kernels and for the host code around them. Read by nvcc in every kernel
// file: no standard header. What the folders above need of a GPU is in core/device_calls.h.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace farsight::cuda {

/// The one stream that computes: everything that touches an arena's block is ordered on it.
cudaStream_t stream();
/// For transfers of blocks that live on, beside the computation.
cudaStream_t copy_stream();
/// Multiprocessors of the device in use.
int multiprocessors();
/// Of the device in use, tenfold: 90 for an H100.
int compute_capability();

/// Throws Error(device): "cudaMalloc: out of memory".
void succeeded(cudaError_t status, const char* call);
/// After every launch: throws Error(device) naming the kernel if the launch failed; with
/// FARSIGHT_SYNC=1 waits for it, so that an asynchronous fault names its kernel.
void launched(const char* kernel);
/// FARSIGHT_SYNC=1.
bool sync_after_launch();
/// Throws Error(device): "selective_scan_forward: f64 runs on the CPU only".
[[noreturn]] void unsupported(const char* kernel, const char* what);

/// Scratch memory of the compute stream's matrix products, there from select_gpu() on: it is never
/// freed, so that a captured graph may hold its address.
struct Workspace {
  void* address = nullptr;
  std::int64_t bytes = 0;
};
Workspace workspace();

/// The moments of core/device_calls.h: events on the compute stream.
void mark(int moment);
double elapsed_ms(int from, int to);

/// The large copies of core/device_calls.h, on the copy stream.
void copy_out(void* to, const void* from, std::int64_t bytes);
void hold_for_copies();
void wait_for_copies();

/// The graphs of core/device_calls.h: the compute stream, captured.
bool begin_graph();
void* end_graph();
void start_graph(void* graph);
void release_graph(void* graph);

/// The spans of core/trace.h, as NVTX ranges; called by select_gpu().
void install_spans();
/// The memory calls of core/device_calls.h, and the arena's segments; called by select_gpu().
void install_memory();

}  // namespace farsight::cuda
