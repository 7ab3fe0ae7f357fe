#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace assay {

// Whole content of a file. Throws Error(kIo) if it cannot be read, Error(kData) if it is larger
// than `max_bytes`.
std::string read_file(const std::filesystem::path& path,
                      std::size_t max_bytes = std::size_t{64} << 20);

enum class Durability { kNone, kSynced };

// Replaces `path` in one step: a reader sees the old content or the new, never a part. Writes a
// temporary file in the same folder, syncs it (and the folder) if asked, renames. Throws Error(kIo)
// naming the file.
void write_file_atomically(const std::filesystem::path& path, std::string_view content,
                           Durability durability = Durability::kNone);

}  // namespace assay
