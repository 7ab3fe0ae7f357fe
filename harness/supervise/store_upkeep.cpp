// Garbage collection, sizes and the nonce of a shared store.

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <system_error>
#include <thread>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/base/json_text.h"
#include "harness/supervise/host.h"
#include "harness/supervise/store.h"
#include "harness/supervise/store_layout.h"

namespace assay::supervise {
namespace fs = std::filesystem;
namespace {

constexpr double kForeignLeftoverSeconds = 7 * 86400;
// Longer than a run takes; the next start of a run writes its manifests again.
constexpr double kManifestSeconds = 90 * 86400;

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

std::int64_t bytes_below(const fs::path& path) {
  std::error_code code;
  if (fs::is_regular_file(path, code)) {
    const auto size = fs::file_size(path, code);
    return code ? 0 : static_cast<std::int64_t>(size);
  }
  std::int64_t total = 0;
  for (auto it = fs::recursive_directory_iterator(path, code);
       !code && it != fs::recursive_directory_iterator(); it.increment(code)) {
    std::error_code gone;
    if (!it->is_regular_file(gone)) continue;
    const auto size = it->file_size(gone);
    if (!gone) total += static_cast<std::int64_t>(size);
  }
  return total;
}

double age_s(const fs::path& path, double now_unix_s) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return 0;
  return now_unix_s - static_cast<double>(status.st_mtim.tv_sec);
}

// Counts and removes what `doomed` picks from a folder.
template <typename Doomed>
void sweep(const fs::path& folder, bool dry_run, Collected& collected, Doomed doomed) {
  for (const fs::path& path : entries(folder)) {
    if (!doomed(path)) continue;
    collected.objects += 1;
    collected.bytes += bytes_below(path);
    std::error_code ignored;
    if (!dry_run) fs::remove_all(path, ignored);
  }
}

}  // namespace

Collected Store::gc(double min_age_s, bool dry_run) {
  const double now = unix_seconds();
  Collected collected;
  look_at_roots();  // warns of one that cannot be read
  const auto is_wanted = [&](const fs::path& path) {
    const std::string key = path.stem().string();
    const bool partial = path.parent_path() == root_ / "partial" && key.size() == 64;
    return wanted(key, "", false) || (partial && !claimed_by_other(key, "").empty());
  };
  std::vector<fs::path> folders;
  for (const fs::path& shard : entries(root_ / "objects")) folders.push_back(shard);
  folders.push_back(root_ / "partial");
  for (const fs::path& folder : folders) {
    for (const fs::path& path : entries(folder)) {
      if (age_s(path, now) < min_age_s || is_wanted(path)) continue;
      const std::int64_t bytes = bytes_below(path);
      if (!dry_run && !drop_unless(path, [&] { return is_wanted(path); })) continue;
      collected.objects += 1;
      collected.bytes += bytes;
    }
  }
  sweep(root_ / "runs", dry_run, collected, [&](const fs::path& path) {
    return age_s(path, now) >= min_age_s && !run_lives(path.filename().string());
  });
  sweep(root_ / "damaged", dry_run, collected,
        [&](const fs::path& path) { return age_s(path, now) >= min_age_s; });
  sweep(root_ / "manifests", dry_run, collected, [&](const fs::path& path) {
    return age_s(path, now) >= std::max(min_age_s, kManifestSeconds);
  });
  if (!dry_run) remove_dead_owners(root_ / "tmp");
  // Of other hosts: a process that lives touches its folder (beat()).
  sweep(root_ / "tmp", dry_run, collected, [&](const fs::path& path) {
    return path != temporary_ && age_s(path, now) >= std::max(min_age_s, kForeignLeftoverSeconds);
  });
  return collected;
}

StoreUsage Store::usage() const {
  StoreUsage usage;
  for_each([&](const std::string&, const fs::path&, std::int64_t bytes) {
    usage.objects += 1;
    usage.object_bytes += bytes;
  });
  for (const fs::path& run : entries(root_ / "runs")) {
    for (const fs::path& shard : entries(run)) {
      usage.objects += static_cast<std::int64_t>(entries(shard).size());
      usage.object_bytes += bytes_below(shard);
    }
  }
  usage.partial_bytes = bytes_below(root_ / "partial");
  usage.temporary_bytes = bytes_below(root_ / "tmp");
  usage.damaged_bytes = bytes_below(root_ / "damaged");
  return usage;
}

void Store::for_each(
    const std::function<void(const std::string&, const fs::path&, std::int64_t)>& visit) const {
  for (const fs::path& shard : entries(root_ / "objects")) {
    for (const fs::path& path : entries(shard))
      visit(path.stem().string(), path, bytes_below(path));
  }
}

std::unordered_set<std::string> Store::listed() const {
  std::unordered_set<std::string> keys;
  for (const fs::path& shard : entries(root_ / "objects")) {
    for (const fs::path& path : entries(shard)) keys.insert(path.stem().string());
  }
  return keys;
}

std::string Store::write_nonce() const {
  std::random_device entropy;
  const std::string nonce =
      fmt::format("nonce-{:08x}{:08x}{:08x}{:08x}", entropy(), entropy(), entropy(), entropy());
  write_file_atomically(root_ / "roots" / nonce, nonce + "\n", Durability::kSynced);
  return nonce;
}

void Store::check_nonce(const std::string& nonce, double patience_s) const {
  const fs::path file = root_ / "roots" / checked_name(nonce, "nonce");
  const double until = monotonic_seconds() + patience_s;
  for (;;) {
    // Listing the folder makes a network file system look again.
    const std::vector<fs::path> seen = entries(root_ / "roots");
    if (std::find(seen.begin(), seen.end(), file) != seen.end()) return;
    if (monotonic_seconds() >= until) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  throw Error(ErrorKind::kEnvironment,
              fmt::format("the store {} on {} is not the one that the coordinator uses; set "
                          "ASSAY_STORE to a folder that all nodes share",
                          root_.string(), host_name()),
              {{"store", root_.string()}, {"host", host_name()}});
}

void Store::remove_nonce(const std::string& nonce) const {
  std::error_code ignored;
  fs::remove(root_ / "roots" / checked_name(nonce, "nonce"), ignored);
}

}  // namespace assay::supervise
