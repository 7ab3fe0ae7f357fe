#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "results/board/table.h"

namespace assay::app {

// What every command knows.
struct CommonOptions {
  std::string format = "text";
  std::string colour = "auto";
  bool quiet = false;
  bool verbose = false;
};

// The command line: CLI11's tree, and what the parsed command does. Help, man page and completion
// come from the same tree.
struct Cli {
  CLI::App root{"Benchmark and experiment harness for model compression", "assay"};
  CommonOptions common;
  std::string command_line;     // as typed, for provenance
  std::function<int()> action;  // set by the command that was named; returns the exit code

  // Prints tables on stdout as --format and --color say.
  void print(const std::vector<results::Table>& tables) const;
};

// A subcommand with --quiet, --verbose and --color, and examples below its help.
CLI::App* add_command(Cli& cli, const std::string& name, const std::string& description,
                      const std::string& examples);
// --format, where a table is printed.
void add_format(Cli& cli, CLI::App* command);

// Builds the whole tree.
void build(Cli& cli);

// One function for each group of commands, command_*.cpp.
void add_plan_command(Cli& cli);
void add_run_command(Cli& cli);
void add_watch_commands(Cli& cli);    // status, logs, cancel
void add_result_commands(Cli& cli);   // board, export, query, show; calls the next
void add_compare_command(Cli& cli);
void add_describe_command(Cli& cli);  // describe
void add_doctor_command(Cli& cli);
void add_store_commands(Cli& cli);      // store ls, store gc, save
void add_generated_commands(Cli& cli);  // completion, man

}  // namespace assay::app
