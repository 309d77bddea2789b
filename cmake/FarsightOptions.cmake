# Warnings, hardening and optimisation, carried by one interface target.
add_library(farsight_options INTERFACE)
set(host_only $<COMPILE_LANGUAGE:CXX>)
target_compile_options(farsight_options INTERFACE
  $<${host_only}:-Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wsign-conversion
                 -Wnon-virtual-dtor -Wold-style-cast -Wimplicit-fallthrough -Wno-psabi>
  $<${host_only}:-fstack-protector-strong -fno-math-errno -fopenmp-simd>
  $<$<AND:${host_only},$<CONFIG:Release,RelWithDebInfo>>:-O3>)
target_compile_definitions(farsight_options INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:_GLIBCXX_ASSERTIONS>)
if(NOT FARSIGHT_SANITIZE)
  target_compile_definitions(farsight_options INTERFACE $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
endif()

# The CPU kernels are written with fixed-width vectors; which instructions carry them is a build
# setting. `native` is right for a clone built where it runs; packages name a level.
if(NOT FARSIGHT_CPU STREQUAL "")
  target_compile_options(farsight_options INTERFACE $<${host_only}:-march=${FARSIGHT_CPU}>)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(farsight_options INTERFACE $<${host_only}:-mprefer-vector-width=512>)
endif()

set(FARSIGHT_SANITIZE "" CACHE STRING "Sanitizers, for example address,undefined or thread")
if(FARSIGHT_SANITIZE)
  target_compile_options(farsight_options INTERFACE
    $<${host_only}:-fsanitize=${FARSIGHT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1>)
  target_link_options(farsight_options INTERFACE -fsanitize=${FARSIGHT_SANITIZE})
endif()
target_link_options(farsight_options INTERFACE -Wl,-z,relro,-z,now)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()
