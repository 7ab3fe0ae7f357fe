#include "harness/supervise/slot.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "harness/core/json_text.h"
#include "harness/supervise/host.h"
#include "harness/supervise/result.h"

namespace assay::supervise {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kCopySeconds = 0.5;          // output of a running stage reaches its log so often
constexpr std::int64_t kCopyBytes = 1 << 20;  // in pieces of this size
constexpr std::int64_t kTailBytes = 400;      // of the output, shown in the message of a crash

protocol::Message message_of(protocol::Type type, const std::string& attempt) {
  protocol::Message message;
  message.type = type;
  message.attempt = attempt;
  return message;
}

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
    }
    if (running_->sent) return;
    const std::string provider = running_->assignment.stage.provider;
    try {
      if (!workers_.contains(provider)) start_worker(provider);
    } catch (const Error& e) {
      fail(e.kind(), e.what(), Json::object(), reports);
      continue;
    }
    // One that was killed must be gone first: bury() is followed by another pump().
    const Worker& mine = workers_.at(provider);
    if (!mine.ready || mine.condemned) return;
    send_run(reports);
  }
}

void Slot::warm(const std::string& provider) {
  if (workers_.contains(provider)) return;
  try {
    start_worker(provider);
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

void Slot::start_worker(const std::string& provider) {
  const auto found = options_.providers.find(provider);
  if (found == options_.providers.end())
    throw Error(ErrorKind::kEnvironment,
                running_ ? fmt::format("no command is known for the provider '{}' of stage '{}'",
                                       provider, running_->assignment.stage.name)
                         : fmt::format("no command is known for the provider '{}'", provider));
  std::filesystem::path output;
  if (!options_.logs.empty())
    output = options_.logs / fmt::format(".{}.{}.out", file_name(own_.name), file_name(provider));
  Worker worker;
  worker.executor = std::make_unique<Executor>(
      Command{found->second, own_.environment},
      fmt::format("executor of slot {} ({})", own_.name, provider), output);
  worker.kill_at_s = monotonic_seconds() + options_.start_timeout_s;
  workers_[provider] = std::move(worker);
}

void Slot::send_run(std::vector<Report>& reports) {
  Running& now = *running_;
  Executor& executor = *worker()->executor;
  const plan::Stage& stage = now.assignment.stage;
  protocol::Message message = message_of(protocol::Type::kRun, now.attempt);
  message.run = {.attempt = now.attempt,
                 .stage = stage.name,
                 .key = stage.key,
                 .recipe = stage.recipe_json(),
                 .locations = *stage.locations,
                 .inputs = now.assignment.inputs,
                 .output = store_.attempt_folder(now.attempt).string(),
                 .resume_dir = store_.resume_folder(stage.key).string()};
  executor.reset_peak_memory();
  now.cpu_before_s = executor.cpu_s();
  now.sent_unix_s = unix_seconds();
  now.sent_s = now.progress_s = monotonic_seconds();
  now.copy_s = now.sent_s + kCopySeconds;
  try {
    executor.send(message);
  } catch (const Error& e) {
    fail(e.kind(), e.what(), Json::object(), reports);
    return;
  }
  now.sent = true;
  reports.push_back(report(ReportKind::kStarted));
}

Slot::Worker* Slot::worker() {
  if (!running_) return nullptr;
  const auto found = workers_.find(running_->assignment.stage.provider);
  return found == workers_.end() ? nullptr : &found->second;
}

// ---- ending early

bool Slot::retract(const std::string& attempt) {
  if (running_ && running_->attempt == attempt && !running_->sent) {
    running_.reset();
    return true;
  }
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), [&](const Assignment& each) {
    return each.attempt() == attempt;
  });
  if (found == waiting_.end()) return false;
  waiting_.erase(found);
  return true;
}

void Slot::stop(const std::string& attempt, double grace_s, std::vector<Report>& reports) {
  if (!running_ || running_->attempt != attempt || !running_->sent) {
    kill(attempt, ErrorKind::kLost, "stopped before it started", reports);
    return;
  }
  if (running_->ending) return;
  protocol::Message message = message_of(protocol::Type::kStop, attempt);
  message.grace_s = grace_s;
  if (Worker* mine = worker()) mine->executor->send(message);
  running_->grace_s = grace_s;
  running_->kill_at_s = std::min(running_->kill_at_s, monotonic_seconds() + grace_s);
}

void Slot::kill(const std::string& attempt, ErrorKind kind, const std::string& message,
                std::vector<Report>& reports) {
  if (running_ && running_->attempt == attempt) {
    if (running_->sent)
      condemn(kind, message);
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

void Slot::condemn(ErrorKind kind, const std::string& message) {
  if (!running_->ending) running_->ending = Ending{kind, message};
  if (Worker* mine = worker()) {
    mine->condemned = true;
    mine->executor->kill();
  }
}

void Slot::send_peers(const std::string& attempt, const Json& peers, const std::string& secret) {
  if (!running_ || running_->attempt != attempt || !running_->sent) return;
  protocol::Message message = message_of(protocol::Type::kPeers, attempt);
  message.peers = peers;
  message.name = secret;
  if (Worker* mine = worker()) mine->executor->send(message);
}

void Slot::dismiss() {
  for (auto& [provider, each] : workers_) {
    if (!each.condemned) each.executor->send(message_of(protocol::Type::kExit, ""));
  }
}

// ---- descriptors

void Slot::descriptors(std::vector<pollfd>& into) const {
  for (const auto& [provider, each] : workers_) {
    const Executor& executor = *each.executor;
    const bool listen = !each.condemned && !executor.at_end();
    short events = POLLIN;
    if (executor.wants_to_write()) events = static_cast<short>(events | POLLOUT);
    into.push_back({listen ? executor.socket() : -1, events, 0});
    into.push_back({executor.pidfd(), POLLIN, 0});
  }
}

void Slot::serve(std::span<const pollfd> ready, std::vector<Report>& reports) {
  std::vector<std::string> talking;
  std::vector<std::string> ended;
  std::size_t at = 0;
  for (auto& [provider, each] : workers_) {
    if ((ready[at].revents & POLLOUT) != 0) each.executor->flush();
    if ((ready[at].revents & ~POLLOUT) != 0) talking.push_back(provider);
    if (ready[at + 1].revents != 0) ended.push_back(provider);
    at += 2;
  }
  for (const std::string& provider : talking) read(provider, reports);
  for (const std::string& provider : ended) {
    // Its last words, e.g. `failed` before the exit, count first.
    while (read(provider, reports)) {
    }
    if (const std::optional<Death> death = workers_.at(provider).executor->reap())
      bury(provider, *death, reports);
  }
  pump(reports);
}

bool Slot::read(const std::string& provider, std::vector<Report>& reports) {
  Worker& from = workers_.at(provider);
  if (from.condemned || from.executor->at_end()) return false;
  bool any = false;
  try {
    for (const protocol::Message& message : from.executor->receive()) {
      if (from.condemned) return false;
      any = true;
      handle(from, provider, message, reports);
    }
  } catch (const Error& e) {
    if (worker() == &from)
      condemn(ErrorKind::kCrash, fmt::format("malformed message: {}", e.what()));
    from.condemned = true;
    from.executor->kill();
    return false;
  }
  // A process that closed its socket is given a second to die by itself.
  if (from.executor->at_end()) from.kill_at_s = monotonic_seconds() + 1;
  return any;
}

void Slot::bury(const std::string& provider, const Death& death, std::vector<Report>& reports) {
  const Worker& mine = workers_.at(provider);
  // A stage that waits for the successor of an executor that we killed is not concerned.
  const bool concerned =
      worker() == &mine && (running_->sent || running_->ending || !mine.condemned);
  if (concerned) {
    Running& now = *running_;
    if (now.ending) {
      fail(now.ending->kind, now.ending->message, Json::object(), reports, &death);
    } else {
      const std::int64_t end = mine.executor->output_bytes();
      const std::string tail = mine.executor->output(std::max(mine.copied, end - kTailBytes), end);
      std::string message = death.message;
      if (!mine.ready) message += " before it said hello";
      if (!tail.empty()) message += "; last output: " + tail;
      // A provider that cannot even start is a fault of the installation, not of the stage.
      const bool broken = !mine.ready && death.kind == ErrorKind::kCrash;
      fail(broken ? ErrorKind::kEnvironment : death.kind, message, Json::object(), reports, &death);
    }
  }
  workers_.erase(provider);
}

// ---- messages

void Slot::handle(Worker& from, const std::string& provider, const protocol::Message& message,
                  std::vector<Report>& reports) {
  using protocol::Type;
  if (message.type == Type::kHello) {
    greet(from, provider, message, reports);
    return;
  }
  if (!from.ready)
    throw Error(ErrorKind::kData, fmt::format("'{}' before hello", name_of(message.type)));
  if (!running_ || worker() != &from || message.attempt != running_->attempt) {
    spdlog::debug("{}: dropped a '{}' of {}", from.executor->name(), name_of(message.type),
                  message.attempt);
    return;
  }
  Report out = report(ReportKind::kProgress);
  switch (message.type) {
    case Type::kAlive:
      return;
    case Type::kProgress:
      out.progress = message.progress;
      break;
    case Type::kMetric:
      out.kind = ReportKind::kMetric;
      out.name = message.name;
      out.value = message.value;
      out.step = message.step;
      break;
    case Type::kCheckpoint:
      out.kind = ReportKind::kCheckpoint;
      out.step = message.step;
      running_->checkpointed = true;
      break;
    case Type::kListening:
      out.kind = ReportKind::kListening;
      out.address = message.address;
      break;
    case Type::kDone:
      finish(message, reports);
      return;
    case Type::kFailed: {
      const ErrorKind kind = error_kind_from(message.failure.kind).value_or(ErrorKind::kMethod);
      // An executor that calls itself broken (a poisoned CUDA context) is replaced.
      if (kind == ErrorKind::kCrash) {
        from.condemned = true;
        from.executor->kill();
      }
      fail(kind, message.failure.message, message.failure.context, reports);
      pump(reports);
      return;
    }
    default:
      throw Error(ErrorKind::kData,
                  fmt::format("'{}' is no message of an executor", name_of(message.type)));
  }
  running_->progress_s = monotonic_seconds();
  reports.push_back(std::move(out));
}

void Slot::greet(Worker& from, const std::string& provider, const protocol::Message& hello,
                 std::vector<Report>& reports) {
  std::string problem;
  if (hello.version != protocol::kVersion)
    problem = fmt::format("it speaks version {} of the protocol, this program version {}",
                          hello.version, protocol::kVersion);
  else if (hello.provider != provider)
    problem = fmt::format("it calls itself '{}'", hello.provider);
  else if (from.ready)
    problem = "it said hello twice";
  if (!problem.empty()) {
    const std::string message = fmt::format("provider '{}': {}", provider, problem);
    from.condemned = true;
    from.executor->kill();
    if (worker() == &from) running_->ending = Ending{ErrorKind::kEnvironment, message};
    return;
  }
  from.ready = true;
  from.kill_at_s = kNever;
  if (worker() == &from && !running_->sent) send_run(reports);
}

void Slot::finish(const protocol::Message& done, std::vector<Report>& reports) {
  Running& now = *running_;
  Worker& mine = *worker();
  const plan::Stage& stage = now.assignment.stage;
  const std::filesystem::path output = store_.attempt_folder(now.attempt);
  Finished finished;
  finished.key = stage.key;
  finished.run = stage.cache == CachePolicy::kRun ? options_.run : "";
  try {
    struct stat status {};
    Json files = Json::object();
    if (::lstat(output.c_str(), &status) == 0) {
      files = inventory(output);
      if (files.empty())
        store_.remove_attempt(now.attempt);
      else
        finished.files = output;
    }
    copy_output(mine);
    Report out = report(ReportKind::kPublished);
    out.record = record();
    out.record.outcome = "done";
    out.resident = done.resident;
    finished.result = assembled_result(done.result, stage, files, out.record);
    publisher_.add(std::move(finished), std::move(out), monotonic_seconds());
  } catch (const Error& e) {
    fail(e.kind(), e.what(), Json::object(), reports);
    pump(reports);
    return;
  } catch (const std::filesystem::filesystem_error& e) {
    fail(ErrorKind::kIo, e.what(), Json::object(), reports);
    pump(reports);
    return;
  }
  running_.reset();
  pump(reports);
}

void Slot::fail(ErrorKind kind, const std::string& message, const Json& context,
                std::vector<Report>& reports, const Death* death) {
  if (Worker* mine = worker()) copy_output(*mine);
  Report out = report(ReportKind::kFailed);
  out.error = kind;
  out.message = utf8_text(message);  // it may quote what the executor printed
  out.checkpointed = running_->checkpointed;
  out.record = record();
  out.record.outcome = name_of(kind);
  out.record.message = out.message;
  out.record.context = context;
  if (death != nullptr) {
    out.record.exit_code = death->exit_code;
    out.record.signal = death->signal;
  }
  store_.remove_attempt(running_->attempt);
  running_.reset();
  reports.push_back(std::move(out));
}

Report Slot::report(ReportKind kind) const {
  Report out;
  out.kind = kind;
  out.slot = index_;
  out.attempt = running_->attempt;
  out.key = running_->assignment.stage.key;
  return out;
}

plan::AttemptRecord Slot::record() {
  const Running& now = *running_;
  plan::AttemptRecord made;
  made.key = now.assignment.stage.key;
  made.number = now.assignment.number;
  made.slot = own_.name;
  made.host = host_name();
  made.started_unix_s = now.sent_unix_s;
  // Wall time from the monotonic clock: the wall clock may jump.
  made.ended_unix_s = now.sent_unix_s + (monotonic_seconds() - now.sent_s);
  if (const Worker* mine = worker(); mine != nullptr && now.sent) {
    const double cpu_s = mine->executor->cpu_s();
    if (cpu_s >= 0 && now.cpu_before_s >= 0) made.cpu_s = std::max(0.0, cpu_s - now.cpu_before_s);
    made.peak_memory_bytes = mine->executor->peak_memory_bytes();
  }
  made.log_path = now.log->path();
  made.environment = environment();
  return made;
}

Json Slot::environment() const {
  Json facts = host_facts();
  facts.update(options_.environment);
  facts["slot"] = own_.name;
  facts["provider"] = running_->assignment.stage.provider;
  facts["threads"] = running_->assignment.stage.resources.threads;
  return facts;
}

void Slot::copy_output(Worker& from) {
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

// ---- deadlines

double Slot::deadline_s() const {
  double deadline = kNever;
  for (const auto& [provider, each] : workers_) {
    if (!each.condemned) deadline = std::min(deadline, each.kill_at_s);
  }
  if (!running_ || !running_->sent || running_->ending) return deadline;
  deadline = std::min({deadline, running_->kill_at_s, running_->copy_s});
  if (options_.stage_timeout_s > 0)
    deadline = std::min(deadline, running_->sent_s + options_.stage_timeout_s);
  if (options_.stall_timeout_s > 0)
    deadline = std::min(deadline, running_->progress_s + options_.stall_timeout_s);
  return deadline;
}

void Slot::check_deadlines(double now_s, std::vector<Report>& reports) {
  for (auto& [provider, each] : workers_) {
    if (each.condemned || now_s < each.kill_at_s) continue;
    const bool closed = each.executor->at_end();
    if (worker() == &each && !running_->ending)
      running_->ending = Ending{closed ? ErrorKind::kCrash : ErrorKind::kEnvironment,
                                closed ? "the executor closed its protocol descriptor"
                                       : fmt::format("provider '{}' did not say hello within {} s",
                                                     provider, options_.start_timeout_s)};
    each.condemned = true;
    each.executor->kill();
  }
  if (!running_ || !running_->sent || running_->ending) return;
  Running& now = *running_;
  Worker& mine = *worker();
  if (now_s >= now.copy_s) {
    copy_output(mine);
    now.copy_s = now_s + kCopySeconds;
  }
  if (now_s >= now.kill_at_s) {
    condemn(ErrorKind::kLost, fmt::format("stopped: it did not end within {} s", now.grace_s));
  } else if (options_.stage_timeout_s > 0 && now_s >= now.sent_s + options_.stage_timeout_s) {
    condemn(ErrorKind::kTimeout,
            fmt::format("it ran past stage_timeout, {} s", options_.stage_timeout_s));
  } else if (options_.stall_timeout_s > 0 && now_s >= now.progress_s + options_.stall_timeout_s) {
    condemn(ErrorKind::kTimeout,
            fmt::format("no progress for stall_timeout, {} s", options_.stall_timeout_s));
  }
  pump(reports);
}

}  // namespace assay::supervise
