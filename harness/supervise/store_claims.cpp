// Stages under way: who computes them, and where their checkpoints lie.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <string_view>
#include <system_error>

#include "harness/supervise/host.h"
#include "harness/supervise/store.h"
#include "harness/supervise/store_layout.h"

namespace assay::supervise {
namespace fs = std::filesystem;
namespace {

constexpr const char* kClaim = "claim";
constexpr int kClaimRounds = 4;

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

// The name of a folder of checkpoints: "<run>.<number>", and "@<owner>" while an attempt of that
// process may write there.
struct CheckpointsName {
  std::string_view attempt;
  std::string_view owner;  // "": nobody
};

CheckpointsName parsed(std::string_view name) {
  const std::size_t at = name.find('@');
  if (at == std::string_view::npos) return {name, {}};
  return {name.substr(0, at), name.substr(at + 1)};
}

bool belongs_to(const CheckpointsName& name, std::string_view run) {
  const std::string_view attempt = name.attempt;
  return attempt.size() > run.size() + 1 && attempt.starts_with(run) &&
         attempt[run.size()] == '.' &&
         attempt.find_first_not_of("0123456789", run.size() + 1) == std::string_view::npos;
}

}  // namespace

bool Store::alive(const std::string& owner) const {
  if (const auto here = is_alive_here(owner)) return *here;
  // Both times come from the clock of the file system where they can.
  const double theirs = changed_s(root_ / "tmp" / owner);
  const double now = temporary_made_ ? changed_s(temporary_) : unix_seconds();
  return theirs > 0 && now - theirs < kSilentSeconds;
}

// Whoever computes, claims or publishes has a folder in tmp/. The time of tmp/ tells of those that
// have come and gone.
bool Store::shared() const {
  const double now = monotonic_seconds();
  if (shared_ || now - last_look_s_ < kLookSeconds) return shared_;
  last_look_s_ = now;
  shared_ = changed_s(root_ / "tmp") != owners_changed_s_;
  std::error_code code;
  for (fs::directory_iterator owner(root_ / "tmp", code), end; !code && owner != end;
       owner.increment(code)) {
    if (owner->path() != temporary_) shared_ = true;
  }
  return shared_;
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
  const Claim mine{checked_name(run, "run id"), owner_};
  const std::string text = mine.run + "@" + mine.owner;
  make_temporary();
  ::utimensat(AT_FDCWD, temporary_.c_str(), nullptr, 0);
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  for (int round = 0; round < kClaimRounds; ++round) {
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
  if (claim && claim->run == run && claim->owner == owner_) ::unlink(link.c_str());
}

fs::path Store::resume_folder(const std::string& key, const std::string& run, int number,
                              bool* found) {
  if (found != nullptr) *found = false;
  const fs::path folder = root_ / "partial" / checked_key(key);
  const fs::path mine =
      folder / fmt::format("{}.{}@{}", checked_name(run, "run id"), number, owner_);
  if (number == 1 && !shared() && !begun_.contains(key)) return mine;
  std::error_code code;
  fs::directory_iterator entries(folder, code);
  if (code) return mine;
  const bool claimed = !claimed_by_other(key, run).empty();
  fs::path best;
  double best_s = 0;
  for (const auto& entry : entries) {
    const std::string text = entry.path().filename().string();
    const CheckpointsName name = parsed(text);
    if (!fs::is_directory(entry.symlink_status(code))) continue;
    const bool at_work = !name.owner.empty() && alive(std::string(name.owner));
    if (!belongs_to(name, run) && (claimed || at_work)) continue;
    const double theirs_s = changed_s(entry.path());
    if (!best.empty() && theirs_s <= best_s) continue;
    best = entry.path();
    best_s = theirs_s;
  }
  if (found != nullptr) *found = !best.empty();
  if (!best.empty() && best != mine) ::rename(best.c_str(), mine.c_str());
  return mine;
}

void Store::leave_checkpoints(const fs::path& resume_folder) {
  const std::string name = resume_folder.filename().string();
  const fs::path free = resume_folder.parent_path() / parsed(name).attempt;
  ::rename(resume_folder.c_str(), free.c_str());
}

void Store::remove_checkpoints(const std::string& key, const std::string& run) {
  const fs::path folder = root_ / "partial" / checked_key(key);
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(folder, ignored))) return;
  const bool claimed = !claimed_by_other(key, run).empty();
  bool others = claimed;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string text = entry.path().filename().string();
    const CheckpointsName name = parsed(text);
    const bool mine = belongs_to(name, run);
    const bool at_work = !mine && !name.owner.empty() && alive(std::string(name.owner));
    others = others || at_work;
    if (mine || (!claimed && !at_work)) fs::remove_all(entry.path(), ignored);
  }
  if (!others) fs::remove_all(folder, ignored);
}

}  // namespace assay::supervise
