#include "harness/base/digest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "harness/base/error.h"

namespace assay {
namespace {

// Looked up once: libcrypto searches its providers each time that an algorithm is named. Its
// configuration file, which says nothing of SHA-256, takes longer to read than a board to make.
const EVP_MD* algorithm() {
  static const EVP_MD* const kFound = [] {
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
    return EVP_MD_fetch(nullptr, "SHA256", nullptr);
  }();
  return kFound;
}

[[noreturn]] void fail_to_read(const std::filesystem::path& path, int code) {
  throw Error(ErrorKind::kIo, fmt::format("cannot read {}: {}", path.string(), std::strerror(code)),
              {{"file", path.string()}});
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) { restart(); }

void Sha256::restart() {
  if (!context_ || algorithm() == nullptr ||
      EVP_DigestInit_ex(context_.get(), algorithm(), nullptr) != 1) {
    throw Error(ErrorKind::kEnvironment, "libcrypto offers no SHA-256");
  }
}

void Sha256::update(std::string_view bytes) {
  EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
}

std::string Sha256::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
  unsigned int size = 0;
  EVP_DigestFinal_ex(context_.get(), raw.data(), &size);
  restart();
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(2 * std::size_t{size}, '0');
  for (std::size_t i = 0; i < size; ++i) {
    text[2 * i] = kDigits[raw[i] >> 4];
    text[2 * i + 1] = kDigits[raw[i] & 15];
  }
  return text;
}

std::string sha256(std::string_view bytes) {
  thread_local Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string sha256_file(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail_to_read(path, errno);
  try {
    std::string digest = sha256_descriptor(fd, path);
    ::close(fd);
    return digest;
  } catch (...) {
    ::close(fd);
    throw;
  }
}

std::string sha256_descriptor(int descriptor, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
    throw Error(ErrorKind::kData,
                fmt::format("{} is a pipe or a device; a regular file is wanted", path.string()),
                {{"file", path.string()}});
  }
  Sha256 hash;
  std::vector<char> block(1 << 20);
  for (off_t at = 0;;) {
    const ssize_t got = ::pread(descriptor, block.data(), block.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_to_read(path, errno);
    if (got == 0) break;
    hash.update({block.data(), static_cast<std::size_t>(got)});
    at += got;
  }
  return hash.hex();
}

}  // namespace assay
