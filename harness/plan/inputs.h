#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/formats/checkpoint_layout.h"
#include "harness/formats/input_file.h"
#include "harness/formats/manifest.h"

namespace assay::plan {

// What the planner asks of the outside: which files there are, and their digests. The planner
// itself touches no disk; `FileDigests` is the real one, tests fake it.
class InputDigests : public FileView {
 public:
  struct Known {
    std::string digest;  // SHA-256 of the content
    std::optional<FileIdentity> identity;  // none: the file is too fresh to be told by it
  };

  // Throws Error(kIo) naming the file.
  virtual Known known(const std::filesystem::path& path) = 0;
  std::string digest(const std::filesystem::path& path) { return known(path).digest; }

  // Names of the folders in a folder, in bytewise order; no file is read. Throws Error(kIo) if it
  // cannot be listed, Error(kData) for a name that is not UTF-8.
  virtual std::vector<std::string> folders_in(const std::filesystem::path& folder) = 0;

  // Of a folder, with the digest of each file in it.
  virtual Manifest manifest(const std::filesystem::path& folder) = 0;

  // Value of an environment variable.
  virtual std::optional<std::string> environment(std::string_view name) = 0;
};

}  // namespace assay::plan
