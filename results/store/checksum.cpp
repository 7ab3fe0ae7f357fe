#include "results/store/checksum.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"

namespace assay::results {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDigits = 32;
constexpr std::size_t kBlockBytes = std::size_t{256} << 10;

fs::path checksum_file(const fs::path& database) { return database.string() + ".xxh128"; }

// XXH3 of 128 bits, as xxhsum writes it.
std::string xxh128_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              XXH3_freeState);
  XXH3_128bits_reset(state.get());
  std::vector<char> block(kBlockBytes);
  while (file) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    XXH3_128bits_update(state.get(), block.data(), static_cast<std::size_t>(file.gcount()));
  }
  if (!file.eof()) {
    throw Error(ErrorKind::kIo,
                fmt::format("cannot read {}: {}", path.string(), std::strerror(errno)),
                {{"file", path.string()}});
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

// What the checksum file says, also what is no checksum; nothing where there is none, and for an
// empty file: a machine that goes down may leave one, as nothing waits for the disk here.
std::optional<std::string> recorded(const fs::path& database) {
  std::error_code ignored;
  const fs::file_status status = fs::symlink_status(checksum_file(database), ignored);
  if (status.type() == fs::file_type::not_found) return std::nullopt;
  std::ifstream file(checksum_file(database), std::ios::binary);
  if (!file || !fs::is_regular_file(checksum_file(database), ignored)) return "";
  std::string digits(kDigits, '\0');
  file.read(digits.data(), kDigits);
  digits.resize(static_cast<std::size_t>(file.gcount()));
  return digits.empty() ? std::nullopt : std::optional(digits);
}

}  // namespace

Checksum checksum_of(const fs::path& database) {
  std::error_code ignored;
  if (!fs::is_regular_file(database, ignored)) return Checksum::kNone;
  const std::optional<std::string> before = recorded(database);
  if (!before) return Checksum::kNone;
  if (xxh128_of(database) == *before) return Checksum::kMatches;
  // A run that starts removes the checksum before it writes.
  return recorded(database) == before ? Checksum::kDiffers : Checksum::kNone;
}

void write_checksum(const fs::path& database) {
  write_file_atomically(checksum_file(database),
                        fmt::format("{}  {}\n", xxh128_of(database), database.filename().string()));
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
