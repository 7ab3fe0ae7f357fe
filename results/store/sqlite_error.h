#pragma once

#include <filesystem>

#include "harness/base/error.h"

namespace SQLite {
class Exception;
}

namespace assay::results {

// What an SQLite error means to a user: kIo for a full or read-only disk, kEnvironment with the
// mend for a damaged or busy database, kData for anything that a query did wrong.
Error translate(const SQLite::Exception& error, const std::filesystem::path& path);

// The file is no sound database.
bool is_damage(const SQLite::Exception& error);

// To a connection that may only read: there is a journal to roll back.
bool is_unfinished(const SQLite::Exception& error);

// It ends before it should.
bool is_short_read(const SQLite::Exception& error);

}  // namespace assay::results
