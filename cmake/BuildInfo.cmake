# Run at each build: writes OUTPUT with the commit of SOURCE, and touches it only when that changed.
execute_process(COMMAND git -C "${SOURCE}" rev-parse HEAD OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET
                RESULT_VARIABLE failed)
if(failed)
  set(commit "")
endif()
execute_process(COMMAND git -C "${SOURCE}" diff --quiet HEAD RESULT_VARIABLE dirty OUTPUT_QUIET ERROR_QUIET)
if(dirty EQUAL 1)
  set(dirty true)
else()
  set(dirty false)
endif()
set(content "#include \"harness/run/build_info.h\"

namespace assay::run {

const BuildInfo kBuildInfo = {\"${VERSION}\", \"${commit}\", ${dirty}};

}  // namespace assay::run
")
if(EXISTS "${OUTPUT}")
  file(READ "${OUTPUT}" before)
endif()
if(NOT "${before}" STREQUAL "${content}")
  file(WRITE "${OUTPUT}" "${content}")
endif()
