# The libraries, all from the distribution. A missing one is a sentence that names its package, not
# a page of CMake search paths.
function(farsight_find name package)
  find_package(${name} QUIET ${ARGN})
  if(NOT ${name}_FOUND)
    message(FATAL_ERROR "${name} was not found: run `make setup` (or apt install ${package}).")
  endif()
endfunction()

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
  message(FATAL_ERROR "g++ 12 or newer is needed, found ${CMAKE_CXX_COMPILER_VERSION} "
                      "(${CMAKE_CXX_COMPILER}).")
endif()
farsight_find(Threads build-essential)
farsight_find(fmt libfmt-dev)
farsight_find(CLI11 libcli11-dev)
farsight_find(tomlplusplus libtomlplusplus-dev)
farsight_find(nlohmann_json nlohmann-json3-dev)
farsight_find(ZLIB zlib1g-dev)
farsight_find(zstd libzstd-dev)
find_path(FARSIGHT_XXHASH xxhash.h)  # used as a header: it has no CMake package
if(NOT FARSIGHT_XXHASH)
  message(FATAL_ERROR "xxhash.h was not found: run `make setup` (or apt install libxxhash-dev).")
endif()
if(FARSIGHT_TESTS)
  farsight_find(doctest doctest-dev)
endif()
set(BLA_VENDOR OpenBLAS)
farsight_find(BLAS libopenblas-pthread-dev)
