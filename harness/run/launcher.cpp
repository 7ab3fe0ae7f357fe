#include "harness/run/launcher.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "harness/base/error.h"

namespace assay::run {
namespace {

std::filesystem::path module_path() {
  if (const char* named = std::getenv("ASSAY_MPI_MODULE")) return named;
  const auto program = std::filesystem::read_symlink("/proc/self/exe");
  const auto prefix = program.parent_path().parent_path();
  for (const char* folder : {"lib/assay", "lib64/assay", "lib/x86_64-linux-gnu/assay"}) {
    const auto path = prefix / folder / "assay_mpi.so";
    if (std::filesystem::exists(path)) return path;
  }
  return prefix / "lib/assay/assay_mpi.so";
}

}  // namespace

int count_in_environment(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return 0;
  int value = 0;
  std::from_chars(text, text + std::strlen(text), value);
  return std::max(0, value);
}

int launched_tasks() {
  if (const int size = count_in_environment("OMPI_COMM_WORLD_SIZE")) return size;
  if (const int size = count_in_environment("PMI_SIZE")) return size;
  // sbatch sets SLURM_NTASKS for its script too: only a step has a process id in the task list.
  if (std::getenv("SLURM_STEP_ID") != nullptr && std::getenv("SLURM_PROCID") != nullptr) {
    if (const int size = count_in_environment("SLURM_STEP_NUM_TASKS")) return size;
    if (const int size = count_in_environment("SLURM_NTASKS")) return size;
  }
  return std::getenv("PMIX_RANK") != nullptr ? 1 : 0;
}

std::unique_ptr<schedule::Transport> join_job() {
  const int tasks = launched_tasks();
  if (tasks <= 1) return nullptr;  // one task needs no MPI, whatever started it
  const auto path = module_path();
  // RTLD_GLOBAL: Open MPI loads components of its own that look for its symbols.
  void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (module == nullptr) {
    throw Error(ErrorKind::kEnvironment,
                fmt::format("a launcher started {} tasks, but the MPI module cannot be loaded: {}; "
                            "build with ASSAY_WITH_MPI=ON, or run without the launcher",
                            tasks, ::dlerror()));
  }
  const auto open =
      reinterpret_cast<schedule::OpenTransport>(::dlsym(module, schedule::kOpenTransportSymbol));
  if (open == nullptr) {
    throw Error(ErrorKind::kEnvironment, fmt::format("{} is no MPI module", path.string()));
  }
  std::unique_ptr<schedule::Transport> transport(open());
  if (transport->size() == 1) {
    throw Error(ErrorKind::kEnvironment,
                fmt::format("the launcher says {} tasks, but MPI says 1: each would run the whole "
                            "sweep; use the launcher of the MPI that assay was built with, or "
                            "srun --mpi=pmix",
                            tasks));
  }
  return transport;
}

}  // namespace assay::run
