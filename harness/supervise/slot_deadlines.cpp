#include <fmt/format.h>

#include <algorithm>

#include "harness/supervise/slot.h"

// Time limits: of a stage, of its silence, of its last checkpoint, and of an executor's start.

namespace assay::supervise {

double Slot::deadline_s() const {
  double deadline = kNever;
  for (const auto& [provider, each] : executors_) {
    if (!each.killed) deadline = std::min(deadline, each.kill_at_s);
    deadline = std::min(deadline, each.look_s);
  }
  if (!running_ || !running_->sent || running_->ending) return deadline;
  deadline = std::min({deadline, running_->kill_at_s, running_->copy_s, running_->claim_s});
  if (options_.stage_timeout_s > 0)
    deadline = std::min(deadline, running_->sent_s + running_->paused_s + options_.stage_timeout_s);
  if (options_.stall_timeout_s > 0)
    deadline = std::min(deadline, running_->progress_s + options_.stall_timeout_s);
  return deadline;
}

void Slot::excuse_pause(double pause_s, double now_s) {
  for (auto& [provider, each] : executors_) each.kill_at_s += pause_s;
  if (!running_ || !running_->sent) return;
  Running& now = *running_;
  now.paused_s += std::min(pause_s, now_s - now.sent_s);
  now.progress_s = std::min(now_s, now.progress_s + pause_s);
  now.kill_at_s += pause_s;
}

void Slot::check_deadlines(double now_s, std::vector<Report>& reports) {
  look_for_the_dead(now_s, reports);
  for (auto& [provider, each] : executors_) {
    if (each.killed || now_s < each.kill_at_s) continue;
    const bool closed = each.executor->at_end();
    if (current() == &each && !running_->ending) {
      const std::string late =
          each.said_hello ? fmt::format("did not answer 'prepare' within {} s", kPrepareSeconds)
                          : fmt::format("did not say hello within {} s", options_.start_timeout_s);
      running_->ending = Ending{closed ? ErrorKind::kCrash : ErrorKind::kEnvironment,
                                closed ? "the executor closed its protocol descriptor"
                                       : fmt::format("provider '{}' {}", provider, late)};
    }
    each.killed = true;
    each.executor->kill();
  }
  if (!running_ || !running_->sent || running_->ending) {
    pump(reports);
    return;
  }
  if (now_s >= running_->claim_s) claim(reports);
  Running& now = *running_;
  OwnExecutor& mine = *current();
  if (now_s >= now.copy_s) {
    copy_output(mine);
    now.copy_s = now_s + kCopySeconds;
  }
  if (now_s >= now.kill_at_s) {
    kill_executor(ErrorKind::kLost,
                  fmt::format("stopped: it did not end within {} s", now.grace_s));
  } else if (options_.stage_timeout_s > 0 &&
             now_s >= now.sent_s + now.paused_s + options_.stage_timeout_s) {
    kill_executor(ErrorKind::kTimeout,
                  fmt::format("it ran past stage_timeout, {} s", options_.stage_timeout_s));
  } else if (options_.stall_timeout_s > 0 && now_s >= now.progress_s + options_.stall_timeout_s) {
    kill_executor(ErrorKind::kTimeout,
                  fmt::format("no progress for stall_timeout, {} s", options_.stall_timeout_s));
  }
  pump(reports);
}

}  // namespace assay::supervise
