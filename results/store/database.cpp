#include "results/store/database.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>

#include "harness/base/error.h"
#include "results/store/file_system.h"
#include "results/store/migrations.h"
#include "results/store/schema.h"
#include "results/store/sqlite_error.h"

namespace assay::results {
namespace {

constexpr int kBusyTimeoutMs = 5000;
// A run has more to do than to wait: it tries again by itself.
constexpr int kRunBusyTimeoutMs = 1000;

// A connection is used by one thread at a time, and nobody asks how much memory SQLite has: without
// its locks around both, a run that finds everything done takes a twentieth less.
SQLite::Database connected(const std::string& name, int flags, int patience_ms) {
  static const int kOnce = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  static_cast<void>(kOnce);
  return SQLite::Database(name, flags | SQLite::OPEN_NOMUTEX, patience_ms);
}

void check_for_damage(SQLite::Database& database) {
  const std::string verdict = database.execAndGet("PRAGMA quick_check(1)").getString();
  if (verdict != "ok") throw SQLite::Exception(verdict, SQLITE_CORRUPT);
}

// A file may be sound and yet lack a table that somebody dropped.
void check_for_missing_objects(SQLite::Database& database) {
  std::set<std::string, std::less<>> found;
  SQLite::Statement query(database, "SELECT type || ' ' || name FROM sqlite_master");
  while (query.executeStep()) found.insert(query.getColumn(0).getString());
  for (const std::string_view each : schema_objects()) {
    if (!found.contains(each))
      throw SQLite::Exception("it lacks the " + std::string(each), SQLITE_CORRUPT);
  }
}

// "file:..." with everything escaped that means something in a URI.
std::string immutable_uri(const std::filesystem::path& path) {
  std::string uri = "file:";
  for (const char c : std::filesystem::absolute(path).string()) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '/' || c == '.' || c == '-' || c == '_';
    uri += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return uri + "?immutable=1";
}

// Whether a file was closed in write-ahead mode, by bytes 18 and 19 of its header.
bool is_write_ahead(const std::filesystem::path& path) {
  char header[20] = {};
  std::ifstream file(path, std::ios::binary);
  return file.read(header, sizeof header) && header[18] == 2 && header[19] == 2;
}

// Where SQLite could not make its journals beside the file, it refuses to read one that was closed
// in write-ahead mode. Without a log nothing is missing in it, and nobody can be writing: a writer
// in this mode has a log all the time. A file in the other mode is read with locks.
bool is_immutable(const std::filesystem::path& path) {
  if (!is_write_ahead(path)) return false;
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  std::error_code code;
  for (const char* suffix : {"-wal", "-journal"}) {
    const auto size = std::filesystem::file_size(path.string() + suffix, code);
    if (!code && size > 0) return false;
  }
  return ::access(folder.c_str(), W_OK) != 0;
}

SQLite::Database opened_to_read(const std::filesystem::path& path) {
  if (is_immutable(path)) {
    return connected(immutable_uri(path), SQLite::OPEN_READONLY | SQLite::OPEN_URI, kBusyTimeoutMs);
  }
  return connected(path.string(), SQLite::OPEN_READONLY, kBusyTimeoutMs);
}

SQLite::Database checked_to_read(const std::filesystem::path& path) {
  SQLite::Database database = opened_to_read(path);
  database.exec("PRAGMA query_only = ON");
  database.exec("PRAGMA trusted_schema = OFF");
  check_version(database);
  check_for_missing_objects(database);
  return database;
}

}  // namespace

SQLite::Database open_for_writing(const std::filesystem::path& path) {
  try {
    SQLite::Database database =
        connected(path.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, kRunBusyTimeoutMs);
    const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
    const bool rollback = path == ":memory:" || journal_for(folder) == Journal::kRollback;
    check_for_damage(database);
    // Of a new file. A stage takes 1 to 2 KB, of which pages of 4 KiB hold a quarter: the rest
    // would go to a page of its own.
    database.exec("PRAGMA page_size = 8192");
    database.exec(rollback ? "PRAGMA journal_mode = DELETE" : "PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = FULL");
    // Keys are random: with the 2 MiB that SQLite keeps by default, the pages of a thousand trials are
    // read again and again, and with 4 MiB of log most of them are copied over many times.
    database.exec("PRAGMA cache_size = -32768");       // KiB
    database.exec("PRAGMA wal_autocheckpoint = 4000");  // pages of 8 KiB
    database.exec("PRAGMA foreign_keys = ON");
    database.exec("PRAGMA trusted_schema = OFF");
    migrate(database);
    check_for_missing_objects(database);
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
    try {
      return checked_to_read(path);
    } catch (const SQLite::Exception& e) {
      if (!is_unfinished(e)) throw;
      roll_back_journal(path);
      return checked_to_read(path);
    }
  } catch (const SQLite::Exception& e) {
    throw translate(e, path);
  }
}

void roll_back_journal(const std::filesystem::path& path) {
  try {
    SQLite::Database database = connected(path.string(), SQLite::OPEN_READWRITE, kBusyTimeoutMs);
    database.execAndGet("SELECT count(*) FROM sqlite_master");
  } catch (const SQLite::Exception& e) {
    if (!is_unfinished(e)) throw;
    throw SQLite::Exception("what a killed process left cannot be undone", SQLITE_CANTOPEN);
  }
}

}  // namespace assay::results
