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

// A file that replaces what lies at its path in one step: a reader sees the old content or the new,
// never a part. What is appended goes into a temporary file of the same folder, which disappears
// with this unless it was committed. All throw Error(kIo) naming the file.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void append(std::string_view bytes);
  // Syncs the file (and its folder) if asked, and renames it. Once, at the end.
  void commit(Durability durability = Durability::kNone);

 private:
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
};

// Replaces `path` by one AtomicFile with this content.
void write_file_atomically(const std::filesystem::path& path, std::string_view content,
                           Durability durability = Durability::kNone);

}  // namespace assay
