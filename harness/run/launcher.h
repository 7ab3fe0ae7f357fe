#pragma once

#include <memory>

#include "harness/schedule/transport.h"

namespace assay::run {

// The number that an environment variable holds; 0 if it is unset, no number or below 0.
int count_in_environment(const char* variable);

// How many tasks a launcher (mpirun, srun) says that it started; 0: none did.
int launched_tasks();

// Joins the job if a launcher started this process as one of several: loads assay_mpi.so from
// ../lib/assay beside the program (or $ASSAY_MPI_MODULE). nullptr without a launcher, or for a job
// of one task, which needs no MPI. Throws Error(kEnvironment) if the launcher says more tasks than
// MPI does: those would be as many coordinators. Starts threads of the library's own.
std::unique_ptr<schedule::Transport> join_job();

}  // namespace assay::run
