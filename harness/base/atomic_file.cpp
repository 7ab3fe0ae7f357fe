#include "harness/base/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "harness/base/error.h"

namespace assay {
namespace {

[[noreturn]] void fail(std::string_view what, const std::filesystem::path& path, int code) {
  throw Error(ErrorKind::kIo,
              fmt::format("cannot {} {}: {}", what, path.string(), std::strerror(code)),
              {{"file", path.string()}});
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : ".";
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

std::string read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) fail("read", path, errno);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) fail("read", path, errno);
  if (S_ISDIR(status.st_mode)) fail("read", path, EISDIR);
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::kData,
                fmt::format("{} is a pipe or a device; a regular file is wanted", path.string()),
                {{"file", path.string()}});
  }
  const std::size_t size = static_cast<std::size_t>(status.st_size);  // 0 below /proc
  std::string content;
  content.reserve(std::min(size, max_bytes));
  char block[65536];
  while (size == 0 || content.size() < size) {
    const ssize_t got = ::read(fd.get(), block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("read", path, errno);
    if (got == 0) break;
    if (content.size() + static_cast<std::size_t>(got) > max_bytes) {
      throw Error(ErrorKind::kData,
                  fmt::format("{} is larger than {} bytes", path.string(), max_bytes),
                  {{"file", path.string()}});
    }
    content.append(block, static_cast<std::size_t>(got));
  }
  return content;
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  static std::atomic<unsigned> counter{0};
  const std::filesystem::path folder = folder_of(path_);
  // A name may be taken: by what a killed process of the same number left, or by one of another pid
  // name space.
  do {
    temporary_ =
        folder / fmt::format(".{}.{}.{}", path_.filename().string(), ::getpid(), counter++);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) fail("write", temporary_, errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::append(std::string_view bytes) {
  std::size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t n = ::write(descriptor_, bytes.data() + written, bytes.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("write", temporary_, errno);
    written += static_cast<std::size_t>(n);
  }
}

void AtomicFile::commit(Durability durability) {
  const bool synced = durability == Durability::kSynced;
  if (synced && ::fsync(descriptor_) != 0) fail("sync", temporary_, errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("replace", path_, errno);
  ::close(descriptor_);
  descriptor_ = -1;
  if (!synced) return;
  const std::filesystem::path folder = folder_of(path_);
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || ::fsync(directory.get()) != 0) fail("sync", folder, errno);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content,
                           Durability durability) {
  AtomicFile file(path);
  file.append(content);
  file.commit(durability);
}

}  // namespace assay
