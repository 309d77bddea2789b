# Finds CUDA by itself. AUTO builds the backend when nvcc is there; ON fails loudly when it is not.
# Sets FARSIGHT_HAS_CUDA, farsight_kernels and farsight_hopper_kernels.
set(FARSIGHT_HAS_CUDA OFF)
if(NOT FARSIGHT_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "FARSIGHT_CUDA must be AUTO, ON or OFF, got '${FARSIGHT_CUDA}'.")
endif()
file(GLOB farsight_kernels CONFIGURE_DEPENDS cuda/*.cu cuda/*.cpp)
# These use instructions that only compute capability 9.0 has, and are compiled for it alone.
file(GLOB farsight_hopper_kernels CONFIGURE_DEPENDS cuda/*_hopper*.cu)
if(farsight_hopper_kernels)
  list(REMOVE_ITEM farsight_kernels ${farsight_hopper_kernels})
endif()

if(NOT FARSIGHT_CUDA STREQUAL "OFF")
  if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    # CMake looks on PATH only; NVIDIA's packages install beside it.
    find_program(FARSIGHT_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda
                 PATH_SUFFIXES bin DOC "CUDA compiler")
    if(FARSIGHT_NVCC)
      set(CMAKE_CUDA_COMPILER ${FARSIGHT_NVCC})
    endif()
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(FARSIGHT_HAS_CUDA ON)
  elseif(FARSIGHT_CUDA STREQUAL "ON")
    message(FATAL_ERROR
      "FARSIGHT_CUDA=ON, but no working CUDA compiler was found: put nvcc on PATH (for example "
      "PATH=/usr/local/cuda/bin:$PATH) or configure with -DFARSIGHT_CUDA=OFF; `make doctor` says "
      "what this machine has.")
  endif()
endif()

if(FARSIGHT_HAS_CUDA)
  # 80: A100. 90: H100, H200. The last one also embeds PTX, which newer GPUs compile at load. Naming
  # them needs no GPU at configure time, as `native` would.
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 90-virtual CACHE STRING
        "GPU architectures; each doubles the work of nvcc")
  endif()
  if(NOT CMAKE_CUDA_ARCHITECTURES MATCHES "90|all|native")
    set(farsight_hopper_kernels "")  # such GPUs take the kernels that all have
  endif()
  enable_language(CUDA)
  if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.0)
    message(FATAL_ERROR "C++20 kernels need CUDA 12.0 or newer, found ${CMAKE_CUDA_COMPILER_VERSION} "
                        "(${CMAKE_CUDA_COMPILER}): install a newer toolkit or use -DFARSIGHT_CUDA=OFF.")
  endif()
  string(APPEND CMAKE_CUDA_FLAGS " -Xptxas --warn-on-spills")
  # CMake 3.25 does not know C++20 for nvcc: where the standard is required (as it is for C++, which
  # CUDA inherits) it refuses, where it is not it says nothing and drops it.
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_STANDARD_REQUIRED OFF)
  if(NOT cuda_std_20 IN_LIST CMAKE_CUDA_COMPILE_FEATURES)
    string(APPEND CMAKE_CUDA_FLAGS " -std=c++20")
  endif()
  find_package(CUDAToolkit REQUIRED)
  if(NOT farsight_kernels)
    set(FARSIGHT_HAS_CUDA OFF)  # the compiler works, but there is nothing for it to compile
    message(STATUS "CUDA: nvcc ${CMAKE_CUDA_COMPILER_VERSION}, but cuda/ holds no kernels: CPU only")
  else()
    message(STATUS "CUDA: nvcc ${CMAKE_CUDA_COMPILER_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}")
  endif()
else()
  message(STATUS "CUDA: none, CPU only (FARSIGHT_CUDA=${FARSIGHT_CUDA})")
endif()
