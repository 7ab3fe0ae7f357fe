#include "harness/supervise/host.h"

#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

namespace assay::supervise {
namespace {

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("model name") || line.starts_with("Model")) {
      const std::size_t colon = line.find(": ");
      if (colon != std::string::npos) return line.substr(colon + 2);
    }
  }
  return "unknown";
}

std::string instruction_set() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) return "avx512";
  if (__builtin_cpu_supports("avx2")) return "avx2";
  return "x86-64";
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "unknown";
#endif
}

}  // namespace

const Json& host_facts() {
  static const Json kFacts = [] {
    struct utsname system {};
    ::uname(&system);
    struct sysinfo memory {};
    ::sysinfo(&memory);
    return Json{{"host", host_name()},
                {"cpu", cpu_model()},
                {"isa", instruction_set()},
                {"cores", std::thread::hardware_concurrency()},
                {"memory_bytes", static_cast<std::uint64_t>(memory.totalram) * memory.mem_unit},
                {"kernel", std::string(system.release)}};
  }();
  return kFacts;
}

std::string host_name() {
  static const std::string kName = [] {
    char name[256] = {};
    ::gethostname(name, sizeof name - 1);
    return std::string(name[0] == '\0' ? "localhost" : name);
  }();
  return kName;
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

std::uint64_t process_start(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  // The name in parentheses may hold blanks: count fields after its end. State is field 3.
  const std::size_t close = text.rfind(')');
  if (close == std::string::npos) return 0;
  std::size_t at = close + 1;
  for (int field = 3; field <= 22; ++field) {
    at = text.find_first_not_of(' ', at);
    if (at == std::string::npos) return 0;
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (field == 3 && text[at] == 'Z') return 0;  // dead, not reaped yet
    if (field == 22) return std::strtoull(text.c_str() + at, nullptr, 10);
    at = end;
  }
  return 0;
}

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace assay::supervise
