#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>

#include "harness/app/cli.h"
#include "harness/core/error.h"
#include "harness/core/log.h"
#include "harness/core/say.h"
#include "harness/core/suggest.h"
#include "harness/run/run_sweep.h"

namespace {

constexpr int kUsage = 2;

std::string joined(int argc, char** argv) {
  std::string line;
  for (int i = 0; i < argc; ++i) line += (i == 0 ? "" : " ") + std::string(argv[i]);
  return line;
}

// The message for a first word that is no command; "" if it is one, or an option.
std::string unknown_command(const assay::app::Cli& cli, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-' || argv[1][0] == '\0') return "";
  std::vector<std::string> legal;
  for (const CLI::App* command : cli.root.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->check_name(argv[1])) return "";
    if (!command->get_group().empty()) legal.push_back(command->get_name());
  }
  return fmt::format("unknown command '{}'{}", argv[1], assay::suggestion(argv[1], legal));
}

int dispatch(assay::app::Cli& cli, int argc, char** argv) {
  if (const std::string problem = unknown_command(cli, argc, argv); !problem.empty()) {
    throw assay::Error(assay::ErrorKind::kConfig, problem);
  }
  try {
    cli.root.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // --help and --version end here too, with code 0 and their text on stdout.
    return cli.root.exit(e) == 0 ? 0 : kUsage;
  }
  assay::start_logging("assay", cli.common.quiet     ? assay::Verbosity::kQuiet
                                : cli.common.verbose ? assay::Verbosity::kVerbose
                                                     : assay::Verbosity::kNormal);
  return cli.action ? cli.action() : kUsage;
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
  try {
    assay::app::Cli cli;
    cli.command_line = joined(argc, argv);
    assay::app::build(cli);
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
