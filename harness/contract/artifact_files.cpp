#include "harness/contract/artifact_files.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <string_view>

#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "harness/base/error.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxResultBytes = std::size_t{16} << 20;
constexpr std::uintmax_t kLargeBytes = std::uintmax_t{64} << 20;
const std::string kDigest = "digest";
constexpr std::time_t kSealedTime = 946'684'800;  // 1 January 2000, UTC

[[noreturn]] void refuse_artifact(const fs::path& file, const std::string& problem) {
  throw Error(
      ErrorKind::kData,
      fmt::format("damaged artifact: {} {}; the next run makes it again", file.string(), problem),
      {{"file", file.string()}});
}

std::string compact_text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string member_text(const std::string& name, const Json& value) {
  return compact_text(name) + ":" + compact_text(value);
}

// The members of a result on either side of its digest. Put together from these, its text takes no
// copy of it, which costs more than hashing it.
struct Members {
  std::string before;
  std::string after;
};

Members members_of(const Json& result) {
  Members members;
  for (const auto& [name, value] : result.get_ref<const Json::object_t&>()) {
    if (name == kDigest) continue;
    std::string& side = name < kDigest ? members.before : members.after;
    if (!side.empty()) side += ',';
    side += member_text(name, value);
  }
  return members;
}

std::string object_text(std::initializer_list<std::string_view> members) {
  std::string text = "{";
  for (const std::string_view each : members) {
    if (each.empty()) continue;
    if (text.size() > 1) text += ',';
    text += each;
  }
  return text + "}";
}

std::string digest_of(const Members& members) {
  return sha256(object_text({members.before, members.after}));
}

InputFile file_of(const fs::path& artifact, const std::string& name, const Json& digest) {
  InputFile file{.name = name, .path = artifact / name, .published = true};
  struct stat status {};
  if (!digest.is_string()) refuse_artifact(artifact / kResultName, "has a digest that is no text");
  if (::stat(file.path.c_str(), &status) != 0) refuse_artifact(file.path, "is missing");
  file.digest = digest.get<std::string>();
  if (is_sealed(status) && static_cast<std::uintmax_t>(status.st_size) > kLargeBytes) {
    file.identity = identity_of(file.path);
  }
  return file;
}

}  // namespace

std::string result_digest(const Json& result) { return digest_of(members_of(result)); }

std::string_view published_digest(std::string_view text) {
  static const std::string kStart = ",\"" + kDigest + "\":\"";
  constexpr std::size_t kDigits = 64;
  if (text.ends_with('\n')) text.remove_suffix(1);
  const std::size_t at = text.find(kStart);
  if (at == std::string_view::npos || !text.ends_with('}')) return "";
  const std::string_view from = text.substr(at + kStart.size());  // "<digits>\",<what follows>}"
  if (from.size() <= kDigits || from[kDigits] != '"') return "";
  const std::string rest = std::string(text.substr(0, at)).append(from.substr(kDigits + 1));
  const std::string_view digest = from.substr(0, kDigits);
  return sha256(rest) == digest ? digest : "";
}

std::string published_text(Json& result) {
  const Members members = members_of(result);
  const std::string digest = digest_of(members);
  result[kDigest] = digest;
  return object_text({members.before, member_text(kDigest, digest), members.after});
}

void check_result_digest(const Json& result, const fs::path& file) {
  if (!result.is_object()) refuse_artifact(file, "is not an object");
  const auto digest = result.find(kDigest);
  if (digest == result.end())
    refuse_artifact(file, "was made by a version that recorded no digests");
  if (*digest != result_digest(result)) refuse_artifact(file, "is not the text that was published");
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
  const std::string text = read_file(file, kMaxResultBytes);
  if (!folder && !published_digest(text).empty()) return FileSet({}, std::move(watch));
  const Json result = parse_json(text, file.string());
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

std::string publication_of(const fs::path& artifact) {
  const fs::path file = fs::is_directory(artifact) ? artifact / kResultName : artifact;
  return file.string() + " " + to_json(identity_of(file)).dump();
}

}  // namespace assay
