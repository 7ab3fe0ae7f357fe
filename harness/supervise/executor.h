#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/contract/protocol.h"
#include "harness/supervise/death.h"
#include "harness/supervise/spawn.h"

namespace assay::supervise {

// One child process that speaks the executor protocol, in a session of its own, with
// standard input from /dev/null, both outputs in `output` (appended), the protocol socket at
// descriptor 3 and nothing else inherited. It gets SIGKILL when the thread that started it ends,
// so start it from the main thread. Movable by pointer only; the destructor kills the group.
class Executor {
 public:
  // Throws Error(kEnvironment) naming the program and why it cannot be started. `output`: file for
  // stdout and stderr, without a name once it is open; "": an anonymous one in memory.
  Executor(const Command& command, std::string name, const std::filesystem::path& output);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  const std::string& name() const { return name_; }
  pid_t pid() const { return pid_; }
  int socket() const { return socket_; }                    // readable: call receive()
  int pidfd() const { return pidfd_; }  // readable: call reap(); -1: look every now and then
  bool wants_to_write() const { return !unsent_.empty(); }  // poll socket() for POLLOUT: flush()

  // Never blocks: what the socket does not take now is kept for flush().
  void send(protocol::Message message);
  void flush();

  // Messages that have arrived. Throws Error(kData) for a malformed one: kill it then.
  std::vector<protocol::Message> receive();
  bool at_end() const { return at_end_; }  // it closed the socket

  // Its end, once: reaps the process and classifies. nullopt while it lives.
  std::optional<Death> reap();
  // SIGKILL to the group; the second also to itself, wherever it went.
  void kill_group();
  void kill();
  bool dead() const { return dead_; }

  // User and system seconds so far; -1 if unknown.
  double cpu_s() const;
  // Highest resident set since the last reset; -1 if unknown.
  std::int64_t peak_memory_bytes() const;
  void reset_peak_memory();

  // What it printed: bytes so far, and a part.
  std::int64_t output_bytes() const;
  std::string output(std::int64_t from, std::int64_t to) const;
  // Gives the disk space of output before `to` back where the file system can.
  void forget_output(std::int64_t to);

 private:
  static constexpr clockid_t kNoClock = -1;

  std::string name_;
  pid_t pid_ = -1;
  int socket_ = -1;
  int pidfd_ = -1;
  int output_ = -1;
  int status_ = -1;             // /proc/<pid>/status
  int clear_refs_ = -1;         // /proc/<pid>/clear_refs
  clockid_t clock_ = kNoClock;  // of its processor time
  protocol::LineReader reader_;
  std::string unsent_;
  bool at_end_ = false;
  bool dead_ = false;
  std::int64_t oom_kills_ = 0;
  double final_cpu_s_ = -1;
  std::int64_t final_peak_bytes_ = -1;
};

}  // namespace assay::supervise
