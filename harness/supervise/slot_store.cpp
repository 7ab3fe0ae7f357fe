#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "harness/supervise/host.h"
#include "harness/supervise/slot.h"
#include "harness/supervise/store_layout.h"

// The store is shared with other runs, and with whoever cleans it up: what they have done to a
// stage and its inputs is asked before it starts and after it failed.

namespace assay::supervise {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostRead = 256;  // inputs whose results are read to see if they are whole

}  // namespace

std::string Slot::scope() const {
  return running_->assignment.stage.cache == CachePolicy::kRun ? options_.run : "";
}

// True if the attempt that was about to start has ended by that.
bool Slot::decided_by_store(std::vector<Report>& reports) {
  const plan::Stage& stage = running_->assignment.stage;
  try {
    const bool shared = store_.shared();
    if ((shared || running_->assignment.number > 1) && found_in_store(reports)) return true;
    const std::vector<std::string> lost = lost_inputs();
    if (!lost.empty()) {
      Report out = report(ReportKind::kFailed);
      out.error = ErrorKind::kLost;
      out.message = fmt::format("input {} is gone from the store", lost[0]);
      out.lost_inputs = lost;
      out.record = record();
      out.record.outcome = name_of(out.error);
      out.record.message = out.message;
      running_.reset();
      reports.push_back(std::move(out));
      return true;
    }
    const std::string holder =
        shared && scope().empty() ? store_.claimed_by_other(stage.key, run()) : "";
    if (holder.empty()) return false;
    leave_to(holder, reports);
    return true;
  } catch (const Error& e) {
    fail(e.kind(), e.what(), Json::object(), reports);
    return true;
  }
}

bool Slot::found_in_store(std::vector<Report>& reports) {
  std::optional<Artifact> artifact;
  try {
    artifact = store_.find(running_->assignment.stage.key, scope());
  } catch (const Error&) {  // unreadable for a while: as if it were not there
  }
  if (!artifact) return false;
  Report out = report(ReportKind::kFound);
  out.artifact = std::move(*artifact);
  store_.remove_output(running_->output);
  if (running_->sent) store_.remove_checkpoints(out.key, run());
  running_.reset();
  reports.push_back(std::move(out));
  return true;
}

void Slot::leave_to(const std::string& holder, std::vector<Report>& reports) {
  Report out = report(ReportKind::kTaken);
  out.message = holder;
  store_.remove_output(running_->output);
  if (running_->sent) store_.remove_checkpoints(out.key, run());
  running_.reset();
  reports.push_back(std::move(out));
}

// Keys of inputs that are no longer in the store.
std::vector<std::string> Slot::lost_inputs() const {
  std::vector<std::string> lost;
  for (const plan::StageInput& input : running_->assignment.stage.inputs) {
    const auto path = running_->assignment.inputs.find(input.name);
    if (path != running_->assignment.inputs.end() && !store_.holds(path->second))
      lost.push_back(input.key);
  }
  return lost;
}

// The same after a failure, and those that are damaged. One that the failure names is read whole.
std::vector<std::string> Slot::damaged_inputs(const std::string& failure) {
  const Assignment& mine = running_->assignment;
  const bool few = mine.stage.inputs.size() <= kMostRead;
  std::vector<std::string> damaged;
  for (const plan::StageInput& input : mine.stage.inputs) {
    const auto path = mine.inputs.find(input.name);
    if (path == mine.inputs.end()) continue;
    const bool named = failure.find(path->second) != std::string::npos;
    const bool sound = named ? store_.audit(path->second, input.key)
                       : few ? store_.intact(path->second, input.key)
                             : store_.holds(path->second);
    if (!sound) damaged.push_back(input.key);
  }
  return damaged;
}

// The folders that the stage is given, before it starts.
void Slot::note_folders() {
  Running& now = *running_;
  const plan::Stage& stage = now.assignment.stage;
  now.output = store_.output_folder(now.attempt);
  now.resume_dir = store_.resume_folder(stage.key, run(), now.assignment.number, &now.resumed);
  if (now.resumed) {
    now.before = spent_on(now.resume_dir);
    now.series = Series::from(now.resume_dir);
  }
  const double now_s = monotonic_seconds();
  if (now_s - marks_.seen_s > Store::kLookSeconds) {
    marks_ = {.outputs = mark_of(now.output.parent_path().parent_path()),
              .checkpoints = mark_of(now.resume_dir.parent_path().parent_path()),
              .seen_s = now_s};
  }
  now.marks = marks_;
}

// One of these folders that others have removed since; "": none is missing. What lies in
// partial/<key>/ is made by the stage, so that it is missed only if it is known to have been there:
// a claim lies in the upper folder, checkpoints in the lower one.
std::string Slot::removed_folder(const std::string& failure) const {
  const Running& now = *running_;
  const fs::path made = now.output.parent_path();
  if (mark_of(made) == 0) return made.string();
  const fs::path partial = now.resume_dir.parent_path();
  if (mark_of(partial.parent_path()) != now.marks.checkpoints)
    return partial.parent_path().string();
  const bool used =
      now.resumed || now.checkpointed || failure.find(now.resume_dir.string()) != std::string::npos;
  if ((used || now.claimed) && mark_of(partial) == 0) return partial.string();
  return used && mark_of(now.resume_dir) == 0 ? now.resume_dir.string() : "";
}

// Long enough, or with a checkpoint, that it is worth keeping from other runs.
void Slot::claim(std::vector<Report>& reports) {
  Running& now = *running_;
  now.claim_s = kNever;
  if (now.claimed || !scope().empty() || !now.yields_to.empty()) return;
  const std::string& key = now.assignment.stage.key;
  now.claimed = store_.claim(key, run());
  if (now.claimed) return;
  now.yields_to = store_.claimed_by_other(key, run());
  if (now.yields_to.empty()) return;  // it has just ended: ours goes on
  stop(std::string(now.attempt), kYieldSeconds, reports);
}

void Slot::unclaim() {
  if (running_->claimed) store_.release(running_->assignment.stage.key, run());
}

}  // namespace assay::supervise
