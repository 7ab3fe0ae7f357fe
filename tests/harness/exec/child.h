#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/contract/protocol.h"
#include "tests/support/temporary_folder.h"

namespace assay::exec {

// An executor as a child process, spoken to over a socket pair by a test.
class Child {
 public:
  explicit Child(const std::string& program);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void send(const protocol::Message& message);
  void send_text(const std::string& bytes);
  void close_stream();

  // The next message; fails the test after 60 s or at the end of the stream.
  protocol::Message receive();
  // The next message of this type, or done / failed; what came before is kept in `seen`.
  protocol::Message wait_for(protocol::Type type);

  // Runs a stage to its end.
  protocol::Message run(const std::string& stage, const Json& value,
                        const std::string& attempt = "a.1");
  void start(const std::string& stage, const Json& value, const std::string& attempt = "a.1");

  int exit_code();  // waits for its end; -1 if a signal ended it

  std::map<std::string, std::string> inputs;  // artifacts of the stages that are started
  std::vector<protocol::Message> seen;
  TemporaryFolder folder;

 private:
  pid_t pid_ = -1;
  int socket_ = -1;
  protocol::LineReader reader_{"executor"};
};

}  // namespace assay::exec
