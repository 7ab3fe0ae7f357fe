#include "harness/supervise/store_layout.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <system_error>

#include "harness/core/error.h"
#include "harness/supervise/host.h"
#include "harness/supervise/marked_processes.h"

namespace assay::supervise {
namespace fs = std::filesystem;
namespace {

// Equal pids in two containers of one host are two processes.
std::string place_of_pids() {
  std::error_code code;
  const std::string link = fs::read_symlink("/proc/self/ns/pid", code).string();
  std::string digits;
  std::copy_if(link.begin(), link.end(), std::back_inserter(digits),
               [](char c) { return c >= '0' && c <= '9'; });
  return host_name() + "." + (digits.empty() ? "0" : digits);
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
    if (is_alive_here(owner).value_or(true)) continue;
    const std::string mark = fmt::format("{}={}:", kOwnerVariable, owner);
    kill_marked(mark.data(), mark.size());
    std::error_code ignored;
    fs::remove_all(entry.path(), ignored);
  }
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
