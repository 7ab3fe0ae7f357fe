#include "harness/plan/file_digests.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cstdlib>
#include <system_error>

#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/base/log.h"
#include "harness/base/utf8.h"

namespace assay::plan {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxCacheBytes = std::size_t{512} << 20;
constexpr int kVersion = 2;

std::uint64_t device_of(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_dev : 0;
}

}  // namespace

FileDigests::FileDigests(fs::path cache, std::function<std::int64_t()> now_ns)
    : cache_(std::move(cache)), now_ns_(std::move(now_ns)) {
  if (!cache_.empty()) load();
}

FileDigests::~FileDigests() {
  try {
    save();
  } catch (const std::exception& e) {
    log_debug("digests are not kept: {}", e.what());
  }
}

void FileDigests::load() {
  std::error_code error;
  if (!fs::is_regular_file(cache_, error)) return;
  try {
    const Json json = parse_json(read_file(cache_, kMaxCacheBytes), cache_.string());
    if (json.at("version") != kVersion) return;
    for (const auto& item : json.at("files").items()) {
      const Json& value = item.value();
      entries_[item.key()] = {identity_from_json(value.at("identity")),
                              value.at("device").get<std::uint64_t>(),
                              value.at("digest").get<std::string>(), true};
    }
  } catch (const std::exception& e) {
    log_warning("{}: started anew, it cannot be read: {}", cache_.string(), e.what());
    entries_.clear();
  }
}

void FileDigests::save() {
  if (cache_.empty() || !changed_) return;
  Json files = Json::object();
  for (const auto& [path, entry] : entries_) {
    files[path] = {{"identity", to_json(entry.identity)},
                   {"device", entry.device},
                   {"digest", entry.digest}};
  }
  std::error_code error;
  fs::create_directories(cache_.parent_path(), error);
  const Json json{{"version", kVersion}, {"files", std::move(files)}};
  write_file_atomically(cache_, json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  changed_ = false;
}

FileView::Kind FileDigests::kind(const fs::path& path) { return disk_.kind(path); }

std::vector<std::string> FileDigests::files_in(const fs::path& folder) {
  return disk_.files_in(folder);
}

std::vector<std::string> FileDigests::folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    if (kind(it->path()) != Kind::kFolder) continue;
    names.push_back(it->path().filename().string());
    if (!is_utf8(names.back())) {
      throw Error(ErrorKind::kData,
                  fmt::format("'{}': the name of the folder '{}' in it is not UTF-8; rename it",
                              folder.string(), utf8_text(names.back())),
                  {{"path", folder.string()}});
    }
  }
  if (error) {
    throw Error(ErrorKind::kIo,
                fmt::format("cannot list '{}': {}", folder.string(), error.message()),
                {{"path", folder.string()}});
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string FileDigests::text(const fs::path& path) { return disk_.text(path); }

FileDigests::Entry FileDigests::entry_of(const fs::path& path) {
  Entry entry{identity_of(path), device_of(path), "", true};
  const auto found = entries_.find(path.string());
  if (found != entries_.end() && found->second.identity == entry.identity &&
      found->second.device == entry.device) {
    return found->second;
  }
  entry.settled = is_settled(entry.identity, now_ns_());
  entry.digest = sha256_file(path);
  ++files_read_;
  if (identity_of(path) != entry.identity) {
    throw Error(ErrorKind::kIo, fmt::format("'{}' changed while it was read", path.string()),
                {{"path", path.string()}});
  }
  if (entry.settled) {
    entries_[path.string()] = entry;
    changed_ = true;
  }
  return entry;
}

FileDigests::Known FileDigests::known(const fs::path& path) {
  Entry entry = entry_of(path);
  Known known{std::move(entry.digest), {}};
  if (entry.settled) known.identity = entry.identity;
  return known;
}

Manifest FileDigests::manifest(const fs::path& folder) {
  Manifest manifest = list_folder(folder);
  for (ManifestEntry& entry : manifest) {
    if (entry.folder) continue;
    Entry known = entry_of(folder / entry.path);
    entry.digest = std::move(known.digest);
    if (known.settled) entry.identity = known.identity;
  }
  return manifest;
}

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
