#pragma once

namespace SQLite {
class Database;
}

namespace assay::results {

// "ASSY": marks a file as a results database of this program (PRAGMA application_id).
inline constexpr int kApplicationId = 0x41535359;

// Makes the tables of an empty database, or brings one of an older format (schema.h) to the newest,
// in one transaction. Throws Error(kEnvironment) for
// a database of another program, or of a newer Assay.
void migrate(SQLite::Database& database);

// Throws Error(kEnvironment) unless the database is one of ours at the newest version.
void check_version(SQLite::Database& database);

}  // namespace assay::results
