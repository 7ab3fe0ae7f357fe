#include "results/store/sqlite_error.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sqlite3.h>

namespace assay::results {

Error translate(const SQLite::Exception& error, const std::filesystem::path& path) {
  const Error::Context context = {{"file", path.string()},
                                  {"sqlite", std::to_string(error.getErrorCode())}};
  switch (error.getErrorCode()) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return Error(ErrorKind::kEnvironment,
                   fmt::format("{}: the results database is damaged ({}); `assay run` on the sweep "
                               "moves it aside and makes a new one: finished stages come back from "
                               "the store without being computed again",
                               path.string(), error.what()),
                   context);
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
      return Error(ErrorKind::kIo,
                   fmt::format("{}: cannot write the results database ({}); check free space and "
                               "permissions of its folder",
                               path.string(), error.what()),
                   context);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return Error(ErrorKind::kEnvironment,
                   fmt::format("{}: cannot open the results database ({}); check that the run "
                               "folder exists and may be read. A run that was killed leaves a "
                               "journal beside it, which can only be read where the folder may be "
                               "written: copy the folder",
                               path.string(), error.what()),
                   context);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Error(ErrorKind::kEnvironment,
                   fmt::format("{}: another process holds the results database ({}); wait for it "
                               "or end it",
                               path.string(), error.what()),
                   context);
    default:
      return Error(ErrorKind::kData, fmt::format("{}: {}", path.string(), error.what()), context);
  }
}

bool is_short_read(const SQLite::Exception& error) {
  return error.getExtendedErrorCode() == SQLITE_IOERR_SHORT_READ ||
         error.getExtendedErrorCode() == SQLITE_IOERR_READ;
}

bool is_unfinished(const SQLite::Exception& error) {
  return error.getErrorCode() == SQLITE_READONLY;
}

bool is_damage(const SQLite::Exception& error) {
  return error.getErrorCode() == SQLITE_CORRUPT || error.getErrorCode() == SQLITE_NOTADB;
}

}  // namespace assay::results
