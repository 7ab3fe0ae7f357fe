#include "harness/formats/disk_files.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <system_error>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"

namespace assay {

namespace fs = std::filesystem;

FileView::Kind DiskFiles::kind(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return Kind::kMissing;
  if (S_ISDIR(status.st_mode)) return Kind::kFolder;
  return S_ISREG(status.st_mode) ? Kind::kFile : Kind::kMissing;
}

std::vector<std::string> DiskFiles::files_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    if (kind(it->path()) == Kind::kFile) names.push_back(it->path().filename().string());
  }
  if (error) {
    throw Error(ErrorKind::kIo,
                fmt::format("cannot list '{}': {}", folder.string(), error.message()),
                {{"path", folder.string()}});
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string DiskFiles::text(const fs::path& path) { return read_file(path); }

}  // namespace assay
