# Warnings, hardening and optimisation, carried by one interface target. Host code only: nvcc has
# its own options in FarsightCuda.cmake.
add_library(farsight_options INTERFACE)
set(host_only $<COMPILE_LANGUAGE:CXX>)
target_compile_options(farsight_options INTERFACE
  $<${host_only}:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
                 -Wnon-virtual-dtor -Wold-style-cast -Wimplicit-fallthrough -Wno-psabi -Wno-restrict>
  $<${host_only}:-fstack-protector-strong -fno-math-errno -fopenmp-simd>)
target_compile_definitions(farsight_options INTERFACE _GLIBCXX_ASSERTIONS)
target_link_options(farsight_options INTERFACE -Wl,-z,relro,-z,now)

if(FARSIGHT_SANITIZE)
  # GCC warns falsely in instrumented code (its manual says so): warnings are errors elsewhere.
  # -fno-sanitize-recover: a report ends the program, so that no test passes over one.
  # -O0: instrumented code is twice as long to optimise as it is to compile, and sees more so; what
  # computes is optimised nevertheless, for the tests would wait for it.
  target_compile_options(farsight_options INTERFACE
    $<${host_only}:-fsanitize=${FARSIGHT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
                   -O0 -g1 -Wno-maybe-uninitialized>)
  # And what does not compile at all without: xxhash.h, for AVX-512.
  file(GLOB farsight_computing CONFIGURE_DEPENDS core/hash.cpp core/tensor.cpp ops/*.cpp)
  set_property(SOURCE ${farsight_computing} APPEND PROPERTY COMPILE_OPTIONS -O1)
  set_property(SOURCE ${farsight_computing} PROPERTY SKIP_PRECOMPILE_HEADERS ON)
  target_link_options(farsight_options INTERFACE -fsanitize=${FARSIGHT_SANITIZE})
else()
  target_compile_options(farsight_options INTERFACE
    $<${host_only}:-Werror>
    $<$<AND:${host_only},$<CONFIG:Release,RelWithDebInfo>>:-O3>
    # Undefined first: some distributions predefine another level, and a redefinition is a warning.
    $<$<AND:${host_only},$<CONFIG:Release,RelWithDebInfo>>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3>)
endif()

# The CPU kernels are written with fixed-width vectors; which instructions carry them is a build
# setting. `native` is right for a clone built where it runs; packages name a level.
if(NOT FARSIGHT_CPU STREQUAL "")
  include(CheckCXXCompilerFlag)
  string(MAKE_C_IDENTIFIER "FARSIGHT_MARCH_${FARSIGHT_CPU}" march_works)
  check_cxx_compiler_flag(-march=${FARSIGHT_CPU} ${march_works})
  if(NOT ${march_works})
    message(FATAL_ERROR "FARSIGHT_CPU=${FARSIGHT_CPU} is not a -march that ${CMAKE_CXX_COMPILER} knows: "
                        "use native, x86-64-v2, x86-64-v3, x86-64-v4, or nothing for the default.")
  endif()
  target_compile_options(farsight_options INTERFACE $<${host_only}:-march=${FARSIGHT_CPU}>)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(farsight_options INTERFACE $<${host_only}:-mprefer-vector-width=512>)
endif()

# Headers that most files include, compiled once a target: a quarter of a sanitizer build. Release
# builds do without, and so prove that every file includes what it uses.
if(FARSIGHT_SANITIZE)
  set(common_headers ON)
endif()
option(FARSIGHT_COMMON_HEADERS "Compile common headers once a target" ${common_headers})
function(farsight_headers_once target)  # TARGET [<HEADER>...]
  if(FARSIGHT_COMMON_HEADERS)
    target_precompile_headers(${target} PRIVATE
      <fmt/format.h> <algorithm> <array> <charconv> <cmath> <cstdint> <filesystem> <functional> <map>
      <memory> <optional> <set> <span> <string> <string_view> <utility> <vector>
      "${CMAKE_CURRENT_SOURCE_DIR}/core/files.h" "${CMAKE_CURRENT_SOURCE_DIR}/core/json.h"
      "${CMAKE_CURRENT_SOURCE_DIR}/core/tensor.h" ${ARGN})
  endif()
endfunction()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
  if(FARSIGHT_COMMON_HEADERS)  # as its manual asks for: nothing here depends on the time of day
    set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
    target_compile_options(farsight_options INTERFACE $<${host_only}:-fpch-preprocess>)
  endif()
endif()

# GCC bug 105593: AVX-512 intrinsics of its own headers warn when they are inlined (xxhash uses them).
set_property(SOURCE core/hash.cpp APPEND PROPERTY COMPILE_OPTIONS -Wno-uninitialized
             -Wno-maybe-uninitialized)
