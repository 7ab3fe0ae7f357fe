#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "harness/base/utf8.h"
#include "harness/supervise/artifact_check.h"
#include "harness/supervise/host.h"
#include "harness/supervise/result.h"
#include "harness/supervise/slot.h"
#include "harness/supervise/store_layout.h"

// How an attempt ends, done or failed: its report, its record and its log.

namespace assay::supervise {
namespace {

constexpr std::int64_t kCopyBytes = 1 << 20;  // output reaches the log in pieces of this size

// The folder, if what lies in it may be published.
std::filesystem::path checked_output(const std::filesystem::path& output,
                                     const plan::Stage& stage) {
  try {
    check_artifact(output);
    return output;
  } catch (const Error& e) {
    throw Error(e.kind(),
                fmt::format("provider '{}' made a malformed artifact in stage '{}': {}",
                            stage.provider.str(), stage.name.str(), e.what()),
                e.context());
  }
}

}  // namespace

void Slot::finish(const protocol::Message& done, std::vector<Report>& reports) {
  if (refuse_changed_code(reports)) {
    pump(reports);
    return;
  }
  const auto refuse = [&](ErrorKind kind, const char* problem) {
    fail(kind, problem, Json::object(), reports);
    pump(reports);
  };
  Report out = report(ReportKind::kPublished);
  Finished made;
  try {
    made = finished(done, out);
  } catch (const Error& e) {
    return refuse(e.kind(), e.what());
  } catch (const std::filesystem::filesystem_error& e) {
    return refuse(ErrorKind::kIo, e.what());
  }
  try {
    made = store_.prepared(std::move(made));
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kData) throw;  // the store cannot be written
    return refuse(e.kind(), e.what());
  }
  if (made.files.empty() && !running_->left_folder) store_.remove_output(running_->output);
  publisher_.add(std::move(made), std::move(out), monotonic_seconds());
  running_.reset();
  pump(reports);
}

// What a stage that says that it is done has made.
Finished Slot::finished(const protocol::Message& done, Report& out) {
  Running& now = *running_;
  const plan::Stage& stage = now.assignment.stage;
  Finished made;
  made.key = stage.key;
  made.run = scope();
  made.made_by = run();
  if (now.inputs) now.inputs->check();
  Json files = Json::object();
  if (present(now.output)) {
    files = inventory(now.output);
  } else {
    now.left_folder = store_.reuse_output(now.output);
    if (!now.left_folder) check_output_folder();
  }
  if (!files.empty()) made.files = checked_output(now.output, stage);
  copy_output(*current());
  out.record = record();
  out.record.outcome = "done";
  made.result = assembled_result(done.result, stage, files, out.record, now.before);
  if (!now.series.empty()) made.result["series"] = now.series.summary();
  return made;
}

// Throws if the folder that the output belongs in is gone: then what the stage made is lost.
void Slot::check_output_folder() {
  namespace fs = std::filesystem;
  const fs::path folder = running_->output.parent_path();
  std::error_code ignored;
  if (fs::is_directory(folder, ignored)) return;
  running_->removed_output = mark_of(folder.parent_path()) == running_->marks.outputs;
  if (!running_->removed_output)
    throw Error(ErrorKind::kIo, fmt::format("the folder {}, in which stages make their files, was "
                                            "removed while the stage ran",
                                            folder.parent_path().string()));
  throw Error(
      ErrorKind::kData,
      fmt::format("provider '{}': stage '{}' removed the folder {}, in which it has to leave "
                  "its files",
                  running_->assignment.stage.provider.str(), running_->assignment.stage.name.str(),
                  folder.string()));
}

void Slot::fail(ErrorKind kind, const std::string& message, const Json& context,
                std::vector<Report>& reports, const Death* death, bool unusable) {
  if (OwnExecutor* mine = current()) copy_output(*mine);
  if (!running_->yields_to.empty()) {
    leave_to(std::string(running_->yields_to), reports);
    return;
  }
  if (found_in_store(reports)) return;
  Report out = report(ReportKind::kFailed);
  out.error = unusable ? ErrorKind::kEnvironment : kind;
  out.unusable = unusable;
  out.message = utf8_text(message);  // it may quote what the executor printed
  if (running_->sent && !unusable) excuse(out);
  out.checkpointed = running_->checkpointed;
  out.record = record();
  out.record.outcome = name_of(out.error);
  out.record.message = out.message;
  out.record.context = context;
  if (death != nullptr) {
    if (death->exit_code >= 0) out.record.exit_code = death->exit_code;
    out.record.signal = death->signal;
  }
  store_.remove_output(running_->output);
  unclaim();
  if (running_->sent) store_.leave_checkpoints(running_->resume_dir);
  running_.reset();
  reports.push_back(std::move(out));
}

// A failure that is no fault of its stage, since what it was given has changed under it.
void Slot::excuse(Report& out) {
  if (out.error == ErrorKind::kLost || running_->removed_output) return;
  const auto because = [&out](ErrorKind kind, const std::string& cause) {
    out.error = kind;
    out.message = fmt::format("{}; it had failed with: {}", cause, out.message);
  };
  if (OwnExecutor* mine = current()) {
    if (const std::string changed = changed_code(*mine); !changed.empty()) {
      mine->killed = true;
      mine->executor->kill();
      out.unusable = true;
      return because(ErrorKind::kEnvironment, changed);
    }
  }
  if (out.error == ErrorKind::kTimeout) return;
  out.lost_inputs = damaged_inputs(out.message);
  if (!out.lost_inputs.empty()) {
    return because(ErrorKind::kLost,
                   fmt::format("input {} is gone from the store, or damaged", out.lost_inputs[0]));
  }
  if (out.error == ErrorKind::kIo) return;
  if (const std::string folder = removed_folder(out.message); !folder.empty()) {
    because(
        ErrorKind::kIo,
        fmt::format("the folder {}, which the stage was given, was removed while it ran", folder));
  }
}

Report Slot::report(ReportKind kind) const {
  Report out;
  out.kind = kind;
  out.slot = index_;
  out.attempt = running_->attempt;
  out.key = running_->assignment.stage.key;
  return out;
}

record::AttemptRecord Slot::record() {
  const Running& now = *running_;
  record::AttemptRecord made;
  made.key = now.assignment.stage.key;
  made.number = now.assignment.number;
  made.slot = own_.name;
  made.host = host_name();
  made.started_unix_s = now.sent_unix_s;
  // Wall time from the monotonic clock: the wall clock may jump.
  made.ended_unix_s = now.sent_unix_s + (monotonic_seconds() - now.sent_s);
  if (const OwnExecutor* mine = current(); mine != nullptr && now.sent) {
    const double cpu_s = mine->executor->cpu_s();
    if (cpu_s >= 0 && now.cpu_before_s >= 0) made.cpu_s = std::max(0.0, cpu_s - now.cpu_before_s);
    const std::int64_t peak_bytes = mine->executor->peak_memory_bytes();
    if (peak_bytes >= 0) made.peak_memory_bytes = peak_bytes;
  }
  made.log_path = now.log->path();
  made.environment = environment();
  return made;
}

Spent Slot::spent() {
  const Running& now = *running_;
  Spent all = now.before;
  all.wall_s += monotonic_seconds() - now.sent_s;
  if (const OwnExecutor* mine = current(); mine != nullptr && now.cpu_before_s >= 0) {
    all.cpu_s += std::max(0.0, mine->executor->cpu_s() - now.cpu_before_s);
  }
  return all;
}

Json Slot::environment() const {
  Json facts = host_facts();
  facts.update(options_.environment);
  facts["slot"] = own_.name;
  facts["provider"] = running_->assignment.stage.provider;
  facts["threads"] = running_->assignment.stage.resources.threads;
  return facts;
}

void Slot::copy_output(OwnExecutor& from) {
  const std::int64_t end = from.executor->output_bytes();
  const bool grown = end > from.copied;
  while (from.copied < end) {
    const std::string text =
        from.executor->output(from.copied, std::min(end, from.copied + kCopyBytes));
    if (text.empty()) break;
    running_->log->append(text);
    from.copied += static_cast<std::int64_t>(text.size());
  }
  if (grown && from.copied >= kCopyBytes) from.executor->forget_output(from.copied);
}

}  // namespace assay::supervise
