# generated/version.h: what this build is (version, commit, build type, CPU level, GPU
# architectures), for --version, result.json and doctor. The commit is asked for at every build, and
# the file is written only when something in it changed; only core/version.cpp includes it.

# What the compiler may use with these flags, in the words of /proc/cpuinfo: `make doctor` compares
# it with the processor before it starts a program that would die of an illegal instruction.
set(farsight_march ${FARSIGHT_CPU})
if(farsight_march)
  set(farsight_march -march=${farsight_march})
endif()
execute_process(COMMAND ${CMAKE_CXX_COMPILER} ${farsight_march} -dM -E -x c++ /dev/null
                OUTPUT_VARIABLE farsight_macros)
set(farsight_cpu_features "")
foreach(pair SSE4_2:sse4_2 AVX:avx AVX2:avx2 FMA:fma F16C:f16c BMI:bmi1 BMI2:bmi2 AVX512F:avx512f
             AVX512BW:avx512bw AVX512CD:avx512cd AVX512DQ:avx512dq AVX512VL:avx512vl
             AVX512VNNI:avx512_vnni AVX512BF16:avx512_bf16 AVX512FP16:avx512_fp16 AVXVNNI:avx_vnni
             AMXTILE:amx_tile)
  string(REGEX MATCH "^[^:]+" macro ${pair})
  string(REGEX MATCH "[^:]+$" feature ${pair})
  if(farsight_macros MATCHES "#define __${macro}__ 1")
    string(APPEND farsight_cpu_features " ${feature}")
  endif()
endforeach()
string(STRIP "${farsight_cpu_features}" farsight_cpu_features)

if(farsight_cpu_features MATCHES "avx512f avx512bw avx512cd avx512dq avx512vl")
  set(farsight_cpu_level x86-64-v4)
elseif(farsight_cpu_features MATCHES "avx2 fma f16c bmi1 bmi2")
  set(farsight_cpu_level x86-64-v3)
elseif(farsight_cpu_features MATCHES "sse4_2")
  set(farsight_cpu_level x86-64-v2)
else()
  set(farsight_cpu_level ${CMAKE_SYSTEM_PROCESSOR})
endif()

set(farsight_gpus "")
if(FARSIGHT_HAS_CUDA)
  string(JOIN " " farsight_gpus ${CMAKE_CUDA_ARCHITECTURES})
endif()

add_custom_target(farsight_version
  COMMAND ${CMAKE_COMMAND}
    -D SOURCE_DIR=${CMAKE_CURRENT_SOURCE_DIR}
    -D OUTPUT=${CMAKE_BINARY_DIR}/generated/version.h
    -D VERSION=${PROJECT_VERSION}
    -D "BUILD_TYPE=$<CONFIG>"
    -D "COMPILER=${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}"
    -D "SANITIZERS=${FARSIGHT_SANITIZE}"
    -D "CPU_LEVEL=${farsight_cpu_level}"
    -D "CPU_FEATURES=${farsight_cpu_features}"
    -D "CUDA_ARCHITECTURES=${farsight_gpus}"
    -P ${CMAKE_CURRENT_SOURCE_DIR}/cmake/write_version.cmake
  BYPRODUCTS ${CMAKE_BINARY_DIR}/generated/version.h
  COMMENT "Asking git for the commit" VERBATIM)
