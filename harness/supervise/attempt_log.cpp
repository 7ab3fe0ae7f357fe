#include "harness/supervise/attempt_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "harness/base/log.h"

namespace assay::supervise {

AttemptLog::AttemptLog(std::filesystem::path folder, std::string attempt)
    : folder_(std::move(folder)), attempt_(std::move(attempt)) {}

AttemptLog::~AttemptLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void AttemptLog::append(std::string_view text) {
  if (text.empty() || folder_.empty() || bytes_ >= kMaxBytes) return;
  if (descriptor_ < 0) {
    const std::filesystem::path file = folder_ / (attempt_ + ".log");
    descriptor_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (descriptor_ < 0) {
      // A log that cannot be written is no reason to lose the stage.
      log_warning("cannot write {}: {}", file.string(), std::strerror(errno));
      folder_.clear();
      return;
    }
  }
  bytes_ += static_cast<std::int64_t>(text.size());
  const std::string_view tail =
      bytes_ >= kMaxBytes ? "\n[further output was dropped]\n" : std::string_view();
  for (std::string_view rest : {text, tail}) {
    while (!rest.empty()) {
      const ssize_t n = ::write(descriptor_, rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return;
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
  }
}

std::string AttemptLog::path() const {
  return descriptor_ < 0 ? "" : (folder_.filename() / (attempt_ + ".log")).string();
}

}  // namespace assay::supervise
