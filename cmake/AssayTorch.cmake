# Finds the LibTorch that lies inside a PyPI torch wheel (or any LibTorch), with no CUDA toolkit, and makes
#   assay_torch        CPU LibTorch (libtorch_cpu + libc10) as our code links it
#   assay_torch_cuda   the same plus libtorch_cuda, libc10_cuda and cudart headers   (ASSAY_WITH_CUDA)
#   assay_nccl         NCCL                                                          (ASSAY_WITH_NCCL)
# ASSAY_SITE_PACKAGES: the folder that holds torch/ and nvidia/ (default: <source>/.deps/py/lib/python3*/site-packages).
# ASSAY_LIBTORCH: a folder with include/ and lib/ (an unpacked LibTorch, or .../site-packages/torch); wins over the former.
#
# find_package(Torch) is not used: it links libtorch_cuda and asks for a CUDA toolkit, NVSHMEM and cuSPARSELt even for CPU programs.

set(ASSAY_LIBTORCH "$ENV{ASSAY_LIBTORCH}" CACHE PATH "LibTorch folder (include/ and lib/)")
if(ASSAY_LIBTORCH)
  get_filename_component(ASSAY_SITE_PACKAGES "${ASSAY_LIBTORCH}" DIRECTORY)
  set(_torch "${ASSAY_LIBTORCH}")
else()
  if(NOT ASSAY_SITE_PACKAGES)
    file(GLOB _sp LIST_DIRECTORIES true "${CMAKE_SOURCE_DIR}/.deps/py/lib/python3*/site-packages")
    if(NOT _sp)
      message(FATAL_ERROR "No LibTorch: run ./bootstrap deps first, or set ASSAY_LIBTORCH to a LibTorch folder")
    endif()
    list(GET _sp 0 _sp0)
    set(ASSAY_SITE_PACKAGES "${_sp0}" CACHE PATH "site-packages that holds the torch wheel" FORCE)
  endif()
  set(_torch "${ASSAY_SITE_PACKAGES}/torch")
endif()
find_path(ASSAY_TORCH_INCLUDE torch/headeronly/version.h PATHS "${_torch}/include" NO_DEFAULT_PATH REQUIRED)
find_library(ASSAY_TORCH_CPU_LIBRARY torch_cpu PATHS "${_torch}/lib" NO_DEFAULT_PATH REQUIRED)
find_library(ASSAY_C10_LIBRARY c10 PATHS "${_torch}/lib" NO_DEFAULT_PATH REQUIRED)
set(ASSAY_TORCH_VERSION "")
foreach(_p MAJOR MINOR PATCH)
  file(STRINGS "${ASSAY_TORCH_INCLUDE}/torch/headeronly/version.h" _v REGEX "define TORCH_VERSION_${_p} [0-9]+")
  string(REGEX MATCH "[0-9]+$" _v "${_v}")
  list(APPEND ASSAY_TORCH_VERSION "${_v}")
endforeach()
list(JOIN ASSAY_TORCH_VERSION "." ASSAY_TORCH_VERSION)
if(ASSAY_TORCH_VERSION VERSION_LESS 2.9)
  message(FATAL_ERROR "LibTorch ${ASSAY_TORCH_VERSION} in ${_torch} is too old: 2.9 or newer is needed")
endif()
set(ASSAY_TORCH_RPATH "${_torch}/lib")
message(STATUS "LibTorch ${ASSAY_TORCH_VERSION}: ${ASSAY_TORCH_CPU_LIBRARY}")

function(_assay_imported name lib)
  add_library(${name} SHARED IMPORTED GLOBAL)
  set_target_properties(${name} PROPERTIES IMPORTED_LOCATION "${lib}")
endfunction()

_assay_imported(assay::c10 "${ASSAY_C10_LIBRARY}")
_assay_imported(assay::torch_cpu "${ASSAY_TORCH_CPU_LIBRARY}")
add_library(assay_torch INTERFACE)
# -idirafter, not -isystem: the wheel carries fmt 12 headers, and <fmt/...> must stay the system's fmt that spdlog links.
target_compile_options(assay_torch INTERFACE
  "SHELL:-idirafter ${ASSAY_TORCH_INCLUDE}" "SHELL:-idirafter ${ASSAY_TORCH_INCLUDE}/torch/csrc/api/include")
target_link_libraries(assay_torch INTERFACE assay::torch_cpu assay::c10 Threads::Threads)
# libtorch_cpu's own DT_RPATH finds ../../nvidia/cu13/lib at run time; the linker must see the same folder.
target_link_options(assay_torch INTERFACE "LINKER:-rpath-link,${ASSAY_SITE_PACKAGES}/nvidia/cu13/lib")

# <ATen/ATen.h> takes 5 s to parse.
assay_precompiled(assay_torch_header LINK assay_torch HEADERS <ATen/ATen.h> ${ASSAY_COMMON_HEADERS})
if(ASSAY_TESTS)
  assay_precompiled(assay_torch_test_header LINK assay_torch GTest::gmock HEADERS <ATen/ATen.h> <gmock/gmock.h> <gtest/gtest.h> ${ASSAY_COMMON_HEADERS})
  target_compile_options(assay_torch_test_header PRIVATE ${ASSAY_TEST_OPTIONS})
endif()

if(ASSAY_WITH_CUDA)
  set(_cuda_hints "${ASSAY_SITE_PACKAGES}/nvidia/cu13/include" "$ENV{CUDA_HOME}/include" /usr/local/cuda/include)
  find_path(ASSAY_CUDA_INCLUDE cublas_v2.h PATHS ${_cuda_hints} NO_DEFAULT_PATH REQUIRED)
  find_path(ASSAY_NCCL_INCLUDE nccl.h PATHS "${ASSAY_SITE_PACKAGES}/nvidia/nccl/include" ${_cuda_hints} NO_DEFAULT_PATH REQUIRED)
  find_library(ASSAY_NCCL_LIBRARY NAMES libnccl.so.2 nccl
    PATHS "${ASSAY_SITE_PACKAGES}/nvidia/nccl/lib" "$ENV{CUDA_HOME}/lib64" /usr/local/cuda/lib64 NO_DEFAULT_PATH REQUIRED)
  find_library(ASSAY_CUDART_LIBRARY NAMES libcudart.so.13
    PATHS "${ASSAY_SITE_PACKAGES}/nvidia/cu13/lib" "$ENV{CUDA_HOME}/lib64" /usr/local/cuda/lib64 NO_DEFAULT_PATH REQUIRED)
  foreach(_l torch_cuda c10_cuda)
    find_library(ASSAY_${_l}_LIBRARY ${_l} PATHS "${_torch}/lib" NO_DEFAULT_PATH REQUIRED)
    _assay_imported(assay::${_l}_lib "${ASSAY_${_l}_LIBRARY}")
  endforeach()
  _assay_imported(assay::cudart "${ASSAY_CUDART_LIBRARY}")
  _assay_imported(assay::nccl_lib "${ASSAY_NCCL_LIBRARY}")
  add_library(assay_nccl INTERFACE)
  target_include_directories(assay_nccl SYSTEM INTERFACE "${ASSAY_NCCL_INCLUDE}" "${ASSAY_CUDA_INCLUDE}")
  target_link_libraries(assay_nccl INTERFACE assay::nccl_lib)
  add_library(assay_torch_cuda INTERFACE)
  # NCCL first: a toolkit may have an older nccl.h than the library that libtorch_cuda needs.
  target_include_directories(assay_torch_cuda SYSTEM INTERFACE "${ASSAY_NCCL_INCLUDE}" "${ASSAY_CUDA_INCLUDE}")
  target_link_libraries(assay_torch_cuda INTERFACE assay_torch
    # Nothing refers to libtorch_cuda by symbol: its kernels register from static initialisers.
    -Wl,--push-state,--no-as-needed assay::torch_cuda_lib -Wl,--pop-state assay::c10_cuda_lib assay_nccl assay::cudart)
  # The wheel's libtorch_cuda needs libraries (cuDNN, cuSPARSELt, NVSHMEM, cuFile) that a build machine may not have.
  target_link_options(assay_torch_cuda INTERFACE "LINKER:--unresolved-symbols=ignore-in-shared-libs")
endif()
