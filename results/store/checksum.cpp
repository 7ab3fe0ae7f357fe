#include "results/store/checksum.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>

#include "harness/core/atomic_file.h"
#include "harness/core/digest.h"
#include "harness/core/error.h"

namespace assay::results {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDigits = 64;

fs::path checksum_file(const fs::path& database) { return database.string() + ".sha256"; }

// Nothing for a file that is not there, or is no checksum: a machine may have gone down while it
// was written.
std::optional<std::string> recorded(const fs::path& database) {
  std::string digits(kDigits, '\0');
  std::ifstream file(checksum_file(database), std::ios::binary);
  if (!file.read(digits.data(), kDigits)) return std::nullopt;
  const bool hexadecimal = std::all_of(digits.begin(), digits.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  return hexadecimal ? std::optional(digits) : std::nullopt;
}

}  // namespace

Checksum checksum_of(const fs::path& database) {
  std::error_code ignored;
  if (!fs::is_regular_file(database, ignored)) return Checksum::kNone;
  const std::optional<std::string> before = recorded(database);
  if (!before) return Checksum::kNone;
  if (sha256_file(database) == *before) return Checksum::kMatches;
  // A run that starts removes the checksum before it writes.
  return recorded(database) == before ? Checksum::kDiffers : Checksum::kNone;
}

void write_checksum(const fs::path& database) {
  write_file_atomically(
      checksum_file(database),
      fmt::format("{}  {}\n", sha256_file(database), database.filename().string()),
      Durability::kSynced);
}

void remove_checksum(const fs::path& database) {
  std::error_code code;
  fs::remove(checksum_file(database), code);
  if (!code) return;
  throw Error(ErrorKind::kIo,
              fmt::format("{}: cannot be removed: {}; check the permissions of the run folder",
                          checksum_file(database).string(), code.message()),
              {{"file", checksum_file(database).string()}});
}

}  // namespace assay::results
