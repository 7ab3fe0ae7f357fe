#include "harness/run/cancel_request.h"

#include <system_error>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/base/json.h"

namespace assay::run {
namespace {

constexpr std::size_t kMaxBytes = 4096;

std::filesystem::path file_in(const std::filesystem::path& run_folder) {
  return run_folder / "run.cancel";
}

}  // namespace

void request_cancel(const std::filesystem::path& run_folder, const std::string& token) {
  write_file_atomically(file_in(run_folder), Json{{"token", token}}.dump() + "\n");
}

bool cancel_requested(const std::filesystem::path& run_folder, const std::string& token) {
  const std::filesystem::path file = file_in(run_folder);
  std::error_code code;
  if (!std::filesystem::exists(file, code)) return false;
  bool ours = false;
  try {
    const Json json = parse_json(read_file(file, kMaxBytes), file.string());
    ours = json.is_object() && json.value("token", Json()) == Json(token);
  } catch (const Error&) {
    // Gone meanwhile, or no request.
  }
  std::filesystem::remove(file, code);
  return ours;
}

}  // namespace assay::run
