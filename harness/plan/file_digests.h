#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "harness/plan/inputs.h"

namespace assay::plan {

// Digests of files on disk. They are kept in a JSON file between runs, each good for one (path,
// size, modification time in ns, inode), so that a checkpoint is read once:
//
//   {"version": 1, "files": {"<path>": {"size", "mtime_ns", "inode", "device", "digest"}}}
//
// A file changed within two seconds of reading is not kept: its time could not tell a second
// change. A cache that cannot be read is started anew; one that cannot be written is done without.
// Used by one thread.
class FileDigests : public InputDigests {
 public:
  // `cache`: the JSON file ("" keeps nothing).
  explicit FileDigests(std::filesystem::path cache);
  ~FileDigests() override;  // saves, and swallows what goes wrong
  FileDigests(const FileDigests&) = delete;
  FileDigests& operator=(const FileDigests&) = delete;

  Kind kind(const std::filesystem::path& path) override;
  std::vector<std::string> files_in(const std::filesystem::path& folder) override;
  std::string digest(const std::filesystem::path& path) override;
  std::string manifest(const std::filesystem::path& folder) override;
  std::string text(const std::filesystem::path& path) override;
  std::optional<std::string> environment(std::string_view name) override;

  // Writes the cache if something new is in it. Throws Error(kIo).
  void save();
  // Files that were read for their digest so far.
  std::int64_t files_read() const { return files_read_; }

 private:
  struct Entry {
    std::uint64_t size = 0;
    std::int64_t mtime_ns = 0;
    std::uint64_t inode = 0;
    std::uint64_t device = 0;
    std::string digest;
  };
  void load();

  std::filesystem::path cache_;
  std::map<std::string, Entry> entries_;
  bool changed_ = false;
  std::int64_t files_read_ = 0;
};

// $XDG_CACHE_HOME/assay/digests.json, else ~/.cache/assay/digests.json, else "".
std::filesystem::path digest_cache();

}  // namespace assay::plan
