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

// The texts of a result's members before its digest and behind it, each as an object of its own.
// The members move instead of being copied, which would cost more than hashing them.
struct Undigested {
  std::string before;
  std::string behind;

  explicit Undigested(Json& result) {
    auto& members = result.get_ref<Json::object_t&>();
    members.erase(kDigest);
    Json rest = Json::object();
    auto& moved = rest.get_ref<Json::object_t&>();
    for (auto each = members.lower_bound(kDigest); each != members.end();)
      moved.insert(moved.end(), members.extract(each++));
    before = compact_text(result);
    behind = compact_text(rest);
    members.merge(moved);
  }
};

// One object of the members of several.
std::string joined(std::initializer_list<std::string_view> objects) {
  std::string text = "{";
  for (const std::string_view object : objects) {
    if (object == "{}") continue;
    if (text.size() > 1) text += ',';
    text += object.substr(1, object.size() - 2);
  }
  return text + "}";
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

std::string result_digest(const Json& result) {
  Json copy = result;
  const Undigested parts(copy);
  return sha256(joined({parts.before, parts.behind}));
}

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
  const Undigested parts(result);
  const std::string digest = sha256(joined({parts.before, parts.behind}));
  result[kDigest] = digest;
  const std::string member = fmt::format(R"({{"{}":"{}"}})", kDigest, digest);
  return joined({parts.before, member, parts.behind});
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
