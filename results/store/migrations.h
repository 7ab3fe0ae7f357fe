#pragma once

#include <span>
#include <string_view>

namespace SQLite {
class Database;
}

namespace assay::results {

// "ASSY": marks a file as a results database of this program (PRAGMA application_id).
inline constexpr int kApplicationId = 0x41535359;

// One step a format version: step i brings user_version i to i + 1. A step that was released is
// never changed; docs/formats/database.md describes the outcome.
std::span<const std::string_view> migrations();

// "table stage", "view cost", ...: what a database of the newest version holds, in bytewise order.
std::span<const std::string_view> schema_objects();

// Brings an open database to the newest version in one transaction. Throws Error(kEnvironment) for
// a database of another program, or of a newer Assay.
void migrate(SQLite::Database& database);

// Throws Error(kEnvironment) unless the database is one of ours at the newest version.
void check_version(SQLite::Database& database);

}  // namespace assay::results
