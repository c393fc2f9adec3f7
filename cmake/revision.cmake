cmake_minimum_required(VERSION 3.20)
# Writes OUT with version and git revision; touches it only when they changed, so that a commit
# rebuilds one file.
set(revision unknown)
find_package(Git QUIET)
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} --no-optional-locks describe --always --dirty WORKING_DIRECTORY ${SOURCE}
    OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(described)
    set(revision ${described})
  endif()
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define LCM_VERSION \"@VERSION@\"\n#define LCM_REVISION \"@revision@\"\n" @ONLY)
