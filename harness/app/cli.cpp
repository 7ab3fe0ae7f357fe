#include "harness/app/cli.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "harness/core/error.h"
#include "harness/core/log.h"

namespace assay::app {
namespace {

bool wants_colour(const std::string& choice) {
  if (choice == "always") return true;
  if (choice == "never") return false;
  const char* no_colour = std::getenv("NO_COLOR");
  return isatty(STDOUT_FILENO) == 1 && (no_colour == nullptr || *no_colour == '\0');
}

}  // namespace

void Cli::print(const std::vector<results::Table>& tables) const {
  const std::string text = results::render(tables, {.format = results::format_from(common.format),
                                                    .colour = wants_colour(common.colour)});
  // A reader that leaves early (`| head`) is no error; a full disk is.
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) {
    return;
  }
  const bool left_early = errno == EPIPE;
  std::clearerr(stdout);  // said once, here
  if (!left_early) throw Error(ErrorKind::kIo, "standard output cannot be written");
}

CLI::App* add_command(Cli& cli, const std::string& name, const std::string& description,
                      const std::string& examples) {
  CLI::App* command = cli.root.add_subcommand(name, description);
  command->footer("Examples:\n" + examples);
  command->add_flag("-q,--quiet", cli.common.quiet, "Errors only");
  command->add_flag("-v,--verbose", cli.common.verbose, "More on stderr");
  command->add_option("--color", cli.common.colour, "Colour on stdout")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->option_text("auto|always|never");
  return command;
}

void add_format(Cli& cli, CLI::App* command) {
  command->add_option("--format", cli.common.format, "How tables are written")
      ->check(CLI::IsMember({"text", "md", "csv", "json", "latex", "html"}))
      ->option_text("text|md|csv|json|latex|html");
}

void build(Cli& cli) {
  cli.root.set_version_flag("--version", std::string("assay ") + ASSAY_VERSION);
  cli.root.require_subcommand(1);
  cli.root.failure_message([](const CLI::App* command, const CLI::Error& error) {
    return "assay: " + CLI::FailureMessage::simple(command, error);
  });
  cli.root.footer(
      "Examples:\n"
      "  assay plan sweeps/demo.yaml     # what would run, what is shared, what is done\n"
      "  assay run sweeps/demo.yaml      # run it, or go on with it\n"
      "  assay board                     # leaderboard of the newest run\n"
      "\n`assay COMMAND --help` shows the options of a command with examples.\n"
      "Exit codes: 0 done, 1 some trials failed, 2 refused (usage, sweep, missing file),\n"
      "3 stopped (the same command resumes), 4 environment (disk, store, database, no slot).");
  add_plan_command(cli);
  add_run_command(cli);
  add_watch_commands(cli);
  add_result_commands(cli);
  add_describe_command(cli);
  add_store_commands(cli);
  add_doctor_command(cli);
  add_generated_commands(cli);
}

}  // namespace assay::app
