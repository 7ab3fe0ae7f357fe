#pragma once

#include <functional>
#include <memory>

#include "harness/base/error.h"
#include "harness/run/run_folder.h"
#include "harness/run/run_sweep.h"

namespace assay::run {

// Whether SQLite itself says that the file is damaged. A busy, foreign or newer database is left
// where it is.
bool is_damaged(const Error& error);
// Whether another process (a reader on a file system without shared memory, a backup, the sqlite3
// shell) holds the database at this moment: what was tried may be tried again.
bool is_held_elsewhere(const Error& error);

// Opens the database of a run; one that is damaged is moved aside, and a new one made.
std::unique_ptr<record::RunSink> open_database(const RunFolder& folder, const RunHooks& hooks);

// Does `work`, again and again while another process holds the database and `go_on` says so. Throws
// what `work` throws, in the end also that the database is held.
void with_patience(const std::function<void()>& work, const std::function<bool()>& go_on);

}  // namespace assay::run
