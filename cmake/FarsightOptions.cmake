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
  target_compile_options(farsight_options INTERFACE
    $<${host_only}:-fsanitize=${FARSIGHT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
                   -O1 -g1 -Wno-maybe-uninitialized>)
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

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()

# GCC bug 105593: AVX-512 intrinsics of its own headers warn when they are inlined (xxhash uses them).
set_source_files_properties(core/hash.cpp PROPERTIES COMPILE_OPTIONS
                            "-Wno-uninitialized;-Wno-maybe-uninitialized")
