#pragma once

#include <filesystem>
#include <string_view>

namespace assay::results {

// Whether a file system magic number of statfs(2) belongs to a network or user-space file system,
// where the shared memory of a write-ahead log does not work.
bool is_network_magic(long magic);

enum class Journal { kWriteAhead, kRollback };

// Write-ahead log on a local disk, rollback journal elsewhere. `folder` must exist; where statfs
// fails the answer is the rollback journal, which works everywhere.
Journal journal_for(const std::filesystem::path& folder);

}  // namespace assay::results
