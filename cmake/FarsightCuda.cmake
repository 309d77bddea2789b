# Finds CUDA by itself. AUTO builds the backend when nvcc is there; ON fails loudly when it is not.
set(FARSIGHT_HAS_CUDA OFF)
if(NOT FARSIGHT_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "FARSIGHT_CUDA must be AUTO, ON or OFF, got '${FARSIGHT_CUDA}'")
endif()
if(NOT FARSIGHT_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(FARSIGHT_HAS_CUDA ON)
  elseif(FARSIGHT_CUDA STREQUAL "ON")
    message(FATAL_ERROR "FARSIGHT_CUDA=ON, but no CUDA compiler was found. Put nvcc on PATH (for "
                        "example PATH=/usr/local/cuda/bin:$PATH), or configure with -DFARSIGHT_CUDA=OFF")
  endif()
endif()
if(FARSIGHT_HAS_CUDA)
  # 80: A100. 90: H100, H200. The last one also embeds PTX, which newer GPUs compile at load.
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 90-virtual CACHE STRING
        "GPU architectures; each doubles the work of nvcc")
  endif()
  enable_language(CUDA)
  # CMake 3.25 does not know C++20 for nvcc 13 and would drop CMAKE_CUDA_STANDARD silently.
  string(APPEND CMAKE_CUDA_FLAGS " -std=c++20 -Xptxas --warn-on-spills")
  find_package(CUDAToolkit REQUIRED)
endif()
