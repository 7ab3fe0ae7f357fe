#include "harness/core/artifact_files.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "harness/core/atomic_file.h"
#include "harness/core/digest.h"
#include "harness/core/error.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxResultBytes = std::size_t{16} << 20;
constexpr std::uintmax_t kLargeBytes = std::uintmax_t{64} << 20;
constexpr std::time_t kSealedTime = 946'684'800;  // 1 January 2000, UTC

[[noreturn]] void refuse(const fs::path& file, const std::string& problem) {
  throw Error(
      ErrorKind::kData,
      fmt::format("damaged artifact: {} {}; the next run makes it again", file.string(), problem),
      {{"file", file.string()}});
}

InputFile file_of(const fs::path& artifact, const std::string& name, const Json& digest) {
  InputFile file{.name = name, .path = artifact / name, .published = true};
  struct stat status {};
  if (!digest.is_string()) refuse(artifact / kResultName, "has a digest that is no text");
  if (::stat(file.path.c_str(), &status) != 0) refuse(file.path, "is missing");
  file.digest = digest.get<std::string>();
  if (is_sealed(status) && static_cast<std::uintmax_t>(status.st_size) > kLargeBytes) {
    file.identity = identity_of(file.path);
  }
  return file;
}

}  // namespace

std::string result_digest(const Json& result) {
  Json content = result;
  content.erase("digest");
  return sha256(content.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void check_result_digest(const Json& result, const fs::path& file) {
  if (!result.is_object()) refuse(file, "is not an object");
  const auto digest = result.find("digest");
  if (digest == result.end()) refuse(file, "was made by a version that recorded no digests");
  if (*digest != result_digest(result)) refuse(file, "is not the text that was published");
}

void seal(const fs::path& file) {
  const timespec times[2] = {{0, UTIME_OMIT}, {kSealedTime, 0}};
  if (::utimensat(AT_FDCWD, file.c_str(), times, 0) != 0 || ::chmod(file.c_str(), 0444) != 0) {
    throw Error(ErrorKind::kIo,
                fmt::format("cannot seal {}: {}", file.string(), std::strerror(errno)),
                {{"file", file.string()}});
  }
}

bool is_sealed(const struct stat& status) {
  return status.st_mtim.tv_sec == kSealedTime && status.st_mtim.tv_nsec == 0;
}

FileSet artifact_files(const fs::path& artifact, std::shared_ptr<InputWatch> watch) {
  const bool folder = fs::is_directory(artifact);
  const fs::path file = folder ? artifact / kResultName : artifact;
  const Json result = parse_json(read_file(file, kMaxResultBytes), file.string());
  check_result_digest(result, file);
  std::vector<InputFile> files;
  if (folder) {
    const Json digests = result.value("digests", Json::object());  // items() refers to its object
    for (const auto& item : digests.items()) {
      files.push_back(file_of(artifact, item.key(), item.value()));
    }
  }
  return FileSet(std::move(files), std::move(watch));
}

std::string read_artifact(const fs::path& artifact, const std::string& name) {
  const FileSet files = artifact_files(artifact);
  const InputFile* file = files.find("", name);
  if (file == nullptr) refuse(artifact / name, "is not listed in result.json");
  return read_input(*file);
}

}  // namespace assay
