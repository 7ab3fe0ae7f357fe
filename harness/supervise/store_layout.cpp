#include "harness/supervise/store_layout.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

#include "harness/base/error.h"
#include "harness/supervise/host.h"
#include "harness/supervise/marked_processes.h"
#include "harness/supervise/process_identity.h"

namespace assay::supervise {
namespace fs = std::filesystem;
namespace {

constexpr double kLeftSeconds = 3600;  // without a touch, which is due every ten

// Equal pids in two containers of one host are two processes, and so they are on two machines of
// one name.
std::string place_of_pids() {
  const ProcessIdentity mine = this_process();
  const auto known = [](const std::string& text) { return text.empty() ? "0" : text; };
  return fmt::format("{}.{}.{}", mine.host, known(mine.boot_id.substr(0, 8)),
                     known(mine.pid_namespace));
}

}  // namespace

std::string owner_name() {
  return fmt::format("{}.{}.{}", place_of_pids(), ::getpid(), process_start(::getpid()));
}

std::optional<bool> is_alive_here(const std::string& owner) {
  static const std::string kOurs = place_of_pids() + ".";
  if (!owner.starts_with(kOurs)) return std::nullopt;
  const char* const end = owner.data() + owner.size();
  pid_t pid = 0;
  std::uint64_t start = 0;
  const auto first = std::from_chars(owner.data() + kOurs.size(), end, pid);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, start);
  if (second.ec != std::errc() || second.ptr != end || pid <= 0) return std::nullopt;
  return process_start(pid) == start;
}

void remove_dead_owners(const fs::path& tmp) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(tmp, code)) {
    const std::string owner = entry.path().filename().string();
    const std::optional<bool> alive = is_alive_here(owner);
    // Of this machine before it was started anew, or of another of its name, whose processes touch
    // their folders.
    const bool left = !alive && owner.starts_with(host_name() + ".") &&
                      unix_seconds() - changed_s(entry.path()) >= kLeftSeconds;
    if (alive.value_or(!left)) continue;
    const std::string mark = fmt::format("{}={}:", kOwnerVariable, owner);
    kill_marked(mark.data(), mark.size());
    std::error_code ignored;
    fs::remove_all(entry.path(), ignored);
  }
}

void fail_in_store(std::string_view what, const fs::path& path, int code) {
  const std::string mend = code == ENOSPC || code == EDQUOT
                               ? "; free space (assay store gc) or set ASSAY_STORE to another disk"
                               : "; set ASSAY_STORE to a folder that may be written";
  throw Error(
      ErrorKind::kIo,
      fmt::format("store: cannot {} {}: {}{}", what, path.string(), std::strerror(code), mend),
      {{"file", path.string()}});
}

void make_folder(const fs::path& folder) {
  constexpr int kTries = 5;  // somebody may remove a parent that was just made
  std::error_code code;
  for (int i = 0; i < kTries; ++i) {
    fs::create_directories(folder, code);
    if (code != std::errc::no_such_file_or_directory) break;
  }
  if (code) fail_in_store("make the folder", folder, code.value());
}

bool present(const fs::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

double changed_s(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return 0;
  return static_cast<double>(status.st_mtim.tv_sec) +
         1e-9 * static_cast<double>(status.st_mtim.tv_nsec);
}

std::uint64_t mark_of(const fs::path& path) {
  struct statx status {};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_INO | STATX_BTIME, &status) != 0) return 0;
  const std::uint64_t born_ns =
      (status.stx_mask & STATX_BTIME) == 0
          ? 0
          : static_cast<std::uint64_t>(status.stx_btime.tv_sec) * 1'000'000'000 +
                status.stx_btime.tv_nsec;
  return std::max<std::uint64_t>(1, status.stx_ino * 0x9E3779B97F4A7C15 + born_ns);
}

const std::string& checked_key(const std::string& key) {
  const bool hexadecimal = std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  if (key.size() != 64 || !hexadecimal)
    throw Error(ErrorKind::kData, fmt::format("a key is 64 lower-case hexadecimal digits, not '{}'",
                                              key.substr(0, 100)));
  return key;
}

const std::string& checked_name(const std::string& name, std::string_view what) {
  const bool legal = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '_' || c == '-';
  });
  if (name.empty() || name.size() > 200 || name[0] == '.' || !legal)
    throw Error(ErrorKind::kData,
                fmt::format("{} '{}' is no legal name: letters, digits, '.', '_' and '-'", what,
                            name.substr(0, 100)));
  return name;
}

}  // namespace assay::supervise
