// How what stages made enters the store, and leaves it.

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "harness/base/digest.h"
#include "harness/base/error.h"
#include "harness/base/log.h"
#include "harness/contract/artifact_files.h"
#include "harness/supervise/store.h"
#include "harness/supervise/store_layout.h"

namespace assay::supervise {
namespace fs = std::filesystem;
namespace {

void write_whole(const fs::path& path, const std::string& content) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) fail_in_store("write", path, errno);
  std::size_t written = 0;
  while (written < content.size()) {
    const ssize_t n = ::write(fd, content.data() + written, content.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int code = errno;
      ::close(fd);
      ::unlink(path.c_str());
      fail_in_store("write", path, code);
    }
    written += static_cast<std::size_t>(n);
  }
  // A network file system may report a full disk only here.
  if (::close(fd) != 0) fail_in_store("write", path, errno);
}

// Moves `from` to `to` if nothing is there. False if something is.
bool move_into_place(const fs::path& from, const fs::path& to, bool folder) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno == EEXIST || errno == ENOTEMPTY) return false;
  if (errno != EINVAL && errno != ENOSYS) fail_in_store("publish", to, errno);
  // File systems without RENAME_NOREPLACE: link() does not replace, and a folder that is not empty
  // cannot be replaced.
  if (folder) {
    if (::rename(from.c_str(), to.c_str()) == 0) return true;
    if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR) return false;
    fail_in_store("publish", to, errno);
  }
  const bool linked = ::link(from.c_str(), to.c_str()) == 0;
  const int code = errno;
  ::unlink(from.c_str());
  if (!linked && code != EEXIST) fail_in_store("publish", to, code);
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

Finished Store::prepared(Finished finished) {
  Json& result = finished.result;
  const bool folder = !finished.files.empty();
  try {
    if (folder && !result.contains("files")) result["files"] = inventory(finished.files);
    if (folder) add_digests(finished.files, result);
  } catch (const fs::filesystem_error& e) {
    if (e.code() == std::errc::no_space_on_device)
      fail_in_store("write", e.path2(), e.code().value());
    blame_files(finished, e.what());
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kIo) throw;
    blame_files(finished, e.what());
  }
  finished.text = published_text(result) + "\n";
  if (folder) put_result(finished);
  return finished;
}

// Written where the stage has no hand in it: an error of the disk is the store's, one of the folder
// is the stage's.
void Store::put_result(const Finished& finished) {
  make_temporary();
  const fs::path draft = temporary_ / (finished.key + ".result");
  write_whole(draft, finished.text);
  if (::rename(draft.c_str(), (finished.files / kResultFile).c_str()) == 0) return;
  const int code = errno;
  ::unlink(draft.c_str());
  if (code == ENOSPC || code == EDQUOT) fail_in_store("write", draft, code);
  blame_files(finished, fmt::format("{}: {}", kResultFile, std::strerror(code)));
}

// Throws Error(kIo) if the store cannot be written, else Error(kData): then it is what the stage
// made that cannot be published.
void Store::blame_files(const Finished& finished, const std::string& problem) {
  make_temporary();
  const fs::path trial = temporary_ / (finished.key + ".trial");
  write_whole(trial, "\n");
  ::unlink(trial.c_str());
  throw Error(ErrorKind::kData,
              fmt::format("the files that the stage made cannot be published: {}", problem),
              {{"file", finished.files.string()}});
}

Published Store::publish_one(const Finished& given) {
  std::optional<Finished> made;
  if (given.text.empty()) made = prepared(given);
  const Finished& finished = made ? *made : given;
  const fs::path base = place(finished.key, finished.run);
  make_parent(base);
  Published published{finished.key, {}, true, ""};
  Artifact& ours = published.artifact;
  ours.result = finished.result;
  const bool folder = !finished.files.empty();
  const std::string& text = finished.text;
  const fs::path source = folder ? finished.files : temporary_ / (finished.key + ".json");
  if (!folder) write_whole(source, text);
  ours.path = folder ? base : fs::path(base.string() + ".json");
  ours.size_bytes = static_cast<std::int64_t>(text.size());
  if (folder) {
    for (const Json& bytes : ours.result["files"]) ours.size_bytes += bytes.get<std::int64_t>();
  }
  // Twice: what was there may prove damaged and make room.
  for (int round = 0; round < 2; ++round) {
    const bool other_form = present(folder ? fs::path(base.string() + ".json") : base);
    if (!other_form && move_into_place(source, ours.path, folder)) {
      leave_attempt(finished);
      return published;
    }
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
  leave_attempt(finished);
  if (published.first) fail_in_store("publish", ours.path, EEXIST);
  return published;
}

// The folder above the files, and what else a stage has left there.
void Store::leave_attempt(const Finished& finished) {
  const fs::path folder = finished.files.parent_path();
  std::error_code ignored;
  if (!finished.files.empty() && folder.parent_path() == temporary_)
    fs::remove_all(folder, ignored);
}

std::vector<Published> Store::publish(std::span<const Finished> group) {
  std::vector<Published> published;
  published.reserve(group.size());
  make_temporary();
  for (const Finished& finished : group) published.push_back(publish_one(finished));
  if (!group.empty() && ::syncfs(descriptor_) != 0) fail_in_store("sync", root_, errno);
  for (const Finished& finished : group) remove_checkpoints(finished.key, finished.made_by);
  for (const Published& each : published) {
    if (!each.nondeterminism.empty())
      log_warning("nondeterminism: two executions of {} differ: {}", each.key, each.nondeterminism);
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
    fail_in_store("remove", path, errno);
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
  make_temporary();
  bool found = false;
  for (const fs::path& path : {fs::path(base.string() + ".json"), base}) {
    // Out of sight in one step, then at leisure.
    const fs::path aside = temporary_ / ("removed." + path.filename().string());
    if (::rename(path.c_str(), aside.c_str()) == 0) {
      found = true;
      std::error_code ignored;
      fs::remove_all(aside, ignored);
    } else if (errno != ENOENT) {
      fail_in_store("remove", path, errno);
    }
  }
  return found;
}

}  // namespace assay::supervise
