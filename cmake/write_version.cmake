# Run at every build by FarsightVersion.cmake; touches OUTPUT only when its text changed.
set(COMMIT unknown)
find_program(GIT git)
if(GIT)
  # A copy of the sources inside some other repository must not borrow that repository's commit.
  execute_process(COMMAND ${GIT} rev-parse --show-toplevel WORKING_DIRECTORY ${SOURCE_DIR}
                  OUTPUT_VARIABLE top OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  file(REAL_PATH ${SOURCE_DIR} source)
  if(top STREQUAL source)
    execute_process(COMMAND ${GIT} describe --always --dirty=+changes WORKING_DIRECTORY ${SOURCE_DIR}
                    OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(described)
      set(COMMIT ${described})
    endif()
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
// Written by cmake/write_version.cmake.
#pragma once

#define FARSIGHT_VERSION "@VERSION@"
#define FARSIGHT_COMMIT "@COMMIT@"
#define FARSIGHT_BUILD_TYPE "@BUILD_TYPE@"
#define FARSIGHT_COMPILER "@COMPILER@"
#define FARSIGHT_SANITIZERS "@SANITIZERS@"
#define FARSIGHT_CPU_LEVEL "@CPU_LEVEL@"
#define FARSIGHT_CPU_FEATURES "@CPU_FEATURES@"
#define FARSIGHT_CUDA_ARCHITECTURES "@CUDA_ARCHITECTURES@"
]])
