#pragma once

#include <optional>
#include <string_view>

namespace assay::run {

// Seconds until the Slurm job that this process belongs to ends: from SLURM_JOB_END_TIME, else
// (older versions do not set it) from squeue. Nothing outside a job, without a limit, or if squeue
// does not answer within ten seconds.
std::optional<double> batch_job_remaining_s();

// Seconds of squeue's "%L": "59:30", "2:03:04", "1-02:03:04". Nothing for UNLIMITED, NOT_SET,
// INVALID and other text.
std::optional<double> seconds_from_squeue(std::string_view text);

}  // namespace assay::run
