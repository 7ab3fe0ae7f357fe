#include "harness/run/node_slots.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "harness/base/error.h"
#include "harness/run/cgroup_limits.h"
#include "harness/run/launcher.h"
#include "harness/supervise/host.h"
#include "harness/supervise/numerics.h"

namespace assay::run {
namespace {

// A task of a Slurm step, started by srun. sbatch sets most variables for its script too: only a
// step has a process id in the task list.
bool is_slurm_task() {
  return std::getenv("SLURM_PROCID") != nullptr && std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr;
}

// Slurm then gives each task a list of its own.
bool has_gpus_of_its_own() {
  const char* gpus = std::getenv("SLURM_GPUS_PER_TASK");  // "2" or "a100:2"
  const char* resources = std::getenv("SLURM_TRES_PER_TASK");
  return is_slurm_task() && ((gpus != nullptr && *gpus != '\0' && std::strcmp(gpus, "0") != 0) ||
                             (resources != nullptr && std::strstr(resources, "gpu") != nullptr));
}

// Cores that this process may use: its share of its affinity mask, the control groups' share of
// time over the ranks of the node, and what Slurm gave each task of a step.
int usable_cores(const SlotRequest& request, const CgroupLimits& limits) {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  cores /= request.core_sharers;
  if (limits.cpus > 0) cores = std::min(cores, static_cast<int>(limits.cpus) / request.local_size);
  if (is_slurm_task()) {
    if (const int each = count_in_environment("SLURM_CPUS_PER_TASK"); each > 0)
      cores = std::min(cores, each);
  }
  return std::max(1, cores);
}

// Of the node or the control groups, whichever is less; 0 if neither is known.
std::int64_t usable_memory_bytes(const CgroupLimits& limits) {
  std::int64_t bytes = 0;
  std::ifstream meminfo("/proc/meminfo");
  std::string name;
  std::int64_t kib = 0;
  if (meminfo >> name >> kib && name == "MemTotal:") bytes = kib * 1024;
  if (limits.memory_bytes == 0) return bytes;
  return bytes == 0 ? limits.memory_bytes : std::min(bytes, limits.memory_bytes);
}

// Those of the node divided by its ranks, unless each rank was given its own.
std::vector<std::string> gpus_of_rank(const SlotRequest& request) {
  std::vector<std::string> all = visible_gpus();
  if (has_gpus_of_its_own()) return all;
  std::vector<std::string> gpus;
  for (std::size_t i = static_cast<std::size_t>(request.local_rank); i < all.size();
       i += static_cast<std::size_t>(request.local_size)) {
    gpus.push_back(all[i]);
  }
  return gpus;
}

}  // namespace

std::vector<std::string> visible_gpus() {
  std::vector<std::string> gpus;
  if (const char* listed = std::getenv("CUDA_VISIBLE_DEVICES")) {
    std::stringstream ids(listed);
    for (std::string id; std::getline(ids, id, ',');) {
      if (!id.empty() && id != "-1") gpus.push_back(id);
    }
    return gpus;
  }
  for (int i = 0; std::filesystem::exists(fmt::format("/dev/nvidia{}", i)); ++i) {
    gpus.push_back(std::to_string(i));
  }
  return gpus;
}

Slots slots_of_this_node(const SlotRequest& request) {
  const CgroupLimits limits = cgroup_limits();
  const int cores = usable_cores(request, limits);
  const bool cuda = request.device.starts_with("cuda");
  std::vector<std::string> gpus;
  if (cuda) {
    gpus = gpus_of_rank(request);
    if (gpus.empty()) {
      throw Error(ErrorKind::kEnvironment,
                  fmt::format("run.device is {}, but rank {} of {} on this node has no GPU: "
                              "CUDA_VISIBLE_DEVICES and /dev/nvidia* name {}; set run.device: cpu",
                              request.device, request.local_rank, request.local_size,
                              visible_gpus().size()));
    }
  }
  int count = request.jobs;
  if (count == 0) {
    count = cuda ? static_cast<int>(gpus.size()) : std::max(1, cores / request.threads);
  }

  Slots slots;
  slots.offer.host = supervise::host_name();
  slots.offer.share.threads = request.threads;
  slots.offer.share.memory_bytes = usable_memory_bytes(limits) / request.local_size / count;
  if (cuda) slots.offer.share.gpus = static_cast<double>(gpus.size()) / count;
  for (int i = 0; i < count; ++i) {
    supervise::SlotOptions slot;
    slot.name = fmt::format("{}/{}.{}", slots.offer.host, request.rank, i);
    slot.environment = supervise::numerics_environment(request.cpu_level, request.mkl_intel);
    const std::string threads = std::to_string(request.threads);
    slot.environment["OMP_NUM_THREADS"] = threads;
    slot.environment["MKL_NUM_THREADS"] = threads;
    if (request.threads > 1) {
      // Barriers that spin on collapse on a busy machine; threads that sleep at once double the
      // time of small operations on an idle one. So they spin briefly.
      slot.environment["OMP_WAIT_POLICY"] = "passive";
      slot.environment["GOMP_SPINCOUNT"] = "2000";
    }
    slot.environment["CUDA_VISIBLE_DEVICES"] =
        cuda ? gpus[static_cast<std::size_t>(i) % gpus.size()] : "";
    slots.offer.slots.push_back(slot.name);
    slots.options.push_back(std::move(slot));
  }
  return slots;
}

}  // namespace assay::run
