#include "results/store/database.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include "harness/core/error.h"
#include "results/store/file_system.h"
#include "results/store/migrations.h"
#include "results/store/sqlite_error.h"

namespace assay::results {
namespace {

constexpr int kBusyTimeoutMs = 5000;

void check_for_damage(SQLite::Database& database) {
  const std::string verdict = database.execAndGet("PRAGMA quick_check(1)").getString();
  if (verdict != "ok") throw SQLite::Exception(verdict, SQLITE_CORRUPT);
}

}  // namespace

SQLite::Database open_for_writing(const std::filesystem::path& path) {
  try {
    SQLite::Database database(path.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE,
                              kBusyTimeoutMs);
    const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
    const bool rollback = path == ":memory:" || journal_for(folder) == Journal::kRollback;
    check_for_damage(database);
    database.exec(rollback ? "PRAGMA journal_mode = DELETE" : "PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = FULL");
    database.exec("PRAGMA foreign_keys = ON");
    database.exec("PRAGMA trusted_schema = OFF");
    migrate(database);
    return database;
  } catch (const SQLite::Exception& e) {
    throw translate(e, path);
  }
}

SQLite::Database open_read_only(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{}: no results database; name a run folder that `assay run` made",
                            path.string()),
                {{"file", path.string()}});
  }
  if (!std::filesystem::is_regular_file(path, ignored)) {
    throw Error(
        ErrorKind::kConfig,
        fmt::format("{}: not a file; name a run folder that `assay run` made", path.string()),
        {{"file", path.string()}});
  }
  try {
    SQLite::Database database(path.string(), SQLite::OPEN_READONLY, kBusyTimeoutMs);
    database.exec("PRAGMA query_only = ON");
    database.exec("PRAGMA trusted_schema = OFF");
    check_version(database);
    return database;
  } catch (const SQLite::Exception& e) {
    throw translate(e, path);
  }
}

}  // namespace assay::results
