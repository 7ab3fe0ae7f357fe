#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "harness/contract/protocol.h"

namespace assay::exec {

// The executor's end of the protocol socket. Any thread may send; one thread, the executor's main
// one, receives. Does not own the descriptor.
class Channel {
 public:
  // Throws Error(kConfig) if `descriptor` is not an open socket.
  explicit Channel(int descriptor);

  // Blocks until the socket took the whole line. Throws Error(kData) for a message that is too
  // long, Error(kLost) once the other side is gone.
  void send(const protocol::Message& message);

  // The next message; nullopt at the end of the stream. Throws Error(kData) for a malformed one.
  std::optional<protocol::Message> receive();

  // The next message if one has arrived already. Throws as receive() does.
  std::optional<protocol::Message> receive_now();

  // True once the other side closed the stream; messages that came before may still wait.
  bool at_end() const { return at_end_; }

 private:
  bool fill(bool wait);
  std::optional<protocol::Message> next();

  int descriptor_;
  std::mutex sending_;
  protocol::LineReader reader_;
  bool at_end_ = false;
};

}  // namespace assay::exec
