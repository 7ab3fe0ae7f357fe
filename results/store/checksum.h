#pragma once

#include <filesystem>

namespace assay::results {

// `results.sqlite.xxh128` beside the database of a run that has ended, in the format of xxhsum: the
// whole file as the run left it. SQLite keeps no checksums of its own; with it, every figure,
// label, time and view of the file is what the run wrote. It is against damage and edits, not
// against forgery: SHA-256 would take longer to start than a board to be made.
enum class Checksum {
  kNone,     // the run goes on, was killed, or somebody else held the database at its end
  kMatches,  // nobody changed the file since
  kDiffers   // somebody did, or changed the checksum
};

// Throws Error(kIo) for a database that cannot be read.
Checksum checksum_of(const std::filesystem::path& database);

// Makes the checksum of a database that nobody writes to any more.
void write_checksum(const std::filesystem::path& database);

// Before the database is written to.
void remove_checksum(const std::filesystem::path& database);

}  // namespace assay::results
