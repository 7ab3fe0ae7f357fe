#include "datasets/file_head.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "harness/base/error.h"

namespace assay::datasets {
namespace {

constexpr std::size_t kReadStep = std::size_t{64} << 10;
constexpr const char* kMark = "\x1f\x8b";  // of gzip

class OpenFile {
 public:
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
  explicit OpenFile(const std::filesystem::path& path)
      : path_(path), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (descriptor_ < 0) fail(ErrorKind::kIo, std::strerror(errno));
    struct stat status {};
    const bool known = ::fstat(descriptor_, &status) == 0;
    if (!known || !S_ISREG(status.st_mode)) {
      ::close(descriptor_);
      fail(ErrorKind::kData, "not a regular file");
    }
    size_ = status.st_size;
  }
  ~OpenFile() { ::close(descriptor_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  std::int64_t size() const { return size_; }

  std::string at(std::int64_t offset, std::size_t count) const {
    std::string bytes(count, '\0');
    std::size_t done = 0;
    while (done < count) {
      const ssize_t got = ::pread(descriptor_, bytes.data() + done, count - done,
                                  offset + static_cast<std::int64_t>(done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail(ErrorKind::kIo, std::strerror(errno));
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    bytes.resize(done);
    return bytes;
  }

  [[noreturn]] void fail(ErrorKind kind, const std::string& why) const {
    throw Error(kind, fmt::format("{}: {}", path_.string(), why), {{"file", path_.string()}});
  }

 private:
  const std::filesystem::path& path_;
  int descriptor_;
  std::int64_t size_ = 0;
};

std::string inflated_head(const OpenFile& file, std::size_t count) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) {
    throw Error(ErrorKind::kOom, "zlib could not start");
  }
  struct End {
    z_stream& stream;
    ~End() { inflateEnd(&stream); }
  } const end{stream};
  std::string out(count, '\0');
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(count);
  std::int64_t offset = 0;
  std::string block;
  int code = Z_OK;
  while (code == Z_OK && stream.avail_out > 0) {
    if (stream.avail_in == 0) {
      block = file.at(offset, kReadStep);
      if (block.empty()) file.fail(ErrorKind::kData, "the compressed data is cut off");
      offset += static_cast<std::int64_t>(block.size());
      stream.next_in = reinterpret_cast<Bytef*>(block.data());
      stream.avail_in = static_cast<uInt>(block.size());
    }
    code = inflate(&stream, Z_NO_FLUSH);
    // Streams may follow one another.
    const std::int64_t at = offset - static_cast<std::int64_t>(stream.avail_in);
    if (code == Z_STREAM_END && file.at(at, 2) == kMark) code = inflateReset(&stream);
  }
  if (code != Z_OK && code != Z_STREAM_END) {
    file.fail(ErrorKind::kData,
              fmt::format("the compressed data is damaged ({})",
                          stream.msg != nullptr ? stream.msg : "no reason given"));
  }
  out.resize(count - stream.avail_out);
  return out;
}

// ISIZE of RFC 1952: little-endian, modulo 2^32.
std::int64_t claimed_size(const OpenFile& file) {
  const std::string last = file.at(std::max<std::int64_t>(0, file.size() - 4), 4);
  std::int64_t size = 0;
  for (std::size_t i = last.size(); i-- > 0;)
    size = size << 8 | static_cast<unsigned char>(last[i]);
  return size;
}

}  // namespace

FileHead read_head(const InputFile& input, std::size_t count) {
  const OpenFile file(input.path);
  FileHead head{.stored_bytes = file.size(), .inflated_bytes = file.size()};
  head.compressed = file.at(0, 2) == kMark;
  if (head.compressed) {
    head.bytes = inflated_head(file, count);
    head.inflated_bytes = head.bytes.size() < count ? static_cast<std::int64_t>(head.bytes.size())
                                                    : claimed_size(file);
  } else {
    head.bytes = file.at(0, std::min(count, static_cast<std::size_t>(file.size())));
  }
  return head;
}

}  // namespace assay::datasets
