#include "harness/formats/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "harness/base/error.h"
#include "harness/base/json_text.h"
#include "harness/base/utf8.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxDepth = 100;
constexpr std::size_t kMaxEntries = 20'000'000;
constexpr std::size_t kMaxManifestBytes = std::size_t{4} << 30;

// {path} or {path, digest}, the part of an entry that counts.
Json content_of(const ManifestEntry& entry) {
  Json line = Json::array({entry.path});
  if (!entry.folder) line.push_back(entry.digest);
  return line;
}

bool stays_below(const std::string& path) {
  if (path.empty() || path.front() == '/' || path.find('\0') != std::string::npos) return false;
  const fs::path names(path);
  if (names.lexically_normal().generic_string() != path) return false;
  return std::none_of(names.begin(), names.end(), [](const fs::path& name) {
    return name.empty() || name == "." || name == "..";
  });
}

ManifestEntry entry_from(std::string_view line, std::string_view what, std::size_t number) {
  const std::string where = fmt::format("{}, line {}", what, number);
  const Json json = parse_json(line, where, 2);
  try {
    ManifestEntry entry;
    entry.path = json.at(0).get<std::string>();
    entry.folder = json.size() == 1;
    if (!entry.folder) {
      entry.digest = json.at(1).get<std::string>();
      if (json.size() > 2) {
        entry.identity = {json.at(2).get<std::uint64_t>(), json.at(3).get<std::int64_t>(),
                          json.at(4).get<std::int64_t>(), json.at(5).get<std::uint64_t>()};
      }
    }
    if (stays_below(entry.path)) return entry;
  } catch (const Json::exception& e) {
    throw Error(ErrorKind::kData, fmt::format("{}: {}", where, reason_of(e)));
  }
  throw Error(ErrorKind::kData, fmt::format("{}: a path that leaves the folder", where));
}

[[noreturn]] void refuse_folder(const fs::path& folder, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("'{}': {}", folder.string(), problem),
              {{"file", folder.string()}});
}

// A link that leads nowhere would leave an image out, one that leads up would count all twice.
void check_link(const fs::path& folder, const fs::directory_entry& entry,
                const fs::file_status& status) {
  std::error_code error;
  if (!entry.is_symlink(error)) return;
  const std::string name = utf8_text(entry.path().lexically_relative(folder).generic_string());
  if (!fs::exists(status)) {
    refuse_folder(folder,
                  fmt::format("'{}' below it is a link to '{}', where nothing is; bring the file "
                              "(git annex get, git lfs pull), or remove the link",
                              name, utf8_text(fs::read_symlink(entry.path(), error).string())));
  }
  if (!fs::is_directory(status)) return;
  for (fs::path above = entry.path().parent_path(); above.string().size() >= folder.string().size();
       above = above.parent_path()) {
    if (fs::equivalent(entry.path(), above, error)) {
      refuse_folder(
          folder,
          fmt::format("'{}' below it is a link to a folder that holds it; remove the link", name));
    }
    if (!above.has_relative_path()) return;
  }
}

void check_utf8_name(const fs::path& folder, const std::string& name) {
  if (!is_utf8(name)) {
    refuse_folder(folder,
                  fmt::format("the name '{}' below it is not UTF-8; rename it", utf8_text(name)));
  }
}

}  // namespace

std::string content_digest(const Manifest& manifest) {
  Sha256 hash;
  for (const ManifestEntry& entry : manifest) hash.update(content_of(entry).dump() + "\n");
  return hash.hex();
}

std::string text_of(const Manifest& manifest) {
  std::string text;
  for (const ManifestEntry& entry : manifest) {
    Json line = content_of(entry);
    if (entry.identity) {
      line.push_back(entry.identity->size_bytes);
      line.push_back(entry.identity->mtime_ns);
      line.push_back(entry.identity->ctime_ns);
      line.push_back(entry.identity->inode);
    }
    text += line.dump() + "\n";
  }
  return text;
}

Manifest parse_manifest(std::string_view text, std::string_view what) {
  Manifest manifest;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    manifest.push_back(entry_from(text.substr(0, end), what, manifest.size() + 1));
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t count = manifest.size();
    if (count > kMaxEntries ||
        (count > 1 && manifest[count - 2].path >= manifest[count - 1].path)) {
      throw Error(ErrorKind::kData,
                  fmt::format("{}, line {}: the entries are not in order", what, count));
    }
  }
  return manifest;
}

Manifest read_manifest(const InputFile& folder) {
  if (folder.manifest.empty()) {
    if (!folder.digest.empty()) refuse_folder(folder.path, "the locations name no manifest of it");
    return list_folder(folder.path);
  }
  Manifest manifest =
      parse_manifest(read_file(folder.manifest, kMaxManifestBytes), folder.manifest.string());
  if (content_digest(manifest) != folder.digest) {
    throw Error(ErrorKind::kData,
                fmt::format("{} is not the manifest of {} that the recipe names; run the command "
                            "again to plan anew",
                            folder.manifest.string(), folder.path.string()),
                {{"file", folder.manifest.string()}});
  }
  return manifest;
}

InputFile file_in(const InputFile& folder, const ManifestEntry& entry) {
  return {.role = folder.role,
          .name = entry.path,
          .path = folder.path / entry.path,
          .digest = entry.digest,
          .identity = entry.identity};
}

Manifest list_folder(const fs::path& folder) {
  Manifest manifest;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(
           folder, fs::directory_options::follow_directory_symlink, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (it.depth() > kMaxDepth) {
      refuse_folder(folder, fmt::format("folders nested deeper than {} levels", kMaxDepth));
    }
    std::error_code gone;
    const fs::file_status status = it->status(gone);
    check_link(folder, *it, status);
    if (!fs::is_regular_file(status) && !fs::is_directory(status)) continue;
    ManifestEntry& entry = manifest.emplace_back();
    entry.path = it->path().lexically_relative(folder).generic_string();
    entry.folder = fs::is_directory(status);
    check_utf8_name(folder, entry.path);
    if (manifest.size() > kMaxEntries) {
      refuse_folder(folder, fmt::format("holds more than {} files", kMaxEntries));
    }
  }
  if (error) {
    throw Error(ErrorKind::kIo,
                fmt::format("cannot list '{}': {}", folder.string(), error.message()),
                {{"file", folder.string()}});
  }
  std::sort(manifest.begin(), manifest.end(),
            [](const ManifestEntry& a, const ManifestEntry& b) { return a.path < b.path; });
  return manifest;
}

}  // namespace assay
