#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "harness/app/cli.h"
#include "harness/base/error.h"
#include "harness/supervise/providers.h"

namespace assay::app {
namespace {

// Becomes `assay-exec --verify`, whose output and exit code are this command's.
[[noreturn]] void verify(const std::string& method) {
  std::vector<std::string> words = supervise::builtin_command();
  words.emplace_back("--verify");
  if (!method.empty()) words.push_back(method);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  throw Error(ErrorKind::kEnvironment, "cannot start " + words[0] + ": " + std::strerror(errno));
}

}  // namespace

void verify_commands(Cli& cli) {
  Command command(cli, "verify", "Run the canaries of methods: a check on a tiny network",
                  "  assay verify           # every method that has one\n"
                  "  assay verify gptq");
  const auto method = std::make_shared<std::string>();
  command.argument("method", *method, "A method (default: all)", "METHOD");
  command.runs([method]() -> int { verify(*method); });
}

}  // namespace assay::app
