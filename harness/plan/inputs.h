#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace assay::plan {

// What the planner asks of the outside: which files there are, and their digests. The planner
// itself touches no disk; `FileDigests` is the real one, tests fake it.
class InputDigests {
 public:
  enum class Kind { kMissing, kFile, kFolder };

  virtual ~InputDigests() = default;

  virtual Kind kind(const std::filesystem::path& path) = 0;
  // Names of the regular files of a folder, sorted.
  virtual std::vector<std::string> files_in(const std::filesystem::path& folder) = 0;
  // SHA-256 of the content. Throws Error(kIo) naming the file.
  virtual std::string digest(const std::filesystem::path& path) = 0;
  // SHA-256 of the manifest of a folder: a line "<digest>  <relative path>" for each regular file
  // below it, sorted by path.
  virtual std::string manifest(const std::filesystem::path& folder) = 0;
  // Content of a small file (an index of shards).
  virtual std::string text(const std::filesystem::path& path) = 0;
  // Value of an environment variable.
  virtual std::optional<std::string> environment(std::string_view name) = 0;
};

}  // namespace assay::plan
