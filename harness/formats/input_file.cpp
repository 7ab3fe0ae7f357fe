#include "harness/formats/input_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "harness/base/error.h"
#include "harness/base/json_text.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kSettledNs = 2 * kSecondNs;

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * kSecondNs + time.tv_nsec;
}

FileIdentity identity_from(const struct stat& status) {
  return {static_cast<std::uint64_t>(status.st_size), nanoseconds(status.st_mtim),
          nanoseconds(status.st_ctim), status.st_ino};
}

[[noreturn]] void fail_to_read(const fs::path& path, int code) {
  throw Error(ErrorKind::kIo, fmt::format("cannot read {}: {}", path.string(), std::strerror(code)),
              {{"file", path.string()}});
}

std::string text_member(const Json& json, const char* name) {
  const auto found = json.is_object() ? json.find(name) : json.end();
  if (!json.is_object() || found == json.end() || !found->is_string()) {
    throw Error(ErrorKind::kConfig,
                fmt::format("an input file lacks its {}: {}", name, json.dump().substr(0, 200)));
  }
  return found->get<std::string>();
}

}  // namespace

const InputFile* FileSet::find(std::string_view role, std::string_view name) const {
  const auto found = std::find_if(files_.begin(), files_.end(), [&](const InputFile& file) {
    return file.role == role && file.name == name;
  });
  return found == files_.end() ? nullptr : &*found;
}

const InputFile* FileSet::first(std::string_view role) const {
  const auto found = std::find_if(files_.begin(), files_.end(),
                                  [&](const InputFile& file) { return file.role == role; });
  return found == files_.end() ? nullptr : &*found;
}

std::vector<const InputFile*> FileSet::of_role(std::string_view role) const {
  std::vector<const InputFile*> found;
  for (const InputFile& file : files_) {
    if (file.role == role) found.push_back(&file);
  }
  return found;
}

Json recipe_json(const FileSet& files) {
  Json list = Json::array();
  for (const InputFile& file : files) {
    list.push_back({{"role", file.role}, {"name", file.name}, {"digest", file.digest}});
  }
  return list;
}

Json locations_json(const FileSet& files) {
  Json list = Json::array();
  for (const InputFile& file : files) {
    Json& entry = list.emplace_back(
        Json{{"role", file.role}, {"name", file.name}, {"path", file.path.string()}});
    if (file.identity) entry["identity"] = to_json(*file.identity);
    if (!file.manifest.empty()) entry["manifest"] = file.manifest.string();
  }
  return list;
}

FileSet files_from_json(const Json& recipe_files, const Json& location_files,
                        std::shared_ptr<InputWatch> watch) {
  if (!recipe_files.is_array() || !location_files.is_array() ||
      recipe_files.size() != location_files.size()) {
    throw Error(ErrorKind::kConfig, "the recipe and the locations do not list the same files");
  }
  std::vector<InputFile> files;
  for (std::size_t i = 0; i < recipe_files.size(); ++i) {
    InputFile& file = files.emplace_back();
    file.role = text_member(recipe_files[i], "role");
    file.name = text_member(recipe_files[i], "name");
    file.digest = text_member(recipe_files[i], "digest");
    const Json& location = location_files[i];
    if (text_member(location, "role") != file.role || text_member(location, "name") != file.name) {
      throw Error(ErrorKind::kConfig,
                  fmt::format("file {} is '{}' in the recipe, but {} in the locations", i,
                              file.name, location.dump().substr(0, 200)));
    }
    file.path = text_member(location, "path");
    if (location.contains("identity")) file.identity = identity_from_json(location["identity"]);
    if (location.contains("manifest")) file.manifest = text_member(location, "manifest");
  }
  return FileSet(std::move(files), std::move(watch));
}

Json to_json(const FileIdentity& identity) {
  return {{"size_bytes", identity.size_bytes},
          {"mtime_ns", identity.mtime_ns},
          {"ctime_ns", identity.ctime_ns},
          {"inode", identity.inode}};
}

FileIdentity identity_from_json(const Json& json) {
  try {
    return {json.at("size_bytes").get<std::uint64_t>(), json.at("mtime_ns").get<std::int64_t>(),
            json.at("ctime_ns").get<std::int64_t>(), json.at("inode").get<std::uint64_t>()};
  } catch (const Json::exception& e) {
    throw Error(ErrorKind::kData, fmt::format("the identity of a file: {}", reason_of(e)));
  }
}

FileIdentity identity_of(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) fail_to_read(path, errno);
  return identity_from(status);
}

FileIdentity identity_of(int descriptor, const fs::path& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail_to_read(path, errno);
  return identity_from(status);
}

std::int64_t wall_clock_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds(now);
}

bool is_settled(const FileIdentity& identity, std::int64_t now_ns) {
  return now_ns - identity.ctime_ns > kSettledNs;
}

std::string read_input(const InputFile& file, std::size_t max_bytes) {
  std::string content = read_file(file.path, max_bytes);
  if (!file.digest.empty() && sha256(content) != file.digest) refuse_changed(file);
  return content;
}

InputFile unplanned(const fs::path& path, const std::string& role) {
  return {.role = role, .name = path.filename().string(), .path = path};
}

void refuse_changed(const InputFile& file) {
  const std::string problem =
      file.published
          ? "is damaged: it does not hold what was published; `assay run` of its sweep makes it "
            "again"
          : "changed since the plan: it does not hold what the key of this stage stands for; run "
            "the command again to plan with what it holds now";
  throw Error(ErrorKind::kData, fmt::format("{} {}", file.path.string(), problem),
              {{"file", file.path.string()}, {"digest", file.digest}});
}

}  // namespace assay
