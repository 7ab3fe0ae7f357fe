#include "results/store/database_files.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <string>
#include <utility>

#include "harness/base/error.h"
#include "results/store/sqlite_error.h"

namespace assay::results {
namespace {

constexpr int kPatienceMs = 1000;

[[noreturn]] void refuse_database(const std::filesystem::path& path, const std::string& what) {
  throw Error(
      ErrorKind::kEnvironment,
      fmt::format("{}: {} while this run wrote to it; what was computed is safe in the "
                  "store: run the same command again; it rebuilds the database from the store",
                  path.string(), what),
      {{"file", path.string()}});
}

}  // namespace

DatabaseFiles::DatabaseFiles(std::filesystem::path path)
    : path_(std::move(path)), database_(look(path_)), log_(look(path_.string() + "-wal")) {}

std::optional<DatabaseFiles::Seen> DatabaseFiles::look(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return Seen{status.st_dev, status.st_ino, status.st_size};
}

void DatabaseFiles::check() {
  if (!database_) return;
  check(path_, database_);
  check(path_.string() + "-wal", log_);
}

void DatabaseFiles::check(const std::filesystem::path& path, std::optional<Seen>& before) {
  const std::optional<Seen> now = look(path);
  if (before && !now) refuse_database(path, "it was removed");
  if (before && (now->device != before->device || now->inode != before->inode))
    refuse_database(path, "it was replaced");
  const bool shorter = before && now->size_bytes < before->size_bytes;
  before = now;
  if (shorter) check_content();  // a checkpoint by somebody else does that too
}

void DatabaseFiles::check_content() const {
  if (!database_) return;
  std::string verdict;
  try {
    SQLite::Database database(path_.string(), SQLite::OPEN_READONLY, kPatienceMs);
    verdict = database.execAndGet("PRAGMA quick_check(1)").getString();
  } catch (const SQLite::Exception& e) {
    // Others do not say anything about the file: no descriptor, somebody who holds it.
    if (!is_damage(e) && !is_short_read(e)) throw translate(e, path_);
    verdict = e.what();
  }
  if (verdict != "ok") refuse_database(path_, fmt::format("it was damaged ({})", verdict));
}

}  // namespace assay::results
