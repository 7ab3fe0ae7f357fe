// What runs want kept.

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/base/json_text.h"
#include "harness/base/log.h"
#include "harness/supervise/host.h"
#include "harness/supervise/store.h"
#include "harness/supervise/store_layout.h"

namespace assay::supervise {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxRootBytes = std::size_t{1} << 30;

std::vector<fs::path> root_files(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    const fs::path& path = entry.path();
    if (path.extension() == ".json" && !path.filename().string().starts_with("."))
      found.push_back(path);
  }
  std::sort(found.begin(), found.end());
  return found;
}

Root root_from(const fs::path& file) {
  const Json json = parse_json(read_file(file, kMaxRootBytes), file.string());
  try {
    Root root;
    root.run = json.at("run").get<std::string>();
    root.folder = json.at("folder").get<std::string>();
    root.lease_until_unix_s = json.at("lease_until_unix_s").get<double>();
    root.keys = json.at("keys").get<std::set<std::string>>();
    return root;
  } catch (const Json::exception& e) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: {}; remove it if its run is gone", file.string(), reason_of(e)));
  }
}

bool lives(const Root& root, bool leased) {
  std::error_code code;
  return root.lease_until_unix_s > unix_seconds() || (!leased && fs::exists(root.folder, code));
}

}  // namespace

void Store::register_root(const Root& root) {
  const Json json = {{"run", checked_name(root.run, "run id")},
                     {"folder", root.folder.string()},
                     {"lease_until_unix_s", root.lease_until_unix_s},
                     {"keys", root.keys}};
  write_file_atomically(root_ / "roots" / (root.run + ".json"), json.dump() + "\n",
                        Durability::kSynced);
}

std::vector<Root> Store::roots() const {
  std::vector<Root> found;
  for (const fs::path& path : root_files(root_ / "roots")) {
    try {
      found.push_back(root_from(path));
    } catch (const Error& e) {
      if (fs::exists(path)) log_warning("{}", e.what());  // else forgotten meanwhile
    }
  }
  return found;
}

void Store::look_at_roots() const {
  std::map<fs::path, KnownRoot> now;
  root_unreadable_ = false;
  for (const fs::path& path : root_files(root_ / "roots")) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) continue;
    KnownRoot root{static_cast<std::int64_t>(status.st_ino),
                   status.st_mtim.tv_sec * std::int64_t{1'000'000'000} + status.st_mtim.tv_nsec,
                   {}};
    const auto before = roots_.find(path);
    const bool same = before != roots_.end() && before->second.inode == root.inode &&
                      before->second.changed_ns == root.changed_ns;
    try {
      root.root = same ? std::move(before->second.root) : root_from(path);
    } catch (const Error& e) {
      if (!fs::exists(path)) continue;  // forgotten meanwhile
      root_unreadable_ = true;
      if (!std::exchange(root_warned_, true))
        log_warning("{}; until it can be read or is removed nothing is dropped", e.what());
      continue;
    }
    now.emplace(path, std::move(root));
  }
  roots_ = std::move(now);
}

bool Store::wanted(const std::string& key, const std::string& except, bool leased) const {
  const auto by_known = [&] {
    return std::any_of(roots_.begin(), roots_.end(), [&](const auto& entry) {
      const Root& root = entry.second.root;
      return root.run != except && root.keys.contains(key) && lives(root, leased);
    });
  };
  if (!leased && by_known()) return true;  // a look at the folder for what may go only
  look_at_roots();
  return root_unreadable_ || by_known();
}

bool Store::run_lives(const std::string& run) const {
  look_at_roots();
  return root_unreadable_ || std::any_of(roots_.begin(), roots_.end(), [&](const auto& entry) {
    return entry.second.root.run == run && lives(entry.second.root, false);
  });
}

}  // namespace assay::supervise
