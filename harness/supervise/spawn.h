#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace assay::supervise {

// How to start an executor.
struct Command {
  std::vector<std::string> words;  // program, arguments; a program without '/' is looked up in PATH
  std::map<std::string, std::string> environment;  // added to the cleaned environment
};

// Names of variables that an executor must not inherit: launchers' and MPI's own, with which a
// child would join the job.
bool is_launcher_variable(std::string_view name);

// This process's environment without those, with `added`, as NAME=VALUE in name order.
std::vector<std::string> cleaned_environment(const std::map<std::string, std::string>& added);

// What to do about an error of the system when a process could not be started; "" mostly.
std::string_view mend_of(int code);

// Starts a process: a session of its own without a terminal, SIGKILL when the calling thread ends,
// default signal handlers except that SIGINT, SIGTERM, SIGHUP and SIGUSR1 are ignored, nothing
// blocked, standard input /dev/null, both outputs `output`, `socket` as descriptor 3, no other
// descriptor. SIGCHLD is no longer ignored here afterwards. Throws Error(kEnvironment) naming the
// program if it cannot be started.
pid_t spawn(const Command& command, int output, int socket);

}  // namespace assay::supervise
