#include "harness/supervise/slot.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/supervise/host.h"
#include "harness/supervise/marked_processes.h"

namespace assay::supervise {
namespace {

protocol::Message message_of(protocol::Type type, const std::string& attempt) {
  protocol::Message message;
  message.type = type;
  message.attempt = attempt;
  return message;
}

// Checks by itself what it opens.
constexpr std::string_view kBuiltInProvider = "assay";

std::string file_name(std::string name) {
  std::replace(name.begin(), name.end(), '/', '-');
  return name;
}

}  // namespace

Slot::Slot(std::size_t index, SlotOptions own, const SupervisorOptions& options, Store& store,
           Publisher& publisher)
    : index_(index),
      own_(std::move(own)),
      options_(options),
      store_(store),
      publisher_(publisher) {}

bool Slot::holds(const std::string& attempt) const {
  if (running_ && running_->attempt == attempt) return true;
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [&](const Assignment& each) { return each.attempt() == attempt; });
}

// ---- starting

void Slot::pump(std::vector<Report>& reports) {
  for (;;) {
    if (!running_) {
      if (waiting_.empty()) return;
      take_next();
      if (decided_by_store(reports)) continue;
    }
    if (running_->sent) return;
    const std::string provider = running_->assignment.stage.provider;
    try {
      if (!executors_.contains(provider)) start_executor(provider);
    } catch (const Error& e) {
      fail(e.kind(), e.what(), Json::object(), reports, nullptr,
           options_.providers.contains(provider));
      continue;
    }
    // One that was killed must be gone first: executor_ended() is followed by another pump().
    const OwnExecutor& mine = executors_.at(provider);
    if (!mine.ready || mine.killed) return;
    // The end of the stage before has looked, perhaps.
    const bool looked = monotonic_seconds() - mine.checked_s < kJustNowSeconds;
    if (looked || !refuse_changed_code(reports)) send_run(reports);
  }
}

void Slot::warm(const std::string& provider) {
  if (executors_.contains(provider)) return;
  try {
    start_executor(provider);
  } catch (const Error&) {  // the first stage that needs it tries again and reports
  }
}

void Slot::take_next() {
  running_.emplace();
  running_->assignment = std::move(waiting_.front());
  waiting_.pop_front();
  running_->attempt = running_->assignment.attempt();
  running_->log = std::make_unique<AttemptLog>(options_.logs, running_->attempt);
  running_->sent_unix_s = unix_seconds();
  running_->sent_s = monotonic_seconds();
}

void Slot::start_executor(const std::string& provider) {
  const auto found = options_.providers.find(provider);
  if (found == options_.providers.end())
    throw Error(ErrorKind::kEnvironment,
                running_ ? fmt::format("no command is known for the provider '{}' of stage '{}'",
                                       provider, running_->assignment.stage.name)
                         : fmt::format("no command is known for the provider '{}'", provider));
  std::filesystem::path output;
  if (!options_.logs.empty())
    output = options_.logs / fmt::format(".{}.{}.out", file_name(own_.name), file_name(provider));
  OwnExecutor mine;
  const std::string owner = fmt::format("{}{}.{}", options_.mark, index_, started_executors_++);
  const auto files = options_.provider_files.find(provider);
  if (files != options_.provider_files.end()) mine.code = ProviderWatch(provider, files->second);
  Command command{found->second, own_.environment};
  command.environment[kOwnerVariable] = owner;
  mine.mark = fmt::format("{}={}", kOwnerVariable, owner);
  mine.executor = std::make_unique<Executor>(
      command, fmt::format("executor of slot {} ({})", own_.name, provider), output);
  mine.kill_at_s = monotonic_seconds() + options_.start_timeout_s;
  if (mine.executor->pidfd() < 0) mine.look_s = monotonic_seconds() + kLookSeconds;
  executors_[provider] = std::move(mine);
}

void Slot::send_run(std::vector<Report>& reports) {
  Running& now = *running_;
  Executor& executor = *current()->executor;
  const plan::Stage& stage = now.assignment.stage;
  note_folders();
  protocol::Message message = message_of(protocol::Type::kRun, now.attempt);
  message.run = {.attempt = now.attempt,
                 .stage = stage.name,
                 .key = stage.key,
                 .locations = store_.with_manifest_paths(*stage.locations),
                 .inputs = now.assignment.inputs,
                 .output = now.output.string(),
                 .resume_dir = now.resume_dir.string(),
                 .recipe_text = stage.recipe_text()};
  executor.reset_peak_memory();
  now.cpu_before_s = executor.cpu_s();
  now.sent_unix_s = unix_seconds();
  now.sent_s = now.progress_s = monotonic_seconds();
  now.copy_s = now.sent_s + kCopySeconds;
  if (scope().empty()) now.claim_s = now.sent_s + (now.resumed ? 0 : options_.claim_after_s);
  try {
    if (stage.provider != kBuiltInProvider) {
      const Json& locations = message.run.locations;  // without them the recipe names no file
      now.inputs.emplace(locations.empty() ? Json::object() : stage.recipe_json(), locations,
                         message.run.inputs);
    }
    executor.send(std::move(message));
  } catch (const Error& e) {
    now.sent = true;  // as good as: an input may be damaged, which is no fault of the stage
    fail(e.kind(), e.what(), Json::object(), reports);
    return;
  }
  now.sent = true;
  reports.push_back(report(ReportKind::kStarted));
}

// How a file of the executor's provider has changed since the plan, or since it was started; "":
// none has.
std::string Slot::changed_code(OwnExecutor& mine) {
  try {
    mine.code.check();
    mine.checked_s = monotonic_seconds();
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

// Ends what is to run, or has just run, on an executor that may hold other code than the plan has
// seen. The stage is not to blame: it goes to an executor that is started anew.
bool Slot::refuse_changed_code(std::vector<Report>& reports) {
  OwnExecutor& mine = *current();
  const std::string problem = changed_code(mine);
  if (problem.empty()) return false;
  mine.killed = true;
  mine.executor->kill();
  fail(ErrorKind::kEnvironment, problem, Json::object(), reports, nullptr, true);
  return true;
}

Slot::OwnExecutor* Slot::current() {
  if (!running_) return nullptr;
  const auto found = executors_.find(running_->assignment.stage.provider);
  return found == executors_.end() ? nullptr : &found->second;
}

// ---- ending early

void Slot::retract(const std::string& attempt, std::vector<Report>& reports) {
  if (running_ && running_->attempt == attempt && running_->sent) return;
  kill(attempt, ErrorKind::kLost, "stopped before it started", reports);
}

void Slot::stop(const std::string& attempt, double grace_s, std::vector<Report>& reports) {
  if (!running_ || running_->attempt != attempt || !running_->sent) {
    retract(attempt, reports);
    return;
  }
  if (running_->ending) return;
  protocol::Message message = message_of(protocol::Type::kStop, attempt);
  message.grace_s = grace_s;
  if (OwnExecutor* mine = current()) mine->executor->send(message);
  running_->grace_s = grace_s;
  running_->kill_at_s = std::min(running_->kill_at_s, monotonic_seconds() + grace_s);
}

void Slot::kill(const std::string& attempt, ErrorKind kind, const std::string& message,
                std::vector<Report>& reports) {
  if (running_ && running_->attempt == attempt) {
    if (running_->sent)
      kill_executor(kind, message);
    else
      fail(kind, message, Json::object(), reports);
    pump(reports);
    return;
  }
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), [&](const Assignment& each) {
    return each.attempt() == attempt;
  });
  if (found == waiting_.end()) return;
  Report dropped;
  dropped.kind = ReportKind::kFailed;
  dropped.slot = index_;
  dropped.attempt = attempt;
  dropped.key = found->stage.key;
  dropped.error = kind;
  dropped.message = message;
  dropped.record.key = found->stage.key;
  dropped.record.number = found->number;
  dropped.record.outcome = name_of(kind);
  dropped.record.message = message;
  dropped.record.slot = own_.name;
  dropped.record.host = host_name();
  dropped.record.started_unix_s = dropped.record.ended_unix_s = unix_seconds();
  waiting_.erase(found);
  reports.push_back(std::move(dropped));
}

void Slot::stop_all(double grace_s, std::vector<Report>& reports) {
  while (!waiting_.empty())
    kill(waiting_.front().attempt(), ErrorKind::kLost, "stopped before it started", reports);
  if (running_) stop(std::string(running_->attempt), grace_s, reports);
}

void Slot::kill_executor(ErrorKind kind, const std::string& message) {
  if (!running_->ending) running_->ending = Ending{kind, message};
  if (OwnExecutor* mine = current()) {
    mine->killed = true;
    mine->executor->kill();
  }
}

void Slot::dismiss() {
  dismissed_ = true;
  for (auto& [provider, each] : executors_) {
    if (!each.killed) each.executor->send(message_of(protocol::Type::kExit, ""));
  }
}

}  // namespace assay::supervise
