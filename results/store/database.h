#pragma once

#include <filesystem>

namespace SQLite {
class Database;
}

namespace assay::results {

// Opens for writing: creates the file if needed, checks it for damage, chooses the journal by the
// file system, migrates. Throws Error(kEnvironment) or Error(kIo), see sqlite_error.h.
SQLite::Database open_for_writing(const std::filesystem::path& path);

// Opens an existing database of the newest format so that no statement can change it.
SQLite::Database open_read_only(const std::filesystem::path& path);

// Undoes the half of a change that a killed process left: a connection that may only read cannot,
// and refuses such a file (SQLITE_READONLY), sometimes also one that another process has just
// finished with. Throws SQLite::Exception (SQLITE_CANTOPEN) where the folder may not be written.
void roll_back_journal(const std::filesystem::path& path);

}  // namespace assay::results
