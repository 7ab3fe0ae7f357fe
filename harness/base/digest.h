#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;  // libcrypto's, unnamed by its headers' users

namespace assay {

// SHA-256 of a text that comes in pieces, and of another one after that: setting up costs more than
// a short text.
class Sha256 {
 public:
  Sha256();
  void update(std::string_view bytes);
  // The digest of all that came since the last call, as 64 lower-case hexadecimal digits.
  std::string hex();

 private:
  void restart();

  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
};

// SHA-256 of bytes, as 64 lower-case hexadecimal digits.
std::string sha256(std::string_view bytes);

// SHA-256 of a file's content, read in blocks. Throws Error(kIo) naming the file if it cannot be
// read.
std::string sha256_file(const std::filesystem::path& path);
// The same of an open descriptor, from its first byte; `path` names it in errors.
std::string sha256_descriptor(int descriptor, const std::filesystem::path& path);

}  // namespace assay
