// Stages under way: who computes them, and where their checkpoints lie.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <system_error>
#include <vector>

#include "harness/supervise/host.h"
#include "harness/supervise/store.h"
#include "harness/supervise/store_layout.h"

namespace assay::supervise {
namespace fs = std::filesystem;
namespace {

constexpr const char* kClaim = "claim";
constexpr int kRounds = 4;

struct Claim {
  std::string run;
  std::string owner;
};

// What the link names; nothing if there is none or it is no claim.
std::optional<Claim> claim_at(const fs::path& link) {
  std::error_code code;
  const std::string text = fs::read_symlink(link, code).string();
  const std::size_t at = text.find('@');
  if (code || at == std::string::npos) return std::nullopt;
  return Claim{text.substr(0, at), text.substr(at + 1)};
}

double changed_s(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return 0;
  return static_cast<double>(status.st_mtim.tv_sec) + 1e-9 * static_cast<double>(status.st_mtim.tv_nsec);
}

// "<run>.<number>" of this run.
bool belongs_to(const std::string& name, const std::string& run) {
  return name.size() > run.size() + 1 && name.starts_with(run) && name[run.size()] == '.' &&
         name.find_first_not_of("0123456789", run.size() + 1) == std::string::npos;
}

// Processes that are at an attempt of this key, claimed or not: each makes a folder for it, which
// goes with it. The attempt that asks is left out.
std::vector<std::string> owners_of_attempts(const fs::path& tmp, const std::string& key,
                                            const fs::path& mine) {
  std::vector<std::string> owners;
  std::error_code code;
  for (const auto& owner : fs::directory_iterator(tmp, code)) {
    std::error_code gone;
    for (const auto& attempt : fs::directory_iterator(owner.path(), gone)) {
      if (attempt.path() != mine && attempt.path().filename().string().starts_with(key + "."))
        owners.push_back(owner.path().filename().string());
    }
  }
  return owners;
}

}  // namespace

bool Store::alive(const std::string& owner) const {
  if (const auto here = is_alive_here(owner)) return *here;
  // Both times come from the clock of the file system where they can.
  const double theirs = changed_s(root_ / "tmp" / owner);
  const double now = temporary_made_ ? changed_s(temporary_) : unix_seconds();
  return theirs > 0 && now - theirs < kSilentSeconds;
}

void Store::beat() {
  const double now = monotonic_seconds();
  if (!temporary_made_ || now - last_beat_s_ < kBeatSeconds) return;
  last_beat_s_ = now;
  ::utimensat(AT_FDCWD, temporary_.c_str(), nullptr, 0);
}

std::string Store::claimed_by_other(const std::string& key, const std::string& run) const {
  const auto claim = claim_at(root_ / "partial" / checked_key(key) / kClaim);
  if (!claim || claim->run == run || !alive(claim->owner)) return "";
  return fmt::format("run {} ({})", claim->run, claim->owner);
}

bool Store::claim(const std::string& key, const std::string& run) {
  const fs::path folder = root_ / "partial" / checked_key(key);
  const fs::path link = folder / kClaim;
  const Claim mine{checked_name(run, "run id"), owner_name()};
  const std::string text = mine.run + "@" + mine.owner;
  make_temporary();
  ::utimensat(AT_FDCWD, temporary_.c_str(), nullptr, 0);
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  for (int round = 0; round < kRounds; ++round) {
    if (::symlink(text.c_str(), link.c_str()) == 0) return true;
    if (errno != EEXIST) return true;  // no links here: no claims
    const auto theirs = claim_at(link);
    if (!theirs) {
      if (fs::symlink_status(link, ignored).type() != fs::file_type::not_found) return true;
      continue;
    }
    if (theirs->run == mine.run && theirs->owner == mine.owner) return true;
    if (theirs->run != mine.run && alive(theirs->owner)) return false;
    const fs::path next = temporary_ / ("claim." + key);
    ::unlink(next.c_str());
    if (::symlink(text.c_str(), next.c_str()) != 0 || ::rename(next.c_str(), link.c_str()) != 0)
      return true;
  }
  return claimed_by_other(key, run).empty();
}

void Store::release(const std::string& key, const std::string& run) {
  const fs::path link = root_ / "partial" / checked_key(key) / kClaim;
  const auto claim = claim_at(link);
  if (claim && claim->run == run && claim->owner == owner_name()) ::unlink(link.c_str());
}

fs::path Store::resume_folder(const std::string& key, const std::string& run, int number) {
  const fs::path folder = root_ / "partial" / checked_key(key);
  const fs::path mine = folder / fmt::format("{}.{}", checked_name(run, "run id"), number);
  std::error_code code;
  fs::directory_iterator entries(folder, code);
  if (code) return mine;
  const auto others =
      owners_of_attempts(root_ / "tmp", key, temporary_ / fmt::format("{}.{}", key, number));
  const bool taken =
      !claimed_by_other(key, run).empty() ||
      std::any_of(others.begin(), others.end(), [this](const auto& each) { return alive(each); });
  fs::path best;
  double best_s = 0;
  for (const auto& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (!fs::is_directory(entry.symlink_status(code))) continue;
    const double theirs_s = changed_s(entry.path());
    const bool own = belongs_to(name, run);
    if (!own && taken) continue;
    if (!best.empty() && theirs_s <= best_s) continue;
    best = entry.path();
    best_s = theirs_s;
  }
  if (!best.empty() && best != mine) ::rename(best.c_str(), mine.c_str());
  return mine;
}

void Store::remove_checkpoints(const std::string& key, const std::string& run) {
  const fs::path folder = root_ / "partial" / checked_key(key);
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(folder, ignored))) return;
  if (claimed_by_other(key, run).empty()) {
    fs::remove_all(folder, ignored);
    return;
  }
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (belongs_to(entry.path().filename().string(), run)) fs::remove_all(entry.path(), ignored);
  }
}

}  // namespace assay::supervise
