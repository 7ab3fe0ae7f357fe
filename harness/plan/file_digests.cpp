#include "harness/plan/file_digests.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <system_error>

#include "harness/core/atomic_file.h"
#include "harness/core/digest.h"
#include "harness/core/error.h"
#include "harness/core/json.h"

namespace assay::plan {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kSettledNs = 2 * kSecondNs;
constexpr std::size_t kMaxCacheBytes = std::size_t{512} << 20;
constexpr std::size_t kMaxTextBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxFolderFiles = 20'000'000;

struct stat status_of(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    throw Error(ErrorKind::kIo,
                fmt::format("cannot read '{}': {}", path.string(), std::strerror(errno)),
                {{"path", path.string()}});
  }
  return status;
}

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * kSecondNs + time.tv_nsec;
}

std::int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds(now);
}

}  // namespace

FileDigests::FileDigests(fs::path cache) : cache_(std::move(cache)) {
  if (!cache_.empty()) load();
}

FileDigests::~FileDigests() {
  try {
    save();
  } catch (const std::exception& e) {
    spdlog::debug("digests are not kept: {}", e.what());
  }
}

void FileDigests::load() {
  std::error_code error;
  if (!fs::is_regular_file(cache_, error)) return;
  try {
    const Json json = parse_json(read_file(cache_, kMaxCacheBytes), cache_.string());
    if (json.at("version") != 1) return;
    for (const auto& item : json.at("files").items()) {
      const Json& value = item.value();
      entries_[item.key()] = {
          value.at("size").get<std::uint64_t>(), value.at("mtime_ns").get<std::int64_t>(),
          value.at("inode").get<std::uint64_t>(), value.at("device").get<std::uint64_t>(),
          value.at("digest").get<std::string>()};
    }
  } catch (const std::exception& e) {
    spdlog::warn("{}: started anew, it cannot be read: {}", cache_.string(), e.what());
    entries_.clear();
  }
}

void FileDigests::save() {
  if (cache_.empty() || !changed_) return;
  Json files = Json::object();
  for (const auto& [path, entry] : entries_) {
    files[path] = {{"size", entry.size},
                   {"mtime_ns", entry.mtime_ns},
                   {"inode", entry.inode},
                   {"device", entry.device},
                   {"digest", entry.digest}};
  }
  std::error_code error;
  fs::create_directories(cache_.parent_path(), error);
  const Json json{{"version", 1}, {"files", std::move(files)}};
  write_file_atomically(cache_, json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  changed_ = false;
}

InputDigests::Kind FileDigests::kind(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return Kind::kMissing;
  if (S_ISDIR(status.st_mode)) return Kind::kFolder;
  return S_ISREG(status.st_mode) ? Kind::kFile : Kind::kMissing;
}

std::vector<std::string> FileDigests::files_in(const fs::path& folder) {
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

std::string FileDigests::digest(const fs::path& path) {
  const struct stat before = status_of(path);
  Entry entry{static_cast<std::uint64_t>(before.st_size), nanoseconds(before.st_mtim),
              before.st_ino, before.st_dev, ""};
  const auto found = entries_.find(path.string());
  if (found != entries_.end()) {
    const Entry& known = found->second;
    if (known.size == entry.size && known.mtime_ns == entry.mtime_ns &&
        known.inode == entry.inode && known.device == entry.device) {
      return known.digest;
    }
  }
  entry.digest = sha256_file(path);
  ++files_read_;
  const struct stat after = status_of(path);
  if (static_cast<std::uint64_t>(after.st_size) != entry.size ||
      nanoseconds(after.st_mtim) != entry.mtime_ns) {
    throw Error(ErrorKind::kIo, fmt::format("'{}' changed while it was read", path.string()),
                {{"path", path.string()}});
  }
  const std::string digest = entry.digest;
  if (now_ns() - entry.mtime_ns > kSettledNs) {
    entries_[path.string()] = std::move(entry);
    changed_ = true;
  }
  return digest;
}

std::string FileDigests::manifest(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(
           folder, fs::directory_options::follow_directory_symlink, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (it.depth() > 100) {
      throw Error(ErrorKind::kData,
                  fmt::format("'{}': folders nested deeper than 100 levels", folder.string()),
                  {{"path", folder.string()}});
    }
    if (kind(it->path()) != Kind::kFile) continue;
    names.push_back(it->path().lexically_relative(folder).generic_string());
    if (names.size() > kMaxFolderFiles) {
      throw Error(ErrorKind::kData,
                  fmt::format("'{}' holds more than {} files", folder.string(), kMaxFolderFiles),
                  {{"path", folder.string()}});
    }
  }
  if (error) {
    throw Error(ErrorKind::kIo,
                fmt::format("cannot list '{}': {}", folder.string(), error.message()),
                {{"path", folder.string()}});
  }
  std::sort(names.begin(), names.end());
  std::string lines;
  for (const std::string& name : names) lines += digest(folder / name) + "  " + name + "\n";
  return sha256(lines);
}

std::string FileDigests::text(const fs::path& path) { return read_file(path, kMaxTextBytes); }

std::optional<std::string> FileDigests::environment(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  if (value == nullptr) return {};
  return std::string(value);
}

fs::path digest_cache() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') return fs::path(cache) / "assay" / "digests.json";
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/')
    return fs::path(home) / ".cache" / "assay" / "digests.json";
  return {};
}

}  // namespace assay::plan
