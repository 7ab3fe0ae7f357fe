#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace assay::results {

// The files of a database that is open for writing: SQLite does not notice when somebody removes or
// replaces them, and writes on into what nobody can read any more.
class DatabaseFiles {
 public:
  // Once the database is open.
  explicit DatabaseFiles(std::filesystem::path path);

  // Throws Error(kEnvironment) if the file at the path is not the open one any more, or if it or
  // its write-ahead log was cut short and what is left is damaged. A look at two names otherwise.
  void check();

  // Throws the same error if the file is damaged: all of it is read. A log that is emptied between
  // two looks is seen here at the latest. Throws Error(kEnvironment) if another process holds it.
  void check_content() const;

  // That the write-ahead log is gone is in order from now on.
  void forget_log() { log_.reset(); }

 private:
  struct Seen {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size_bytes = 0;
  };
  static std::optional<Seen> look(const std::filesystem::path& path);
  void check(const std::filesystem::path& path, std::optional<Seen>& before);

  std::filesystem::path path_;
  std::optional<Seen> database_;  // nothing: in memory
  std::optional<Seen> log_;       // nothing: there was none yet
};

}  // namespace assay::results
