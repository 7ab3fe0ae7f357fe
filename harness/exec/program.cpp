#include "harness/exec/program.h"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/prctl.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/suggest.h"
#include "harness/exec/environment.h"
#include "harness/exec/large_tensors.h"
#include "harness/exec/question_context.h"
#include "harness/exec/serve.h"
#include "harness/exec/version.h"

namespace assay::exec {
namespace {

constexpr int kUsage = 2;
constexpr int kBroken = 4;

constexpr std::string_view kHelp =
    "usage: assay-exec [--describe | --verify [METHOD] | --version | --help]\n"
    "Runs stages for `assay run`, which starts it; see docs/formats/protocol.md.\n"
    "  --describe  print the catalogue of methods, models, data sets and metrics as JSON\n"
    "  --verify    run the canary of a method, or of each: a check on a tiny network\n"
    "  --version   print the versions of Assay and LibTorch\n"
    "environment: ASSAY_FD (protocol socket, 3), ASSAY_MKL_OVERRIDE=1|0 (MKL's kernels for Intel\n"
    "processors or its others; part of the numerics class), ASSAY_KEPT_WEIGHTS_MB (converted\n"
    "weights of language models that stay in memory between passes, 512)\n";

// Temporaries stay with the process: returning them to the kernel after each operation costs as much
// time in page faults as the products themselves.
void keep_freed_memory() {
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  ::mallopt(M_TOP_PAD, 64 << 20);
}

int protocol_descriptor() {
  const char* text = std::getenv(std::string(protocol::kDescriptorVariable).c_str());
  if (text == nullptr || *text == '\0') return protocol::kDefaultDescriptor;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end != '\0' || value < 0 || value > 65535)
    throw Error(ErrorKind::kConfig, fmt::format("{}='{}' is not a descriptor number",
                                                protocol::kDescriptorVariable, text));
  return static_cast<int>(value);
}

int complain(const Error& error, int code) {
  fmt::print(stderr, "assay-exec: {}\n", error.what());
  return code;
}

// Runs canaries and says of each whether it holds. 1 if one does not.
int verify(const std::string& wanted, const Registry& registry) {
  std::vector<std::string> names;
  bool all_hold = true;
  for (const MethodDeclaration& method : registry.catalogue().methods) {
    if (method.canary.empty()) continue;
    names.push_back(method.name);
    if (!wanted.empty() && method.name != wanted) continue;
    const Question nothing;
    QuestionContext context(nothing);
    try {
      registry.body(method.canary)(context);
      fmt::print("{}: holds\n", method.name);
    } catch (const Error& error) {
      fmt::print("{}: FAILS: {}\n", method.name, error.what());
      all_hold = false;
    }
    if (std::fflush(stdout) != 0) throw Error(ErrorKind::kIo, "standard output cannot be written");
  }
  if (!wanted.empty() && std::find(names.begin(), names.end(), wanted) == names.end()) {
    throw Error(ErrorKind::kConfig,
                fmt::format("no method '{}' with a canary{}", wanted, suggestion(wanted, names)));
  }
  return all_hold ? 0 : 1;
}

int answer(std::string_view option, const std::string& argument, Registry (*make_registry)()) {
  if (option == "--version") {
    fmt::print("assay-exec {} (LibTorch {})\n", kVersion, libtorch_version());
  } else if (option == "--help") {
    fmt::print("{}", kHelp);
  } else if (option == "--verify") {
    start_numerics();
    return verify(argument, make_registry());
  } else if (option == "--describe") {
    fmt::print("{}\n", to_json(make_registry().catalogue()).dump(2));
  } else {
    fmt::print(stderr, "assay-exec: unknown option '{}'{}\n{}", option,
               suggestion(option, {"--describe", "--verify", "--version", "--help"}), kHelp);
    return kUsage;
  }
  return 0;
}

int speak(Registry (*make_registry)()) {
  std::optional<Channel> channel;
  try {
    channel.emplace(protocol_descriptor());
  } catch (const Error& error) {
    return complain(error, kUsage);
  }
  start_numerics();
  const Registry registry = make_registry();
  try {
    serve(*channel, registry);
  } catch (const Error& error) {
    // A supervisor that is gone is the usual end of an interrupted run, not a fault of the stream.
    return error.kind() == ErrorKind::kLost ? 0 : complain(error, kBroken);
  }
  return 0;
}

}  // namespace

int run_program(int argc, char** argv, Registry (*make_registry)()) {
  keep_freed_memory();
  use_large_blocks();
  const bool verifies = argc > 1 && std::string_view(argv[1]) == "--verify";
  if (argc > (verifies ? 3 : 2)) {
    fmt::print(stderr, "{}", kHelp);
    return kUsage;
  }
  try {
    if (argc > 1) return answer(argv[1], argc > 2 ? argv[2] : "", make_registry);
    // Its supervisor's death is its own; a supervisor that died before this line closed the socket.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    return speak(make_registry);
  } catch (const Error& error) {
    return complain(error, error.kind() == ErrorKind::kConfig ? kUsage : kBroken);
  } catch (const std::exception& error) {
    return complain(Error(ErrorKind::kEnvironment, error.what()), kBroken);
  }
}

}  // namespace assay::exec
