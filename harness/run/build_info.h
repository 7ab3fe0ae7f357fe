#pragma once

namespace assay::run {

// Which source this program was built from; goes into the provenance of every attempt. Written by
// cmake/BuildInfo.cmake.
struct BuildInfo {
  const char* version;
  const char* commit;  // "" outside a repository
  bool dirty;          // built with changes that are not committed
};

extern const BuildInfo kBuildInfo;

}  // namespace assay::run
