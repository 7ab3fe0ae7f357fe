#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "results/board/table.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace assay::app {

// What every command knows.
struct CommonOptions {
  std::string format = "text";
  std::string colour = "auto";
  bool quiet = false;
  bool verbose = false;
};

// The command line: a tree of commands (CLI11's, which stays behind this header because it costs
// every file that includes it seconds), and what the parsed command does. Help, man page and
// completion come from the same tree.
class Cli {
 public:
  // Declares every command (command_*.cpp).
  Cli();
  ~Cli();

  CommonOptions common;
  std::string command_line;     // as typed, for provenance
  std::function<int()> action;  // set by the command that was named; returns the exit code

  // Sets `action`, or returns the exit code of a line that needs none: --help, --version, or a
  // mistake, which is said on stderr. Throws Error(kConfig) for an unknown command.
  std::optional<int> parse(int argc, char** argv);

  // Prints tables on stdout as --format and --color say.
  void print(const std::vector<results::Table>& tables) const;

  CLI::App& root() { return *root_; }

 private:
  std::unique_ptr<CLI::App> root_;
};

// One command while it is declared. Values go into variables that the command's action shares:
//
//   struct Options { std::string trial, run; };
//   Command command(cli, "show", "One trial ...", "  assay show 3f2a");
//   const auto options = std::make_shared<Options>();
//   command.argument("trial", options->trial, "Its id ...", "TRIAL").required();
//   command.option("--run", options->run, "Run folder (default: the newest)", "RUN");
//   command.runs([options] { ...; return 0; });
//
// `shown` is the value's name in help. A value that does not fit ends the program with exit code 2.
class Command {
 public:
  // A command with --quiet, --verbose and --color, and examples below its help.
  Command(Cli& cli, const std::string& name, const std::string& description,
          const std::string& examples);
  // One below another, as `store gc`; the other then does nothing by itself. With --quiet.
  Command(Command& parent, const std::string& name, const std::string& description);

  Command& argument(const char* name, std::string& into, const char* help, const char* shown);
  Command& argument(const char* name, std::filesystem::path& into, const char* help,
                    const char* shown);
  Command& arguments(const char* name, std::vector<std::string>& into, const char* help,
                     const char* shown);
  Command& option(const char* names, std::string& into, const char* help, const char* shown);
  Command& option(const char* names, std::filesystem::path& into, const char* help,
                  const char* shown);
  // One value each time it is given.
  Command& option(const char* names, std::vector<std::string>& into, const char* help,
                  const char* shown);
  Command& number(const char* names, int& into, const char* help, const char* shown, int least,
                  int most);
  Command& number(const char* names, std::optional<std::int64_t>& into, const char* help,
                  const char* shown, std::int64_t least, std::int64_t most);
  Command& number(const char* names, std::uint64_t& into, const char* help, const char* shown);
  Command& number(const char* names, double& into, const char* help, const char* shown,
                  double least, double most);
  Command& choice(const char* names, std::string& into, const char* help,
                  const std::vector<std::string>& legal);
  Command& flag(const char* names, bool& into, const char* help);
  Command& flag(const char* names, std::function<void()> when_given, const char* help);
  // --format, where a table is printed.
  Command& format();
  // The option before it is refused if its text is empty, as that of a variable that is not set.
  Command& not_empty();
  // The argument or option before it must be given.
  Command& required();
  // Not listed in help.
  Command& hidden();

  void runs(std::function<int()> action);

 private:
  Command& with(CLI::Option* option, const char* shown);

  Cli& cli_;
  CLI::App* app_;
  CLI::Option* last_ = nullptr;
};

// Declares the commands of every command_NAME.cpp (CMakeLists.txt lists the names): each defines
// `void NAME_commands(Cli& cli)`.
void add_commands(Cli& cli);

}  // namespace assay::app
