#include "harness/supervise/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "harness/base/error.h"
#include "harness/base/log.h"
#include "harness/base/utf8.h"
#include "harness/contract/artifact_files.h"
#include "harness/supervise/host.h"
#include "harness/supervise/store_layout.h"

namespace assay::supervise {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxResultBytes = std::size_t{16} << 20;
constexpr std::size_t kBytesPerListedFile = 100;  // its size, its digest, quotes

// Access and modification of a folder that nothing was put into: 1 January 2000, UTC.
constexpr timespec kUntouched[2] = {{0, UTIME_OMIT}, {946'684'800, 0}};

// A file that is no longer sealed was written to, or its folder was copied.
bool is_as_published(const fs::path& file, const struct stat& status, const std::string& digest,
                     bool by_content) {
  if (is_sealed(status) && !by_content) return true;
  if (sha256_file(file) != digest) return false;
  try {
    if (!is_sealed(status)) seal(file);
  } catch (const Error&) {  // another user's; it is read again next time
  }
  return true;
}

// The path of an artifact without the suffix of a result without files.
fs::path base_of(const fs::path& artifact) {
  return artifact.extension() == ".json" ? artifact.parent_path() / artifact.stem() : artifact;
}

// Whether `path`, whose lstat() is `status`, is a folder, a pipe or a link to nothing where a file
// belongs; it cannot even be opened, or for ever.
bool is_no_file(const fs::path& path, const struct stat& status) {
  if (!S_ISLNK(status.st_mode)) return !S_ISREG(status.st_mode);
  struct stat target {};
  if (::stat(path.c_str(), &target) == 0) return !S_ISREG(target.st_mode);
  return errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
}

}  // namespace

Json deterministic_part(const Json& result) {
  Json part = result;
  part.erase("attempt");
  part.erase("digest");
  part.erase("cost");
  part.erase("series");
  part.erase("environment");
  return part;
}

Json inventory(const fs::path& folder) {
  if (!fs::is_directory(fs::symlink_status(folder))) {
    throw Error(
        ErrorKind::kData,
        fmt::format("the stage left {} where its output folder belongs: {}",
                    fs::is_symlink(fs::symlink_status(folder)) ? "a symbolic link" : "a file",
                    folder.string()),
        {{"file", folder.string()}});
  }
  Json files = Json::object();
  std::size_t listed_bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).generic_string();
    const fs::file_status status = entry.symlink_status();
    if (fs::is_directory(status) && name != kResultFile) continue;
    if (!fs::is_regular_file(status) || name == kResultFile) {
      throw Error(ErrorKind::kData,
                  fmt::format("the stage made '{}' in its output folder: an artifact holds regular "
                              "files and folders of them only, and {} is written by the supervisor",
                              name, kResultFile),
                  {{"file", entry.path().string()}});
    }
    if (!is_utf8(name)) {
      throw Error(
          ErrorKind::kData,
          fmt::format("the stage made a file whose name is not UTF-8: '{}'; its name becomes "
                      "part of {}",
                      utf8_text(name), kResultFile),
          {{"file", utf8_text(entry.path().string())}});
    }
    listed_bytes += name.size() + kBytesPerListedFile;
    if (listed_bytes > kMaxResultBytes / 2) {
      throw Error(ErrorKind::kData,
                  fmt::format("the stage made more files than {} can list ({} so far; it may have "
                              "{} bytes); pack them into fewer",
                              kResultFile, files.size(), kMaxResultBytes),
                  {{"file", folder.string()}});
    }
    files[name] = entry.file_size();
  }
  return files;
}

fs::path Store::default_root() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    const std::string text = value == nullptr ? "" : value;
    // Paths travel to executors in JSON, which is UTF-8.
    if (!is_utf8(text)) {
      throw Error(ErrorKind::kEnvironment,
                  fmt::format("the store's folder in {}='{}' is not UTF-8; set ASSAY_STORE to "
                              "another folder",
                              name, utf8_text(text)));
    }
    return text;
  };
  if (const std::string root = variable("ASSAY_STORE"); !root.empty()) return fs::absolute(root);
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty())
    return fs::absolute(cache) / "assay";
  if (const std::string home = variable("HOME"); !home.empty())
    return fs::absolute(home) / ".cache" / "assay";
  throw Error(ErrorKind::kEnvironment,
              "no place for the store: set ASSAY_STORE, XDG_CACHE_HOME or HOME to a folder");
}

Store::Store(fs::path root)
    : root_(std::move(root)), owner_(owner_name()), temporary_(root_ / "tmp" / owner_) {
  for (const char* folder : {"objects", "partial", "tmp", "roots"}) make_folder(root_ / folder);
  descriptor_ = ::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) fail_in_store("open", root_, errno);
  remove_dead_owners(root_ / "tmp");
  owners_changed_s_ = changed_s(root_ / "tmp");
  std::error_code code;
  for (fs::directory_iterator entry(root_ / "partial", code), end; !code && entry != end;
       entry.increment(code)) {
    begun_.insert(entry->path().filename().string());
  }
}

Store::~Store() {
  std::error_code ignored;
  if (temporary_made_) fs::remove_all(temporary_, ignored);
  ::close(descriptor_);
}

// Again if somebody has removed it.
void Store::make_temporary() {
  if (temporary_made_ && present(temporary_)) return;
  if (changed_s(root_ / "tmp") != owners_changed_s_) shared_ = true;
  make_folder(temporary_);
  temporary_made_ = true;
  owners_changed_s_ = changed_s(root_ / "tmp");
}

fs::path Store::output_folder(const std::string& attempt) {
  checked_name(attempt, "attempt");
  while (!untouched_.empty()) {
    const fs::path folder = std::move(untouched_.back());
    untouched_.pop_back();
    if (present(folder)) return folder / attempt;
  }
  make_temporary();
  const fs::path folder = temporary_ / std::to_string(++outputs_);
  make_folder(folder);
  // From now on its time tells whether something was put into it.
  ::utimensat(AT_FDCWD, folder.c_str(), kUntouched, 0);
  return folder / attempt;
}

bool Store::reuse_output(const fs::path& output) {
  fs::path folder = output.parent_path();
  struct stat status {};
  if (::lstat(folder.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) return false;
  if (status.st_mtim.tv_sec != kUntouched[1].tv_sec) return false;
  untouched_.push_back(std::move(folder));
  return true;
}

void Store::remove_output(const fs::path& output) {
  std::error_code ignored;
  if (!output.empty()) fs::remove_all(output.parent_path(), ignored);
}

fs::path Store::manifest_file(const std::string& name) const {
  return root_ / "manifests" / checked_key(name);
}

// Written again even if it is there: gc goes by its time.
void Store::keep_manifest(const std::string& name, const std::string& text) {
  const fs::path file = manifest_file(name);
  make_folder(file.parent_path());
  write_file_atomically(file, text);
}

Json Store::with_manifest_paths(const Json& locations) const {
  Json here = locations;
  if (!here.contains("data")) return here;
  for (Json& file : here.at("data").at("files")) {
    const auto manifest = file.find("manifest");
    if (manifest != file.end()) *manifest = manifest_file(manifest->get<std::string>()).string();
  }
  return here;
}

fs::path Store::place(const std::string& key, const std::string& run) const {
  const std::string shard = checked_key(key).substr(0, 2);
  if (run.empty()) return root_ / "objects" / shard / key;
  return root_ / "runs" / checked_name(run, "run id") / shard / key;
}

std::optional<Artifact> Store::read(const fs::path& base, const std::string& key,
                                    Check check) const {
  Artifact artifact;
  artifact.path = base.string() + ".json";
  struct stat found {};
  const bool single = ::lstat(artifact.path.c_str(), &found) == 0;
  if (!single) {
    artifact.path = base;
    if (!present(base)) return std::nullopt;
  }
  const fs::path file = single ? artifact.path : base / kResultFile;
  const auto damaged = [&](const std::string& why) {
    throw Error(ErrorKind::kData, fmt::format("{}: {}", file.string(), why));
  };
  if ((single || ::lstat(file.c_str(), &found) == 0) && is_no_file(file, found))
    damaged("no regular file");
  const std::string text = read_file(file, kMaxResultBytes);
  artifact.result = parse_json(text, file.string());
  artifact.size_bytes = static_cast<std::int64_t>(text.size());
  if (!artifact.result.is_object()) damaged("not an object");
  if (artifact.result.value("key", Json()) != key) damaged("holds another key");
  const Json files = artifact.result.value("files", Json::object());
  if (!files.is_object()) damaged("'files' is not an object");
  if (single && !files.empty()) damaged("lists files but is a single file");
  if (published_digest(text).empty()) check_result_digest(artifact.result, file);
  const Json digests = artifact.result.value("digests", Json::object());
  const bool check_all = check == Check::kContent;
  for (const auto& item : files.items()) {
    if (!item.value().is_number_integer()) damaged("'files' holds a size that is no integer");
    struct stat status {};
    const std::int64_t expected = item.value().get<std::int64_t>();
    if (::stat((base / item.key()).c_str(), &status) != 0)
      damaged(fmt::format("file {} is missing", item.key()));
    if (!S_ISREG(status.st_mode)) damaged(fmt::format("{} is no regular file", item.key()));
    if (status.st_size != expected)
      damaged(
          fmt::format("file {} has {} bytes instead of {}", item.key(), status.st_size, expected));
    const Json digest = digests.value(item.key(), Json());
    if (!digest.is_string() ||
        !is_as_published(base / item.key(), status, digest.get<std::string>(), check_all))
      damaged(fmt::format("file {} holds something else than was published", item.key()));
    artifact.size_bytes += expected;
  }
  return artifact;
}

bool Store::holds(const fs::path& artifact) const {
  if (present(artifact)) return true;
  // Listing the folder makes a network file system look again.
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(artifact.parent_path(), ignored)) {
    if (entry.path() == artifact) return true;
  }
  return present(artifact);
}

bool Store::intact(const fs::path& artifact, const std::string& key) const {
  try {
    return read(base_of(artifact), key, Check::kSeals).has_value();
  } catch (const Error&) {
    return false;
  }
}

bool Store::audit(const fs::path& artifact, const std::string& key) {
  try {
    return read_or_set_aside(base_of(artifact), key, Check::kContent).has_value();
  } catch (const Error&) {
    return false;
  }
}

std::optional<Artifact> Store::find(const std::string& key, const std::string& run) {
  const fs::path base = place(key, run);
  if (!present(base.string() + ".json") && !present(base)) return std::nullopt;
  return lookup(key, run);
}

std::optional<Artifact> Store::lookup(const std::string& key, const std::string& run) {
  return read_or_set_aside(place(key, run), key, Check::kSeals);
}

std::optional<Artifact> Store::verified(const std::string& key, const std::string& run) {
  return read_or_set_aside(place(key, run), key, Check::kContent);
}

std::optional<Artifact> Store::read_or_set_aside(const fs::path& base, const std::string& key,
                                                 Check check) {
  try {
    return read(base, key, check);
  } catch (const std::exception& e) {
    // Unreadable for a while (a dropped mount, permissions) is not damage.
    const auto* error = dynamic_cast<const Error*>(&e);
    if (error != nullptr && error->kind() == ErrorKind::kIo && present(base.string() + ".json"))
      throw;
    if (error != nullptr && error->kind() == ErrorKind::kIo && present(base / kResultFile)) throw;
    set_aside(present(base.string() + ".json") ? fs::path(base.string() + ".json") : base,
              e.what());
    return std::nullopt;
  }
}

void Store::set_aside(const fs::path& path, const std::string& why) {
  make_folder(root_ / "damaged");
  static std::atomic<unsigned> count{0};
  const fs::path to = root_ / "damaged" /
                      fmt::format("{}.{:.0f}.{}.{}", path.filename().string(), unix_seconds() * 1e3,
                                  ::getpid(), count++);  // two in a millisecond are two
  if (::rename(path.c_str(), to.c_str()) != 0) {
    if (errno == ENOENT) return;  // another process was quicker
    fail_in_store("set aside", path, errno);
  }
  damage_.push_back(fmt::format("damaged artifact moved to {}: {}", to.string(), why));
  log_warning("{}", damage_.back());
}

void Store::make_parent(const fs::path& base) {
  const fs::path parent = base.parent_path();
  if (parents_made_.contains(parent)) return;
  make_folder(parent);
  parents_made_.insert(parent);
}

}  // namespace assay::supervise
