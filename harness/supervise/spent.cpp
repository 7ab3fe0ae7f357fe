#include "harness/supervise/spent.h"

#include <cmath>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/base/json.h"

namespace assay::supervise {
namespace {

constexpr std::size_t kMaxSpentBytes = 4096;

double seconds_in(const Json& json, const char* name) {
  const Json value = json.is_object() ? json.value(name, Json()) : Json();
  const double seconds = value.is_number() ? value.get<double>() : 0;
  return std::isfinite(seconds) && seconds > 0 ? seconds : 0;
}

}  // namespace

Spent spent_on(const std::filesystem::path& checkpoints) {
  const std::filesystem::path file = checkpoints / kSpentFile;
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return {};
  try {
    const Json json = parse_json(read_file(file, kMaxSpentBytes), file.string());
    return {seconds_in(json, "wall_s"), seconds_in(json, "cpu_s")};
  } catch (const Error&) {
    return {};
  }
}

void note_spent(const std::filesystem::path& checkpoints, const Spent& spent) {
  try {
    write_file_atomically(checkpoints / kSpentFile,
                          Json{{"wall_s", spent.wall_s}, {"cpu_s", spent.cpu_s}}.dump() + "\n");
  } catch (const Error&) {
  }
}

}  // namespace assay::supervise
