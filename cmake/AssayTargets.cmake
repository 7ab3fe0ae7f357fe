# How targets of the project are made: one place for standards, warnings, sanitizers, ccache and the LibTorch header.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
# -g1 keeps line tables for stack traces at a third of the link time and disk of -g.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")

find_program(ASSAY_CCACHE ccache)
if(ASSAY_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${ASSAY_CCACHE})
endif()
find_program(ASSAY_MOLD mold)
if(ASSAY_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# Batches: several sources included into one file that is compiled once, because a third of the time of a build is what each compilation
# costs whatever is in it. A change of one source recompiles its batch, so presets for work on the sources leave this off.
option(ASSAY_UNITY "Compile sources in batches: faster full builds, slower small edits" OFF)
set(ASSAY_BATCH 8)
function(assay_in_batches name)
  set_target_properties(${name} PROPERTIES UNITY_BUILD ${ASSAY_UNITY} UNITY_BUILD_BATCH_SIZE ${ASSAY_BATCH})
endfunction()
# Sources that are in no batch: ALONE of the functions below. Sources of one batch share their anonymous namespaces, so two helpers of one name
# in them do not compile. Records (families, metrics, readers, commands) are written by copying one another and name their helpers alike on
# purpose. Their lists are passed as ALONE, so that one more is one more name in a list and never collides. The folder of a method, and that of
# its tests, is a batch of its own.
function(assay_batch_by_folder name)
  set_target_properties(${name} PROPERTIES UNITY_BUILD_MODE GROUP)
  foreach(source ${ARGN})
    get_filename_component(folder "${source}" DIRECTORY)
    string(MAKE_C_IDENTIFIER "in_${folder}" group)
    set_source_files_properties("${source}" PROPERTIES UNITY_GROUP "${group}")
  endforeach()
endfunction()
function(assay_alone)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

add_library(assay_options INTERFACE)
target_include_directories(assay_options INTERFACE "${CMAKE_SOURCE_DIR}")
# Designated initialisers leave the rest at its default on purpose.
# -fpch-preprocess lets ccache see which precompiled header a file uses.
target_compile_options(assay_options INTERFACE -fpch-preprocess -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-missing-field-initializers $<$<BOOL:${ASSAY_WERROR}>:-Werror>)
if(ASSAY_SANITIZE)
  target_compile_options(assay_options INTERFACE -fsanitize=${ASSAY_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(assay_options INTERFACE -fsanitize=${ASSAY_SANITIZE})
endif()

# spdlog and fmt: header-only under ThreadSanitizer (the shared library is not instrumented and gives false races).
add_library(assay_logging INTERFACE)
if(ASSAY_SANITIZE MATCHES "thread")
  target_link_libraries(assay_logging INTERFACE spdlog::spdlog_header_only fmt::fmt-header-only)
else()
  target_link_libraries(assay_logging INTERFACE spdlog::spdlog fmt::fmt)
endif()

# Headers that nearly every file includes, parsed once for each kind of target instead of once for each file. Headers of the project are
# none of them: an edit would rebuild everything. lint.*_headers compile every header of ours without these.
set(ASSAY_COMMON_HEADERS <algorithm> <cstdint> <filesystem> <functional> <map> <memory> <optional> <set> <string> <string_view> <vector>
    <fmt/format.h> <fmt/ranges.h> <nlohmann/json.hpp>)
# assay_precompiled(NAME LINK ... HEADERS ...): an object library that carries one precompiled header.
function(assay_precompiled name)
  cmake_parse_arguments(A "" "" "LINK;HEADERS" ${ARGN})
  file(CONFIGURE OUTPUT "${CMAKE_BINARY_DIR}/${name}.cpp" CONTENT "// Carries a precompiled header.\n")
  add_library(${name} OBJECT "${CMAKE_BINARY_DIR}/${name}.cpp")
  target_link_libraries(${name} PRIVATE assay_options assay_logging nlohmann_json::nlohmann_json ${A_LINK})
  target_precompile_headers(${name} PRIVATE ${A_HEADERS})
endfunction()
# Tests are compiled far more often than their speed matters.
set(ASSAY_TEST_OPTIONS $<$<CONFIG:RelWithDebInfo>:-O1>)
# Programs are compiled like libraries, or a precompiled header (made with -fPIC) does not fit.
function(assay_use_precompiled name header)
  target_precompile_headers(${name} REUSE_FROM ${header})
  get_target_property(type ${name} TYPE)
  if(type STREQUAL "EXECUTABLE")
    set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${name} PRIVATE -fPIC)
  endif()
endfunction()

function(assay_plain_library name)
  cmake_parse_arguments(A "" "" "SOURCES;ALONE;LINK;PRIVATE" ${ARGN})
  add_library(${name} STATIC ${A_ALONE} ${A_SOURCES})
  assay_in_batches(${name})
  assay_alone(${A_ALONE})
  target_link_libraries(${name} PUBLIC assay_options ${A_LINK} PRIVATE ${A_PRIVATE})
endfunction()

# assay_library(NAME SOURCES a.cpp ... ALONE b.cpp ... LINK other ...)
function(assay_library name)
  assay_plain_library(${name} ${ARGN})
  assay_use_precompiled(${name} assay_control_header)
endfunction()

# The same for code on LibTorch: adds LibTorch and the shared precompiled header.
function(assay_torch_library name)
  cmake_parse_arguments(A "" "" "SOURCES;ALONE;LINK;PRIVATE" ${ARGN})
  assay_plain_library(${name} SOURCES ${A_SOURCES} ALONE ${A_ALONE} LINK ${A_LINK} assay_torch PRIVATE ${A_PRIVATE})
  assay_use_precompiled(${name} assay_torch_header)
endfunction()

# assay_record_list(FILE HEADER NAMESPACE TYPE FUNCTION KIND NAME...): writes a source file that defines `std::vector<TYPE> FUNCTION()`, the
# list of what NAME_KIND() gives for each NAME. So a new method, say, is its folder and its name in one list.
function(assay_record_list file header namespace type function kind)
  set(declarations "")
  set(calls "")
  foreach(name ${ARGN})
    string(APPEND declarations "${type} ${name}_${kind}();\n")
    string(APPEND calls "          ${name}_${kind}(),\n")
  endforeach()
  file(CONFIGURE OUTPUT "${file}" @ONLY CONTENT [=[
// Written by assay_record_list() of cmake/AssayTargets.cmake.
#include "@header@"

namespace @namespace@ {

@declarations@
std::vector<@type@> @function@() {
  return {
@calls@  };
}

}  // namespace @namespace@
]=])
endfunction()

# assay_call_list(FILE HEADER NAMESPACE FUNCTION PARAMETER KIND NAME...): the same for calls: FUNCTION(PARAMETER) calls NAME_KIND of it for each NAME.
function(assay_call_list file header namespace function parameter kind)
  set(declarations "")
  set(calls "")
  foreach(name ${ARGN})
    string(APPEND declarations "void ${name}_${kind}(${parameter});\n")
    string(APPEND calls "  ${name}_${kind}(it);\n")
  endforeach()
  file(CONFIGURE OUTPUT "${file}" @ONLY CONTENT [=[
// Written by assay_call_list() of cmake/AssayTargets.cmake.
#include "@header@"

namespace @namespace@ {

@declarations@
void @function@(@parameter@ it) {
@calls@}

}  // namespace @namespace@
]=])
endfunction()

# assay_test(NAME SOURCES ... [ALONE ...] LINK ... [LABELS unit] [TORCH]): one GoogleTest program, each case a CTest.
function(assay_test name)
  cmake_parse_arguments(A "TORCH" "TIMEOUT" "SOURCES;ALONE;LINK;LABELS" ${ARGN})
  if(NOT A_LABELS)
    set(A_LABELS unit)
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  add_executable(${name} ${A_ALONE} ${A_SOURCES})
  assay_in_batches(${name})
  assay_alone(${A_ALONE})
  target_link_libraries(${name} PRIVATE assay_options ${A_LINK} assay_test_folder GTest::gmock GTest::gtest_main)
  target_compile_options(${name} PRIVATE ${ASSAY_TEST_OPTIONS})
  if(A_TORCH)
    target_link_libraries(${name} PRIVATE assay_torch)
    assay_use_precompiled(${name} assay_torch_test_header)
  else()
    assay_use_precompiled(${name} assay_test_header)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  # One CTest a program: a case a process would start LibTorch hundreds of times.
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  if(ASSAY_SANITIZE)
    math(EXPR A_TIMEOUT "${A_TIMEOUT} * 10")
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${A_LABELS}" TIMEOUT ${A_TIMEOUT})
  if(A_TORCH)
    # As executors run; two threads on a busy machine spin at barriers for most of the time.
    set_tests_properties(${name} PROPERTIES ENVIRONMENT OMP_NUM_THREADS=1)
  endif()
endfunction()
