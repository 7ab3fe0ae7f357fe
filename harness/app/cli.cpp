#include "harness/app/cli.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "harness/base/error.h"
#include "harness/base/say.h"
#include "harness/base/suggest.h"

namespace assay::app {
namespace {

constexpr int kUsage = 2;

bool wants_colour(const std::string& choice) {
  if (choice == "always") return true;
  if (choice == "never") return false;
  const char* no_colour = std::getenv("NO_COLOR");
  return isatty(STDOUT_FILENO) == 1 && (no_colour == nullptr || *no_colour == '\0');
}

// The message for a first word that is no command; "" if it is one, or an option.
std::string unknown_command(const CLI::App& root, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-' || argv[1][0] == '\0') return "";
  std::vector<std::string> legal;
  for (const CLI::App* command : root.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->check_name(argv[1])) return "";
    if (!command->get_group().empty()) legal.push_back(command->get_name());
  }
  return fmt::format("unknown command '{}'{}", argv[1], suggestion(argv[1], legal));
}

// Refuses what is no whole number from `least` to `most`: CLI11 wraps -1 around and blames the
// range for "1e3".
template <typename Number>
auto whole_number(Number least, Number most) {
  return [least, most](const std::string& text) -> std::string {
    Number value{};
    const char* end = text.data() + text.size();
    const auto [read, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc() && read == end && value >= least && value <= most) return "";
    return fmt::format("'{}'; expected a whole number from {} to {}", text, least, most);
  };
}

}  // namespace

Cli::Cli()
    : root_(std::make_unique<CLI::App>("Benchmark and experiment harness for model compression",
                                       "assay")) {
  root_->set_version_flag("--version", std::string("assay ") + ASSAY_VERSION);
  root_->require_subcommand(1);
  root_->failure_message([](const CLI::App* command, const CLI::Error& error) {
    return "assay: " + CLI::FailureMessage::simple(command, error);
  });
  root_->footer(
      "Examples:\n"
      "  assay plan sweeps/demo.yaml     # what would run, what is shared, what is done\n"
      "  assay run sweeps/demo.yaml      # run it, or go on with it\n"
      "  assay board                     # leaderboard of the newest run\n"
      "\n`assay COMMAND --help` shows the options of a command with examples.\n"
      "Exit codes: 0 done, 1 some trials failed, 2 refused (usage, sweep, missing file),\n"
      "3 stopped (the same command resumes), 4 environment (disk, store, database, no slot).");
  add_commands(*this);
}

Cli::~Cli() = default;

std::optional<int> Cli::parse(int argc, char** argv) {
  for (int i = 0; i < argc; ++i) command_line += (i == 0 ? "" : " ") + std::string(argv[i]);
  if (const std::string problem = unknown_command(*root_, argc, argv); !problem.empty()) {
    throw Error(ErrorKind::kConfig, problem);
  }
  try {
    root_->parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // --help and --version end here too, with code 0 and their text on stdout.
    return root_->exit(e) == 0 ? 0 : kUsage;
  }
  return action ? std::nullopt : std::optional<int>(kUsage);
}

void Cli::print(const std::vector<results::Table>& tables) const {
  const std::string text = results::render(tables, {.format = results::format_from(common.format),
                                                    .colour = wants_colour(common.colour)});
  // CSV has no place for them.
  if (common.format == "csv" && !common.quiet) {
    for (const results::Table& table : tables) {
      for (const std::string& note : table.notes) say_text(harmless(note) + "\n");
    }
  }
  // A reader that leaves early (`| head`) is no error; a full disk is.
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) {
    return;
  }
  const bool left_early = errno == EPIPE;
  std::clearerr(stdout);  // said once, here
  if (!left_early) throw Error(ErrorKind::kIo, "standard output cannot be written");
}

Command::Command(Cli& cli, const std::string& name, const std::string& description,
                 const std::string& examples)
    : cli_(cli), app_(cli.root().add_subcommand(name, description)) {
  app_->footer("Examples:\n" + examples);
  flag("-q,--quiet", cli.common.quiet, "Errors only");
  flag("-v,--verbose", cli.common.verbose, "More on stderr");
  choice("--color", cli.common.colour, "Colour on stdout", {"auto", "always", "never"});
}

Command::Command(Command& parent, const std::string& name, const std::string& description)
    : cli_(parent.cli_), app_(parent.app_->add_subcommand(name, description)) {
  parent.app_->require_subcommand(1);
  flag("-q,--quiet", cli_.common.quiet, "Errors only");
}

Command& Command::with(CLI::Option* option, const char* shown) {
  last_ = option->option_text(shown);
  return *this;
}

Command& Command::argument(const char* name, std::string& into, const char* help,
                           const char* shown) {
  return with(app_->add_option(name, into, help), shown);
}

Command& Command::argument(const char* name, std::filesystem::path& into, const char* help,
                           const char* shown) {
  return with(app_->add_option(name, into, help), shown);
}

Command& Command::arguments(const char* name, std::vector<std::string>& into, const char* help,
                            const char* shown) {
  return with(app_->add_option(name, into, help), shown);
}

Command& Command::option(const char* names, std::string& into, const char* help,
                         const char* shown) {
  return with(app_->add_option(names, into, help), shown);
}

Command& Command::option(const char* names, std::filesystem::path& into, const char* help,
                         const char* shown) {
  return with(app_->add_option(names, into, help), shown);
}

Command& Command::option(const char* names, std::vector<std::string>& into, const char* help,
                         const char* shown) {
  return with(app_->add_option(names, into, help)->expected(1)->take_all(), shown);
}

Command& Command::number(const char* names, int& into, const char* help, const char* shown,
                         int least, int most) {
  return with(app_->add_option(names, into, help)->check(whole_number(least, most)), shown);
}

Command& Command::number(const char* names, std::optional<std::int64_t>& into, const char* help,
                         const char* shown, std::int64_t least, std::int64_t most) {
  return with(app_->add_option(names, into, help)->check(whole_number(least, most)), shown);
}

Command& Command::number(const char* names, std::uint64_t& into, const char* help,
                         const char* shown) {
  return with(
      app_->add_option(names, into, help)
          ->check(whole_number<std::uint64_t>(0, std::numeric_limits<std::uint64_t>::max())),
      shown);
}

Command& Command::number(const char* names, double& into, const char* help, const char* shown,
                         double least, double most) {
  return with(app_->add_option(names, into, help)->check(CLI::Range(least, most)), shown);
}

Command& Command::choice(const char* names, std::string& into, const char* help,
                         const std::vector<std::string>& legal) {
  return with(app_->add_option(names, into, help)->check(CLI::IsMember(legal)),
              fmt::format("{}", fmt::join(legal, "|")).c_str());
}

Command& Command::flag(const char* names, bool& into, const char* help) {
  last_ = app_->add_flag(names, into, help);
  return *this;
}

Command& Command::flag(const char* names, std::function<void()> when_given, const char* help) {
  last_ = app_->add_flag_callback(names, std::move(when_given), help);
  return *this;
}

Command& Command::not_empty() {
  last_->check([](const std::string& text) { return text.empty() ? "is empty" : ""; });
  return *this;
}

Command& Command::format() {
  return choice("--format", cli_.common.format, "How tables are written",
                {"text", "md", "csv", "json", "latex", "html"});
}

Command& Command::required() {
  last_->required();
  return *this;
}

Command& Command::hidden() {
  app_->group("");
  return *this;
}

void Command::runs(std::function<int()> action) {
  app_->callback([&cli = cli_, action = std::move(action)] { cli.action = action; });
}

}  // namespace assay::app
