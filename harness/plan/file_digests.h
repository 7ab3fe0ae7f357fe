#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "harness/formats/disk_files.h"
#include "harness/plan/inputs.h"

namespace assay::plan {

// Digests of files on disk. They are kept in a JSON file between runs, each good for one (path,
// identity, device), so that a checkpoint is read once:
//
//   {"version": 2, "files": {"<path>": {"identity": {...}, "device", "digest"}}}
//
// A file changed within two seconds of reading is not kept, and its identity is not given: its
// times could not tell a second change. A cache that cannot be read is started anew; one that cannot be written is done without.
// Used by one thread.
class FileDigests : public InputDigests {
 public:
  // `cache`: the JSON file ("" keeps nothing). `now_ns`: nanoseconds since 1970.
  explicit FileDigests(std::filesystem::path cache,
                       std::function<std::int64_t()> now_ns = wall_clock_ns);
  ~FileDigests() override;  // saves, and swallows what goes wrong
  FileDigests(const FileDigests&) = delete;
  FileDigests& operator=(const FileDigests&) = delete;

  Kind kind(const std::filesystem::path& path) override;
  std::vector<std::string> files_in(const std::filesystem::path& folder) override;
  std::vector<std::string> folders_in(const std::filesystem::path& folder) override;
  Known known(const std::filesystem::path& path) override;
  Manifest manifest(const std::filesystem::path& folder) override;
  std::string text(const std::filesystem::path& path) override;
  std::optional<std::string> environment(std::string_view name) override;

  // Writes the cache if something new is in it. Throws Error(kIo).
  void save();
  // Files that were read for their digest so far.
  std::int64_t files_read() const { return files_read_; }

 private:
  struct Entry {
    FileIdentity identity;
    std::uint64_t device = 0;
    std::string digest;
    bool settled = true;  // when it was read; those in the cache are
  };
  void load();
  // The entry of `path`, read anew where needed; not kept if it is not settled.
  Entry entry_of(const std::filesystem::path& path);

  DiskFiles disk_;
  std::filesystem::path cache_;
  std::function<std::int64_t()> now_ns_;
  std::map<std::string, Entry> entries_;
  bool changed_ = false;
  std::int64_t files_read_ = 0;
};

// $XDG_CACHE_HOME/assay/digests.json, else ~/.cache/assay/digests.json, else "".
std::filesystem::path digest_cache();

}  // namespace assay::plan
