#include "harness/exec/program.h"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/prctl.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>

#include "harness/core/error.h"
#include "harness/core/suggest.h"
#include "harness/exec/environment.h"
#include "harness/exec/serve.h"
#include "harness/exec/version.h"

namespace assay::exec {
namespace {

constexpr int kUsage = 2;
constexpr int kBroken = 4;

constexpr std::string_view kHelp =
    "usage: assay-exec [--describe | --version | --help]\n"
    "Runs stages for `assay run`, which starts it; see docs/formats/protocol.md.\n"
    "  --describe  print the catalogue of methods, models, data sets and metrics as JSON\n"
    "  --version   print the versions of Assay and LibTorch\n"
    "environment: ASSAY_FD (protocol socket, 3), ASSAY_MKL_OVERRIDE=1|0 (MKL's kernels for Intel\n"
    "processors or its others; part of the numerics class)\n";

// Large temporaries stay with the process: returning them to the kernel after each operation costs
// as much time in page faults as the products themselves.
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

int answer(std::string_view option, Registry (*make_registry)()) {
  if (option == "--version") {
    fmt::print("assay-exec {} (LibTorch {})\n", kVersion, libtorch_version());
  } else if (option == "--help") {
    fmt::print("{}", kHelp);
  } else if (option == "--describe") {
    fmt::print("{}\n", to_json(make_registry().catalogue()).dump(2));
  } else {
    fmt::print(stderr, "assay-exec: unknown option '{}'{}\n{}", option,
               suggestion(option, {"--describe", "--version", "--help"}), kHelp);
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
  if (argc > 2) {
    fmt::print(stderr, "{}", kHelp);
    return kUsage;
  }
  try {
    if (argc == 2) return answer(argv[1], make_registry);
    // Its supervisor's death is its own; a supervisor that died before this line closed the socket.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    return speak(make_registry);
  } catch (const Error& error) {
    return complain(error, kBroken);
  } catch (const std::exception& error) {
    return complain(Error(ErrorKind::kEnvironment, error.what()), kBroken);
  }
}

}  // namespace assay::exec
