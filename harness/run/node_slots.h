#pragma once

#include <string>
#include <vector>

#include "harness/run/supervisor_handle.h"
#include "harness/supervise/supervisor.h"

namespace assay::run {

struct SlotRequest {
  int jobs = 0;     // slots wanted; 0: as many as there is room for
  int threads = 1;  // of each executor
  std::string device = "cpu";
  int rank = 0;
  int local_rank = 0;  // this process among those that share the node
  int local_size = 1;
  int core_sharers = 1;               // of these, how many may run on this process's cores
  std::string cpu_level = "default";  // that executors are held to
  bool mkl_intel = false;
};

struct Slots {
  std::vector<supervise::SlotOptions> options;
  SupervisorOffer offer;
};

// GPUs that this process sees, as CUDA_VISIBLE_DEVICES names them; all of the host where that is
// not set.
std::vector<std::string> visible_gpus();

// This process's share of its node: memory and GPUs divided by the node-local rank (GPUs that Slurm
// gave this task alone are not), cores by the ranks that share them (a launcher may have bound each
// rank to its own), at least one slot. Limits of control groups and SLURM_CPUS_PER_TASK hold.
// `device: cuda` gives a slot for each GPU of the share; Error(kEnvironment) without one.
Slots slots_of_this_node(const SlotRequest& request);

}  // namespace assay::run
