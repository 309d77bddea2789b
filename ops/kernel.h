// The border between an operation and its kernels.
//
// KERNEL(name, Args) declares the twins farsight::cpu::name and farsight::cuda::name; LAUNCH(name,
// device, args) calls the one of the device. Twins by name: go-to-definition works, nothing is
// registered, nothing is virtual. On the meta device nothing runs: the same code plans memory.
//
// This header and the operation headers are also read by nvcc, which must not see Tensor's insides:
// a declaration with an incomplete type is all that a kernel file needs.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace farsight {

class Tensor;
enum class Device : std::uint8_t;

[[noreturn]] void no_cuda(const char* kernel);

}  // namespace farsight

#if FARSIGHT_CUDA
#define FARSIGHT_KERNEL(name, Args) \
  namespace farsight::cpu {         \
  void name(const Args&);           \
  }                                 \
  namespace farsight::cuda {        \
  void name(const Args&);           \
  }
#else
#define FARSIGHT_KERNEL(name, Args) \
  namespace farsight::cpu {         \
  void name(const Args&);           \
  }                                 \
  namespace farsight::cuda {        \
  inline void name(const Args&) {   \
    no_cuda(#name);                 \
  }                                 \
  }
#endif

#define FARSIGHT_LAUNCH(name, device, args) \
  do {                                      \
    switch (device) {                       \
      case ::farsight::Device::cpu:         \
        ::farsight::cpu::name(args);        \
        break;                              \
      case ::farsight::Device::cuda:        \
        ::farsight::cuda::name(args);       \
        break;                              \
      case ::farsight::Device::meta:        \
        break;                              \
    }                                       \
  } while (false)
