#include <fmt/format.h>

#include <csignal>
#include <exception>

#include "harness/app/cli.h"
#include "harness/app/run_command.h"
#include "harness/core/error.h"
#include "harness/core/log.h"
#include "harness/core/suggest.h"

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

}  // namespace

int main(int argc, char** argv) {
  try {
    assay::app::Cli cli;
    cli.command_line = joined(argc, argv);
    assay::app::build(cli);
    return dispatch(cli, argc, argv);
  } catch (const assay::Error& e) {
    fmt::print(stderr, "assay: {}\n", e.what());
    return assay::app::exit_code_of(e);
  } catch (const std::exception& e) {
    fmt::print(stderr, "assay: {}\n", e.what());
    return assay::app::kNoEnvironment;
  }
}
