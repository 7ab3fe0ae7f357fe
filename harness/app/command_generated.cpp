#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "harness/app/cli.h"

// Man page and shell completion, made from the command tree itself.

namespace assay::app {
namespace {

std::vector<const CLI::App*> visible_commands(const CLI::App& app) {
  std::vector<const CLI::App*> commands;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) commands.push_back(command);
  }
  return commands;
}

std::vector<std::string> words_of(const CLI::App& command) {
  std::vector<std::string> words;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
    for (const std::string& name : option->get_snames()) words.push_back("-" + name);
  }
  for (const CLI::App* below : visible_commands(command)) words.push_back(below->get_name());
  return words;
}

std::string bash_completion(const CLI::App& root) {
  std::string cases;
  for (const CLI::App* command : visible_commands(root)) {
    cases += fmt::format("    {}) words='{}' ;;\n", command->get_name(),
                         fmt::join(words_of(*command), " "));
  }
  return fmt::format(
      "# bash completion of assay; load it with: source <(assay completion bash)\n"
      "_assay() {{\n"
      "  local words current=${{COMP_WORDS[COMP_CWORD]}}\n"
      "  case ${{COMP_WORDS[1]}} in\n{}    *) words='{}' ;;\n  esac\n"
      "  [ \"$COMP_CWORD\" -gt 1 ] || words='{}'\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "}}\n"
      "complete -o default -F _assay assay\n",
      cases, fmt::join(words_of(root), " "), fmt::join(words_of(root), " "));
}

std::string zsh_completion(const CLI::App& root) {
  return "#compdef assay\n# load it with: source <(assay completion zsh)\n"
         "autoload -U +X bashcompinit && bashcompinit\n" +
         bash_completion(root);
}

std::string troff(const std::string& text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    out += c == '\\' ? std::string("\\\\") : c == '-' ? std::string("\\-") : std::string(1, c);
    line_start = c == '\n';
  }
  return out;
}

std::string option_section(const CLI::App& command) {
  std::string out;
  for (const CLI::Option* option : command.get_options()) {
    const std::string value = option->get_option_text();
    const bool positional = option->get_positional();
    const std::string name =
        positional ? value : option->get_name(false, true) + (value.empty() ? "" : " " + value);
    out += fmt::format(".TP\n\\fB{}\\fR\n{}\n", troff(name), troff(option->get_description()));
  }
  return out;
}

std::string man_page(const CLI::App& root) {
  std::string out = fmt::format(
      ".TH ASSAY 1 \"\" \"assay {}\"\n.SH NAME\nassay \\- {}\n.SH SYNOPSIS\n.B assay\n.I COMMAND\n"
      "[\\fIOPTIONS\\fR]\n.SH COMMANDS\n",
      ASSAY_VERSION, troff(root.get_description()));
  for (const CLI::App* command : visible_commands(root)) {
    out += fmt::format(".SS assay {}\n{}\n", troff(command->get_name()),
                       troff(command->get_description()));
    out += option_section(*command);
    for (const CLI::App* below : visible_commands(*command)) {
      out += fmt::format(".PP\n\\fBassay {} {}\\fR: {}\n", troff(command->get_name()),
                         troff(below->get_name()), troff(below->get_description()));
      out += option_section(*below);
    }
    out += fmt::format(".PP\n.nf\n{}\n.fi\n", troff(command->get_footer()));
  }
  return out + fmt::format(".SH NOTES\n.nf\n{}\n.fi\n", troff(root.get_footer()));
}

void put(const std::string& text) { fmt::print("{}", text); }

}  // namespace

void generated_commands(Cli& cli) {
  Command completion(cli, "completion", "Shell completion", "  source <(assay completion bash)");
  const auto shell = std::make_shared<std::string>();
  completion.hidden();
  completion.choice("shell", *shell, "bash or zsh", {"bash", "zsh"}).required();
  completion.runs([&cli, shell] {
    put(*shell == "bash" ? bash_completion(cli.root()) : zsh_completion(cli.root()));
    return 0;
  });
  Command man(cli, "man", "Manual page", "  assay man | man -l -");
  man.hidden();
  man.runs([&cli] {
    put(man_page(cli.root()));
    return 0;
  });
}

}  // namespace assay::app
