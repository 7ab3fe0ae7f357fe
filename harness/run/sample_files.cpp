#include "harness/run/sample_files.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <system_error>

#include "harness/base/error.h"
#include "harness/contract/artifact_files.h"

namespace assay::run {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& file, const std::error_code& code) {
  throw Error(ErrorKind::kIo,
              fmt::format("cannot keep per-sample values in {}: {}", file.string(), code.message()),
              {{"file", file.string()}});
}

// Whether the file kept is that of the artifact, or a sealed copy of it.
bool is_kept(const fs::path& from, const fs::path& to) {
  struct stat theirs {
  }, ours{};
  if (::stat(from.c_str(), &theirs) != 0 || ::stat(to.c_str(), &ours) != 0) return false;
  const bool one_disk = theirs.st_dev == ours.st_dev;
  if (one_disk && theirs.st_ino == ours.st_ino) return true;
  if (one_disk && ours.st_nlink > 1) return false;  // a file of an artifact that was put aside
  return theirs.st_size == ours.st_size && is_sealed(ours);
}

}  // namespace

fs::path samples_in(const fs::path& run, const std::string& stage) {
  return run / "samples" / (stage + ".safetensors");
}

void keep_samples(const fs::path& run, const std::string& stage, const fs::path& artifact) {
  const fs::path from = artifact / kSamplesFile, to = samples_in(run, stage);
  std::error_code code;
  if (artifact.extension() == ".json") return;  // a result without files
  if (!fs::is_regular_file(from, code) || is_kept(from, to)) return;
  fs::create_directories(to.parent_path(), code);
  if (code) refuse(to.parent_path(), code);
  const fs::path half = to.string() + ".new";  // one process writes a run folder: it holds run.lock
  fs::remove(half, code);
  fs::create_hard_link(from, half, code);
  if (code) {
    fs::copy_file(from, half, code);
    if (!code) seal(half);
  }
  if (!code) fs::rename(half, to, code);
  if (code) refuse(to, code);
}

}  // namespace assay::run
