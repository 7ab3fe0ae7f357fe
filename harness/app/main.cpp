#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>

#include "harness/app/cli.h"
#include "harness/base/error.h"
#include "harness/base/log.h"
#include "harness/base/say.h"
#include "harness/run/run_sweep.h"

namespace {

int dispatch(assay::app::Cli& cli, int argc, char** argv) {
  if (const std::optional<int> ended = cli.parse(argc, argv)) return *ended;
  assay::start_logging("assay", cli.common.quiet     ? assay::Verbosity::kQuiet
                                : cli.common.verbose ? assay::Verbosity::kVerbose
                                                     : assay::Verbosity::kNormal);
  return cli.action();
}

// Standard streams that are closed would lend their numbers to the next files that are opened, and
// what is meant for the terminal would be written into a database.
void fill_standard_streams() {
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(number, F_GETFD) >= 0) continue;
    // Read-only also for standard output: a table that nobody gets must not count as written.
    ::open("/dev/null", number == STDERR_FILENO ? O_WRONLY : O_RDONLY);
  }
}

// A file may not grow beyond a limit: an error of the write that tries. And children are waited
// for here, whatever the parent's habit.
void settle_signals() {
  ::signal(SIGXFSZ, SIG_IGN);
  ::signal(SIGCHLD, SIG_DFL);
}

int reported(int code, const char* message) {
  assay::say("assay: {}\n", assay::harmless(message, assay::Layout::kLines));
  return code;
}

// 4 instead of success if what was printed is lost; a reader that leaves early is no error.
int checked_output(int code) {
  if ((std::fflush(stdout) == 0 && std::ferror(stdout) == 0) || errno == EPIPE || code != 0) {
    return code;
  }
  return reported(assay::run::kNoEnvironment, "standard output cannot be written");
}

}  // namespace

int main(int argc, char** argv) {
  fill_standard_streams();
  settle_signals();
  // The few threads take turns: memory of their own would be asked of the kernel page by page.
  ::mallopt(M_ARENA_MAX, 1);
  // A plan allocates much and frees it at its end: blocks that are joined one by one, and memory
  // that the kernel is asked for in large pieces, save a tenth of its time.
  ::mallopt(M_MXFAST, 0);
  ::mallopt(M_TOP_PAD, 16 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  try {
    assay::app::Cli cli;
    return checked_output(dispatch(cli, argc, argv));
  } catch (const assay::Error& e) {
    return reported(assay::run::exit_code_of(e), e.what());
  } catch (const std::bad_alloc&) {
    return reported(assay::run::kNoEnvironment,
                    "out of memory: this process may have no more (see `ulimit -v` and the job's "
                    "limit)");
  } catch (const std::exception& e) {
    return reported(assay::run::kNoEnvironment, e.what());
  }
}
