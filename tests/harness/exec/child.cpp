#include "tests/harness/exec/child.h"

#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <stdexcept>

extern char** environ;

namespace assay::exec {

Child::Child(const std::string& program) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0)
    throw std::runtime_error("socketpair");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pair[1], 3);
  std::string name = program;
  std::array<char*, 2> arguments{name.data(), nullptr};
  const int failure =
      ::posix_spawn(&pid_, name.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(pair[1]);
  if (failure != 0) throw std::runtime_error("cannot start " + program);
  socket_ = pair[0];
}

Child::~Child() {
  close_stream();
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

void Child::send(const protocol::Message& message) { send_text(protocol::encode(message)); }

void Child::send_text(const std::string& bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t sent = ::send(socket_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (sent <= 0) return;  // it has left
    at += static_cast<std::size_t>(sent);
  }
}

void Child::close_stream() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

protocol::Message Child::receive() {
  for (;;) {
    if (const auto line = reader_.next()) return protocol::decode(*line, "executor");
    pollfd entry{socket_, POLLIN, 0};
    if (::poll(&entry, 1, 60'000) <= 0) throw std::runtime_error("no message within 60 s");
    std::array<char, 4096> bytes;
    const ssize_t n = ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (n <= 0) throw std::runtime_error("the executor closed the stream");
    reader_.feed({bytes.data(), static_cast<std::size_t>(n)});
  }
}

protocol::Message Child::wait_for(protocol::Type type) {
  for (;;) {
    protocol::Message message = receive();
    if (message.type == type || message.type == protocol::Type::kDone ||
        message.type == protocol::Type::kFailed)
      return message;
    seen.push_back(std::move(message));
  }
}

void Child::start(const std::string& stage, const Json& value, const std::string& attempt) {
  protocol::Message message;
  message.type = protocol::Type::kRun;
  message.run.attempt = attempt;
  message.run.stage = stage;
  message.run.key = std::string("k");
  message.run.recipe = {{"parameters", {{"value", value}}},
                        {"numerics", {{"device", "cpu"}, {"threads", 1}}}};
  message.run.inputs = inputs;
  message.run.output = folder / "out";
  message.run.resume_dir = folder / "partial";
  send(message);
}

protocol::Message Child::run(const std::string& stage, const Json& value,
                             const std::string& attempt) {
  start(stage, value, attempt);
  return wait_for(protocol::Type::kDone);
}

int Child::exit_code() {
  int status = 0;
  if (::waitpid(pid_, &status, 0) != pid_) return -2;
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace assay::exec
