#include "harness/app/run_samples.h"

#include <fmt/format.h>

#include <system_error>

#include "harness/core/error.h"

namespace assay::app {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& file, const std::error_code& code) {
  throw Error(ErrorKind::kIo,
              fmt::format("cannot keep per-sample values in {}: {}", file.string(), code.message()),
              {{"file", file.string()}});
}

}  // namespace

fs::path samples_in(const fs::path& run, const std::string& stage) {
  return run / "samples" / (stage + ".safetensors");
}

void keep_samples(const fs::path& run, const std::string& stage, const fs::path& artifact) {
  const fs::path from = artifact / "samples.safetensors", to = samples_in(run, stage);
  std::error_code code;
  if (!fs::is_regular_file(from, code) || fs::exists(to, code)) return;
  fs::create_directories(to.parent_path(), code);
  if (code) refuse(to.parent_path(), code);
  fs::create_hard_link(from, to, code);
  if (!code || code == std::errc::file_exists) return;
  const fs::path half = to.string() + ".new";  // one process writes a run folder: it holds run.lock
  fs::copy_file(from, half, fs::copy_options::overwrite_existing, code);
  if (!code) fs::rename(half, to, code);
  if (code) refuse(to, code);
}

}  // namespace assay::app
