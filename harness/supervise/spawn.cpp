#include "harness/supervise/spawn.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "harness/base/error.h"
#include "harness/contract/protocol.h"
#include "harness/supervise/numerics.h"

extern char** environ;

namespace assay::supervise {
namespace {

// Everything that the child needs, made before the fork: between fork and exec it only makes system
// calls.
struct Launch {
  std::string program;
  std::vector<char*> arguments;
  std::vector<char*> variables;
  int input = -1;
  int output = -1;
  int socket = -1;
  pid_t parent = 0;
  volatile int error = 0;  // set by the child, which shares our memory until its exec
};

[[noreturn]] void execute(Launch& launch) {
  const auto give_up = [&launch] {
    launch.error = errno;
    ::_exit(127);
  };
  // The death signal cannot be set from outside the child, hence no posix_spawn.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up();
  if (::getppid() != launch.parent) ::_exit(127);
  // A session, not only a group: without a terminal nothing can stop it by reading from one.
  if (::setsid() < 0) give_up();
  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &by_default, nullptr);
  // Terminals, launchers and batch systems signal every process of a job; what a stage does about a
  // stop, its supervisor tells it.
  struct sigaction ignored {};
  ignored.sa_handler = SIG_IGN;
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1})
    ::sigaction(number, &ignored, nullptr);
  if (::dup2(launch.input, 0) < 0 || ::dup2(launch.output, 1) < 0 || ::dup2(launch.output, 2) < 0 ||
      ::dup2(launch.socket, protocol::kDefaultDescriptor) < 0)
    give_up();
  ::closefrom(protocol::kDefaultDescriptor + 1);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(launch.program.c_str(), launch.arguments.data(), launch.variables.data());
  give_up();
  __builtin_unreachable();
}

pid_t fork_and_become(Launch& launch) {
  const pid_t pid = ::vfork();
  if (pid == 0) execute(launch);
  return pid;
}

[[noreturn]] void cannot_start(const std::string& program, int code) {
  throw Error(
      ErrorKind::kEnvironment,
      fmt::format("cannot start the executor {}: {}{}", program, std::strerror(code), mend_of(code)),
      {{"program", program}});
}

std::string resolved_program(const std::string& word) {
  if (word.find('/') != std::string::npos) {
    // Asked here too: where vfork is a fork (ThreadSanitizer) the child cannot report its error.
    if (::access(word.c_str(), X_OK) != 0) cannot_start(word, errno);
    return word;
  }
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path);
  std::string folder;
  while (std::getline(folders, folder, ':')) {
    const std::filesystem::path candidate = std::filesystem::path(folder) / word;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate.string();
  }
  throw Error(ErrorKind::kEnvironment,
              fmt::format("cannot start the executor '{}': no such program in PATH", word));
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// Copies of descriptors that are none of 0..3, so that no dup2 of the child overwrites one before
// its turn. Closed at the end.
class Copies {
 public:
  explicit Copies(const std::string& program) : program_(program) {}
  ~Copies() {
    for (const int each : made_) ::close(each);
  }
  int of(int descriptor) {
    const int copy = ::fcntl(descriptor, F_DUPFD_CLOEXEC, protocol::kDefaultDescriptor + 1);
    if (copy < 0) cannot_start(program_, errno);
    made_.push_back(copy);
    return copy;
  }
  int of_null() {
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0) cannot_start(program_, errno);
    made_.push_back(null);
    return of(null);
  }

 private:
  const std::string& program_;
  std::vector<int> made_;
};

// Whoever started us may have left it ignored: then the kernel would reap our children, and how
// they ended would be lost.
void keep_dead_children() {
  struct sigaction now {};
  if (::sigaction(SIGCHLD, nullptr, &now) != 0) return;
  if (now.sa_handler != SIG_IGN && (now.sa_flags & SA_NOCLDWAIT) == 0) return;
  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  ::sigaction(SIGCHLD, &by_default, nullptr);
}

}  // namespace

std::string_view mend_of(int code) {
  return code == EMFILE ? "; raise the limit on open files (ulimit -n)" : "";
}

bool is_launcher_variable(std::string_view name) {
  constexpr std::array<std::string_view, 10> kPrefixes{"OMPI_",     "PMIX_",     "PMI_",   "PRTE_",
                                                       "ORTE_",     "MPI_",      "HWLOC_", "IPATH_",
                                                       "SLURM_PMI", "SLURM_STEP"};
  for (const std::string_view prefix : kPrefixes) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

std::vector<std::string> cleaned_environment(const std::map<std::string, std::string>& added) {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = text.substr(0, equals);
    if (is_launcher_variable(name) || is_numerics_variable(name)) continue;
    variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  for (const auto& [name, value] : added) variables[name] = value;
  variables[std::string(protocol::kDescriptorVariable)] =
      std::to_string(protocol::kDefaultDescriptor);
  std::vector<std::string> result;
  for (const auto& [name, value] : variables) result.push_back(name + "=" + value);
  return result;
}

pid_t spawn(const Command& command, int output, int socket) {
  if (command.words.empty() || command.words[0].empty())
    throw Error(ErrorKind::kEnvironment, "cannot start an executor: its command is empty");
  std::vector<std::string> words = command.words;
  std::vector<std::string> variables = cleaned_environment(command.environment);
  Launch launch;
  launch.program = resolved_program(words[0]);
  launch.arguments = pointers(words);
  launch.variables = pointers(variables);
  Copies copies(launch.program);
  launch.input = copies.of_null();
  launch.output = copies.of(output);
  launch.socket = copies.of(socket);
  keep_dead_children();
  launch.parent = ::getpid();
  // No handler of ours may run in the child while it shares our memory.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = fork_and_become(launch);
  const int code = pid < 0 ? errno : launch.error;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (code != 0) {
    if (pid > 0) ::waitpid(pid, nullptr, 0);
    cannot_start(launch.program, code);
  }
  return pid;
}

}  // namespace assay::supervise
