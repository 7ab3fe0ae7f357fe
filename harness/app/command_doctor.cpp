#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "harness/app/cli.h"
#include "harness/base/error.h"
#include "harness/run/node_slots.h"
#include "harness/supervise/host.h"
#include "harness/supervise/numerics.h"
#include "harness/supervise/providers.h"
#include "harness/supervise/store.h"

namespace assay::app {
namespace {

namespace fs = std::filesystem;

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
constexpr double kLowDiskGiB = 5;

enum class State { kOk, kAbsent, kProblem };

struct Finding {
  std::string what;
  State state = State::kOk;
  std::string detail;
  std::string mend;
};

fs::path in_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const fs::path file = fs::path(folder) / program;
    if (!folder.empty() && access(file.c_str(), X_OK) == 0) return file;
  }
  return {};
}

Finding cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  const int usable = sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
  const Json& facts = supervise::host_facts();
  return {.what = "CPU",
          .detail = fmt::format("{} usable cores; {}; cpu_level {}", usable,
                                facts.value("cpu", std::string("unknown model")),
                                supervise::host_numerics().cpu_level)};
}

Finding memory() {
  const Json bytes = supervise::host_facts().value("memory_bytes", Json());
  return {.what = "memory",
          .detail = bytes.is_number() ? fmt::format("{:.1f} GiB", bytes.get<double>() / kGiB)
                                      : "unknown"};
}

Finding gpus() {
  std::error_code error;
  int count = 0;
  for (fs::directory_iterator it("/proc/driver/nvidia/gpus", error), end; !error && it != end;
       it.increment(error)) {
    ++count;
  }
  if (const char* listed = std::getenv("CUDA_VISIBLE_DEVICES"); listed != nullptr && count > 0) {
    const std::size_t visible = run::visible_gpus().size();
    return {.what = "GPUs",
            .state = visible > 0 ? State::kOk : State::kAbsent,
            .detail = fmt::format("{} NVIDIA; CUDA_VISIBLE_DEVICES={} leaves {} to a run", count,
                                  listed, visible),
            .mend = visible > 0 ? "" : "unset CUDA_VISIBLE_DEVICES for `run: {device: cuda}`"};
  }
  if (count > 0) return {.what = "GPUs", .detail = fmt::format("{} NVIDIA", count)};
  return {.what = "GPUs",
          .state = State::kAbsent,
          .detail = "none",
          .mend = "only `run: {device: cuda}` needs one, with its NVIDIA driver loaded"};
}

Finding executor() {
  try {
    const auto command = supervise::builtin_command();
    const double start = supervise::monotonic_seconds();
    const Catalogue catalogue = supervise::describe(command, "");
    return {.what = "executor",
            .detail = fmt::format("{} starts and answers in {:.1f} s; {} methods, {} stages, {}",
                                  command.front(), supervise::monotonic_seconds() - start,
                                  catalogue.methods.size(), catalogue.stages.size(),
                                  catalogue.numerics.dump())};
  } catch (const Error& e) {
    return {.what = "executor",
            .state = State::kProblem,
            .detail = e.what(),
            .mend = "./bootstrap build builds assay-exec and fetches LibTorch; or set ASSAY_EXEC"};
  }
}

Finding program(const std::string& what, const std::string& name, const std::string& mend) {
  const fs::path file = in_path(name);
  if (!file.empty()) return {.what = what, .detail = file.string()};
  return {.what = what, .state = State::kAbsent, .detail = name + " is not in PATH", .mend = mend};
}

Finding mpi_module() {
  const char* named = std::getenv("ASSAY_MPI_MODULE");
  std::error_code error;
  const fs::path own = fs::read_symlink("/proc/self/exe", error);
  const fs::path module = named != nullptr
                              ? fs::path(named)
                              : own.parent_path().parent_path() / "lib/assay/assay_mpi.so";
  if (fs::exists(module, error)) return {.what = "MPI module", .detail = module.string()};
  return {.what = "MPI module",
          .state = State::kAbsent,
          .detail = module.string() + " does not exist",
          .mend = "for runs under mpirun or srun: install libopenmpi-dev and build again"};
}

Finding nccl() {
  std::istringstream extra(std::getenv("LD_LIBRARY_PATH") ? std::getenv("LD_LIBRARY_PATH") : "");
  std::vector<fs::path> folders = {"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
                                   "/usr/lib64", "/usr/local/lib", "/usr/local/cuda/lib64"};
  for (std::string folder; std::getline(extra, folder, ':');) folders.emplace_back(folder);
  for (const fs::path& folder : folders) {
    std::error_code error;
    if (fs::exists(folder / "libnccl.so.2", error)) {
      return {.what = "NCCL", .detail = (folder / "libnccl.so.2").string()};
    }
  }
  return {.what = "NCCL",
          .state = State::kAbsent,
          .detail = "libnccl.so.2 is in no library folder",
          .mend = "only stages that run on several GPUs together need it"};
}

Finding store() {
  try {
    const supervise::Store opened;
    std::error_code error;
    const fs::space_info space = fs::space(opened.root(), error);
    const double free = error ? 0 : static_cast<double>(space.available) / kGiB;
    Finding finding{.what = "store",
                    .detail = fmt::format("{}, {:.1f} GiB free", opened.root().string(), free)};
    if (access(opened.root().c_str(), W_OK) != 0) {
      finding.state = State::kProblem;
      finding.mend = "it may not be written; set ASSAY_STORE to a folder of yours";
    } else if (free < kLowDiskGiB) {
      finding.state = State::kProblem;
      finding.mend = "little space: `assay store gc`, or set ASSAY_STORE to a larger disk";
    }
    return finding;
  } catch (const Error& e) {
    return {.what = "store",
            .state = State::kProblem,
            .detail = e.what(),
            .mend = "set ASSAY_STORE to a folder that may be written"};
  }
}

std::string text_of(State state) {
  constexpr const char* kNames[] = {"ok", "absent", "PROBLEM"};
  return kNames[static_cast<int>(state)];
}

int doctor(const Cli& cli) {
  const std::vector<Finding> findings = {
      cores(),
      memory(),
      gpus(),
      store(),
      executor(),
      program("MPI launcher", "mpirun", "for many nodes: install openmpi-bin"),
      mpi_module(),
      nccl(),
      program("Slurm", "sbatch", "only batch jobs on a Slurm cluster need it")};
  results::Table table{.title = "Assay " ASSAY_VERSION " on " + supervise::host_name(),
                       .columns = {{"what"}, {"state"}, {"found"}, {"mend"}}};
  bool problem = false;
  for (const Finding& f : findings) {
    problem = problem || f.state == State::kProblem;
    table.rows.push_back({results::text_cell(f.what), results::text_cell(text_of(f.state)),
                          results::text_cell(f.detail), results::text_cell(f.mend)});
  }
  cli.print({table});
  return problem ? 4 : 0;
}

}  // namespace

void doctor_commands(Cli& cli) {
  Command command(cli, "doctor", "What this machine offers; each problem with its mend",
                  "  assay doctor\n  assay doctor --format json");
  command.format();
  command.runs([&cli] { return doctor(cli); });
}

}  // namespace assay::app
