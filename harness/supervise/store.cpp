#include "harness/supervise/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "harness/core/artifact_files.h"
#include "harness/core/atomic_file.h"
#include "harness/core/digest.h"
#include "harness/core/error.h"
#include "harness/core/json_text.h"
#include "harness/supervise/host.h"
#include "harness/supervise/store_layout.h"

namespace assay::supervise {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxResultBytes = std::size_t{16} << 20;
constexpr std::size_t kBytesPerListedFile = 100;  // its size, its digest, quotes

[[noreturn]] void fail(std::string_view what, const fs::path& path, int code) {
  const std::string mend = code == ENOSPC || code == EDQUOT
                               ? "; free space (assay store gc) or set ASSAY_STORE to another disk"
                               : "; set ASSAY_STORE to a folder that may be written";
  throw Error(
      ErrorKind::kIo,
      fmt::format("store: cannot {} {}: {}{}", what, path.string(), std::strerror(code), mend),
      {{"file", path.string()}});
}

void make_folder(const fs::path& folder) {
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) fail("make the folder", folder, code.value());
}

bool present(const fs::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

void write_whole(const fs::path& path, const std::string& content) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) fail("write", path, errno);
  std::size_t written = 0;
  while (written < content.size()) {
    const ssize_t n = ::write(fd, content.data() + written, content.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int code = errno;
      ::close(fd);
      ::unlink(path.c_str());
      fail("write", path, code);
    }
    written += static_cast<std::size_t>(n);
  }
  // A network file system may report a full disk only here.
  if (::close(fd) != 0) fail("write", path, errno);
}

// Moves `from` to `to` if nothing is there. False if something is.
bool move_into_place(const fs::path& from, const fs::path& to, bool folder) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno == EEXIST || errno == ENOTEMPTY) return false;
  if (errno != EINVAL && errno != ENOSYS) fail("publish", to, errno);
  // File systems without RENAME_NOREPLACE: link() does not replace, and a folder that is not empty
  // cannot be replaced.
  if (folder) {
    if (::rename(from.c_str(), to.c_str()) == 0) return true;
    if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR) return false;
    fail("publish", to, errno);
  }
  const bool linked = ::link(from.c_str(), to.c_str()) == 0;
  const int code = errno;
  ::unlink(from.c_str());
  if (!linked && code != EEXIST) fail("publish", to, code);
  return linked;
}

// A file with another name elsewhere (a hard link to an input) is not ours to seal.
void break_links(const fs::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0 || status.st_nlink < 2) return;
  const fs::path copy = file.string() + ".copy";
  fs::copy_file(file, copy);
  fs::rename(copy, file);
}

// Seals what the stage made and notes the digests: from now on a write shows.
void add_digests(const fs::path& folder, Json& result) {
  Json& digests = result["digests"] = Json::object();
  for (const auto& item : result["files"].items()) {
    const fs::path file = folder / item.key();
    break_links(file);
    seal(file);
    digests[item.key()] = sha256_file(file);
  }
}

// A file that is no longer sealed was written to, or its folder was copied.
bool is_as_published(const fs::path& file, const struct stat& status, const std::string& digest) {
  if (is_sealed(status)) return true;
  if (sha256_file(file) != digest) return false;
  try {
    seal(file);
  } catch (const Error&) {  // another user's; it is read again next time
  }
  return true;
}

// Where two results differ, and how; "" if they agree.
std::string difference(const Artifact& theirs, const Json& our_result) {
  Json a = deterministic_part(theirs.result);
  Json b = deterministic_part(our_result);
  const Json their_digests = a.value("digests", Json::object());
  const Json our_digests = b.value("digests", Json::object());
  a.erase("digests");
  b.erase("digests");
  if (a != b) {
    const Json patch = Json::diff(a, b);
    const std::string at = patch.at(0).value("path", "");
    const Json::json_pointer pointer(at);
    const std::string before = a.contains(pointer) ? a.at(pointer).dump() : "nothing";
    const std::string after = b.contains(pointer) ? b.at(pointer).dump() : "nothing";
    return fmt::format("{}: {} in the store, {} here", at, before.substr(0, 100),
                       after.substr(0, 100));
  }
  for (const auto& item : our_digests.items()) {
    if (their_digests.value(item.key(), Json()) != item.value())
      return fmt::format("the content of {}", item.key());
  }
  return "";
}

}  // namespace

Json deterministic_part(const Json& result) {
  Json part = result;
  part.erase("attempt");
  part.erase("digest");
  part.erase("cost");
  part.erase("environment");
  return part;
}

Json inventory(const fs::path& folder) {
  if (!fs::is_directory(fs::symlink_status(folder))) {
    throw Error(
        ErrorKind::kData,
        fmt::format("the stage left a file where its output folder belongs: {}", folder.string()),
        {{"file", folder.string()}});
  }
  Json files = Json::object();
  std::size_t listed_bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).generic_string();
    const fs::file_status status = entry.symlink_status();
    if (fs::is_directory(status)) continue;
    if (!fs::is_regular_file(status) || name == kResultFile) {
      throw Error(ErrorKind::kData,
                  fmt::format("the stage made '{}' in its output folder: an artifact holds regular "
                              "files only, and {} is written by the supervisor",
                              name, kResultFile),
                  {{"file", entry.path().string()}});
    }
    if (utf8_text(name) != name) {
      throw Error(ErrorKind::kData,
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
    if (utf8_text(text) != text) {
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

Store::Store(fs::path root) : root_(std::move(root)), temporary_(root_ / "tmp" / owner_name()) {
  for (const char* folder : {"objects", "partial", "tmp", "roots"}) make_folder(root_ / folder);
  descriptor_ = ::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) fail("open", root_, errno);
  remove_dead_owners(root_ / "tmp");
}

Store::~Store() {
  std::error_code ignored;
  if (temporary_made_) fs::remove_all(temporary_, ignored);
  ::close(descriptor_);
}

void Store::make_temporary() {
  if (!temporary_made_) make_folder(temporary_);
  temporary_made_ = true;
}

fs::path Store::attempt_folder(const std::string& attempt) {
  make_temporary();
  return temporary_ / checked_name(attempt, "attempt");
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

std::optional<Artifact> Store::read(const fs::path& base, const std::string& key) const {
  Artifact artifact;
  artifact.path = base.string() + ".json";
  const bool single = present(artifact.path);
  if (!single) {
    artifact.path = base;
    if (!present(base)) return std::nullopt;
  }
  const fs::path file = single ? artifact.path : base / kResultFile;
  const std::string text = read_file(file, kMaxResultBytes);
  artifact.result = parse_json(text, file.string());
  artifact.size_bytes = static_cast<std::int64_t>(text.size());
  const auto damaged = [&](const std::string& why) {
    throw Error(ErrorKind::kData, fmt::format("{}: {}", file.string(), why));
  };
  if (!artifact.result.is_object()) damaged("not an object");
  if (artifact.result.value("key", Json()) != key) damaged("holds another key");
  const Json files = artifact.result.value("files", Json::object());
  if (!files.is_object()) damaged("'files' is not an object");
  if (single && !files.empty()) damaged("lists files but is a single file");
  check_result_digest(artifact.result, file);
  const Json digests = artifact.result.value("digests", Json::object());
  for (const auto& item : files.items()) {
    if (!item.value().is_number_integer()) damaged("'files' holds a size that is no integer");
    struct stat status {};
    const std::int64_t expected = item.value().get<std::int64_t>();
    if (::stat((base / item.key()).c_str(), &status) != 0)
      damaged(fmt::format("file {} is missing", item.key()));
    if (status.st_size != expected)
      damaged(
          fmt::format("file {} has {} bytes instead of {}", item.key(), status.st_size, expected));
    const Json digest = digests.value(item.key(), Json());
    if (!digest.is_string() || !is_as_published(base / item.key(), status,
                                                     digest.get<std::string>()))
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
  const bool single = artifact.extension() == ".json";
  try {
    return read(single ? artifact.parent_path() / artifact.stem() : artifact, key).has_value();
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
  const fs::path base = place(key, run);
  try {
    return read(base, key);
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
  const fs::path to =
      root_ / "damaged" / fmt::format("{}.{:.0f}", path.filename().string(), unix_seconds() * 1e3);
  if (::rename(path.c_str(), to.c_str()) != 0) {
    if (errno == ENOENT) return;  // another process was quicker
    fail("set aside", path, errno);
  }
  damage_.push_back(fmt::format("damaged artifact moved to {}: {}", to.string(), why));
  spdlog::warn("{}", damage_.back());
}

void Store::make_parent(const fs::path& base) {
  const fs::path parent = base.parent_path();
  if (parents_made_.contains(parent)) return;
  make_folder(parent);
  parents_made_.insert(parent);
}

Published Store::publish_one(const Finished& finished) {
  const fs::path base = place(finished.key, finished.run);
  make_parent(base);
  make_temporary();
  Published published{finished.key, {}, true, ""};
  Artifact& ours = published.artifact;
  ours.result = finished.result;
  const bool folder = !finished.files.empty();
  if (folder && !ours.result.contains("files")) ours.result["files"] = inventory(finished.files);
  if (folder) add_digests(finished.files, ours.result);
  ours.result["digest"] = result_digest(ours.result);
  const std::string text = ours.result.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  const fs::path source = folder ? finished.files : temporary_ / (finished.key + ".json");
  write_whole(folder ? source / kResultFile : source, text);
  ours.path = folder ? base : fs::path(base.string() + ".json");
  ours.size_bytes = static_cast<std::int64_t>(text.size());
  if (folder) {
    for (const Json& bytes : ours.result["files"]) ours.size_bytes += bytes.get<std::int64_t>();
  }
  // Twice: what was there may prove damaged and make room.
  for (int round = 0; round < 2; ++round) {
    const bool other_form = present(folder ? fs::path(base.string() + ".json") : base);
    if (!other_form && move_into_place(source, ours.path, folder)) return published;
    if (const std::optional<Artifact> theirs = lookup(finished.key, finished.run)) {
      published.nondeterminism = difference(*theirs, ours.result);
      published.first = false;
      published.artifact = *theirs;
      break;
    }
    if (!present(source)) write_whole(source, text);
  }
  std::error_code ignored;
  fs::remove_all(source, ignored);
  if (published.first) fail("publish", ours.path, EEXIST);
  return published;
}

std::vector<Published> Store::publish(std::span<const Finished> group) {
  std::vector<Published> published;
  published.reserve(group.size());
  for (const Finished& finished : group) published.push_back(publish_one(finished));
  if (!group.empty() && ::syncfs(descriptor_) != 0) fail("sync", root_, errno);
  for (const Finished& finished : group) remove_checkpoints(finished.key, finished.made_by);
  for (const Published& each : published) {
    if (!each.nondeterminism.empty())
      spdlog::warn("nondeterminism: two executions of {} differ: {}", each.key,
                   each.nondeterminism);
  }
  return published;
}

bool Store::remove_unless_wanted(const std::string& key, const std::string& by_run,
                                 const std::string& run) {
  const fs::path base = place(key, run);
  const auto wanted_by_other = [&] { return wanted(key, by_run, true); };
  const bool single = drop_unless(base.string() + ".json", wanted_by_other);
  return drop_unless(base, wanted_by_other) || single;
}

// Out of sight first, then asked once more: a run that has seen the artifact had registered before,
// so its root is seen now, and the artifact goes back.
bool Store::drop_unless(const fs::path& path, const std::function<bool()>& wanted) {
  if (!present(path) || wanted()) return false;
  make_temporary();
  const fs::path aside = temporary_ / ("removed." + path.filename().string());
  std::error_code ignored;
  fs::remove_all(aside, ignored);
  if (::rename(path.c_str(), aside.c_str()) != 0) {
    if (errno == ENOENT) return false;
    fail("remove", path, errno);
  }
  if (wanted()) {
    move_into_place(aside, path, fs::is_directory(fs::symlink_status(aside, ignored)));
    return false;
  }
  fs::remove_all(aside, ignored);
  return true;
}

bool Store::remove(const std::string& key, const std::string& run) {
  const fs::path base = place(key, run);
  bool found = ::unlink((base.string() + ".json").c_str()) == 0;
  if (!found && errno != ENOENT) fail("remove", base.string() + ".json", errno);
  // Out of sight in one step, then at leisure.
  make_temporary();
  const fs::path aside = temporary_ / ("removed." + key);
  if (::rename(base.c_str(), aside.c_str()) == 0) {
    found = true;
    std::error_code ignored;
    fs::remove_all(aside, ignored);
  } else if (errno != ENOENT) {
    fail("remove", base, errno);
  }
  return found;
}

void Store::remove_attempt(const std::string& attempt) {
  std::error_code ignored;
  if (temporary_made_) fs::remove_all(attempt_folder(attempt), ignored);
}

}  // namespace assay::supervise
