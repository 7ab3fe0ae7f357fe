#include "harness/exec/channel.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "harness/base/error.h"

namespace assay::exec {
namespace {

constexpr const char* kSupervisor = "message of the supervisor";

}  // namespace

Channel::Channel(int descriptor) : descriptor_(descriptor), reader_(kSupervisor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISSOCK(status.st_mode)) {
    throw Error(ErrorKind::kConfig,
                fmt::format("descriptor {} is not a socket: an executor is started by `assay run`, "
                            "which speaks with it over the descriptor that {} names",
                            descriptor, protocol::kDescriptorVariable),
                {{"descriptor", std::to_string(descriptor)}});
  }
}

void Channel::send(const protocol::Message& message) {
  const std::string line = protocol::encode(message);
  const std::lock_guard<std::mutex> lock(sending_);
  std::size_t sent = 0;
  while (sent < line.size()) {
    const ssize_t n = ::send(descriptor_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      pollfd entry{descriptor_, POLLOUT, 0};
      ::poll(&entry, 1, -1);
    } else if (errno != EINTR) {
      throw Error(ErrorKind::kLost,
                  fmt::format("the supervisor is gone: {}", std::strerror(errno)));
    }
  }
}

// Reads what the socket holds, waiting for something to come if asked. False: nothing was read.
bool Channel::fill(bool wait) {
  if (at_end_) return false;
  std::array<char, 16 * 1024> bytes;
  for (;;) {
    pollfd entry{descriptor_, POLLIN, 0};
    const int ready = ::poll(&entry, 1, wait ? -1 : 0);
    if (ready == 0) return false;
    if (ready < 0) {
      if (errno == EINTR) continue;
      break;
    }
    const ssize_t n = ::recv(descriptor_, bytes.data(), bytes.size(), 0);
    if (n > 0) {
      reader_.feed({bytes.data(), static_cast<std::size_t>(n)});
      return true;
    }
    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) continue;
    break;
  }
  at_end_ = true;
  return false;
}

std::optional<protocol::Message> Channel::next() {
  const std::optional<std::string> line = reader_.next();
  if (!line) return std::nullopt;
  return protocol::decode(*line, kSupervisor);
}

std::optional<protocol::Message> Channel::receive() {
  for (;;) {
    if (auto message = next()) return message;
    if (!fill(true)) return std::nullopt;
  }
}

std::optional<protocol::Message> Channel::receive_now() {
  if (auto message = next()) return message;
  return fill(false) ? next() : std::nullopt;
}

}  // namespace assay::exec
