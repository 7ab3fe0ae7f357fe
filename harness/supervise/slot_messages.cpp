#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/log.h"
#include "harness/supervise/host.h"
#include "harness/supervise/marked_processes.h"
#include "harness/supervise/slot.h"

// What executors say, and how they die.

namespace assay::supervise {
namespace {

constexpr std::int64_t kTailBytes = 400;  // of the output, shown in the message of a crash
constexpr int kLastReads = 16;            // of a dead executor's socket, which others may hold open

}  // namespace

void Slot::descriptors(std::vector<pollfd>& into) const {
  for (const auto& [provider, each] : executors_) {
    const Executor& executor = *each.executor;
    const bool listen = !each.killed && !executor.at_end();
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
  for (auto& [provider, each] : executors_) {
    if ((ready[at].revents & POLLOUT) != 0) each.executor->flush();
    if ((ready[at].revents & ~POLLOUT) != 0) talking.push_back(provider);
    if (ready[at + 1].revents != 0) ended.push_back(provider);
    at += 2;
  }
  for (const std::string& provider : talking) read(provider, reports);
  for (const std::string& provider : ended) {
    // What it has started must not keep us reading.
    executors_.at(provider).executor->kill_group();
    // Its last words, e.g. `failed` before the exit, count first.
    for (int i = 0; i < kLastReads && read(provider, reports); ++i) {
    }
    if (const std::optional<Death> death = executors_.at(provider).executor->reap())
      executor_ended(provider, *death, reports);
  }
  pump(reports);
}

// Where the kernel gives no pidfd.
void Slot::look_for_the_dead(double now_s, std::vector<Report>& reports) {
  std::vector<std::string> due;
  for (auto& [provider, each] : executors_) {
    if (now_s >= each.look_s) due.push_back(provider);
  }
  for (const std::string& provider : due) {
    OwnExecutor& each = executors_.at(provider);
    each.look_s = now_s + kLookSeconds;
    const std::optional<Death> death = each.executor->reap();
    if (!death) continue;
    for (int i = 0; i < kLastReads && read(provider, reports); ++i) {
    }
    executor_ended(provider, *death, reports);
  }
}

bool Slot::read(const std::string& provider, std::vector<Report>& reports) {
  OwnExecutor& from = executors_.at(provider);
  if (from.killed || from.executor->at_end()) return false;
  bool any = false;
  try {
    for (const protocol::Message& message : from.executor->receive()) {
      if (from.killed) return false;
      any = true;
      handle(from, provider, message, reports);
    }
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kData) throw;  // no message is to blame: the store cannot be written
    if (current() == &from)
      kill_executor(ErrorKind::kCrash, fmt::format("malformed message: {}", e.what()));
    from.killed = true;
    from.executor->kill();
    return false;
  }
  // A process that closed its socket is given a second to die by itself.
  if (from.executor->at_end()) {
    from.kill_at_s = monotonic_seconds() + 1;
    if (from.look_s != kNever) from.look_s = 0;
  }
  return any;
}

void Slot::executor_ended(const std::string& provider, const Death& death,
                          std::vector<Report>& reports) {
  const OwnExecutor& mine = executors_.at(provider);
  // Those that left its session; the NUL ends the number. At the end of a run the watchdog does it.
  if (!dismissed_) kill_marked(mine.mark.c_str(), mine.mark.size() + 1);
  // A stage that waits for the successor of an executor that we killed is not concerned.
  const bool concerned = current() == &mine && (running_->sent || running_->ending || !mine.killed);
  if (concerned) {
    Running& now = *running_;
    // A provider that cannot even start is a fault of the installation, not of the stage.
    const auto broken = [&mine](ErrorKind kind) {
      return !mine.ready && (kind == ErrorKind::kCrash || kind == ErrorKind::kEnvironment);
    };
    if (now.ending) {
      fail(now.ending->kind, now.ending->message, Json::object(), reports, &death,
           broken(now.ending->kind));
    } else {
      const std::int64_t end = mine.executor->output_bytes();
      const std::string tail = mine.executor->output(std::max(mine.copied, end - kTailBytes), end);
      std::string message = death.message;
      if (!mine.ready)
        message += mine.said_hello ? " before it was prepared" : " before it said hello";
      if (!tail.empty()) message += "; last output: " + tail;
      fail(death.kind, message, Json::object(), reports, &death, broken(death.kind));
    }
  }
  executors_.erase(provider);
}

void Slot::handle(OwnExecutor& from, const std::string& provider, const protocol::Message& message,
                  std::vector<Report>& reports) {
  using protocol::Type;
  if (message.type == Type::kHello) {
    take_hello(from, provider, message, reports);
    return;
  }
  if (!from.said_hello)
    throw Error(ErrorKind::kData, fmt::format("'{}' before hello", name_of(message.type)));
  if (message.type == Type::kPrepared && !from.ready) {
    make_ready(from, reports);
    return;
  }
  if (!running_ || current() != &from || message.attempt != running_->attempt) {
    log_debug("{}: dropped a '{}' of {}", from.executor->name(), name_of(message.type),
              message.attempt);
    return;
  }
  Report out = report(ReportKind::kProgress);
  switch (message.type) {
    case Type::kAlive:
      return;
    case Type::kProgress:
      out.progress = message.progress;
      // A flood of them is one.
      if (!reports.empty() && reports.back().kind == out.kind &&
          reports.back().attempt == out.attempt)
        reports.pop_back();
      break;
    case Type::kMetric:
      note_metric(message);
      return;
    case Type::kCheckpoint:
      out.kind = ReportKind::kCheckpoint;
      out.step = message.step;
      running_->checkpointed = true;
      note_spent(running_->resume_dir, spent());
      running_->series.save(running_->resume_dir);
      claim(reports);
      break;
    case Type::kDone:
      finish(message, reports);
      return;
    case Type::kFailed:
      take_failure(from, message.failure, reports);
      return;
    default:
      throw Error(ErrorKind::kData,
                  fmt::format("'{}' is no message of an executor", name_of(message.type)));
  }
  running_->progress_s = monotonic_seconds();
  reports.push_back(std::move(out));
}

void Slot::take_failure(OwnExecutor& from, const protocol::Failure& failure,
                        std::vector<Report>& reports) {
  const ErrorKind kind = error_kind_from(failure.kind).value_or(ErrorKind::kMethod);
  // An executor that calls itself broken (a poisoned CUDA context) is replaced.
  if (kind == ErrorKind::kCrash) {
    from.killed = true;
    from.executor->kill();
  }
  fail(kind, failure.message, failure.context, reports);
  pump(reports);
}

void Slot::note_metric(const protocol::Message& metric) {
  Running& now = *running_;
  now.progress_s = monotonic_seconds();
  if (now.series.add(metric.name, metric.step, metric.value) || now.dropped_series) return;
  now.dropped_series = true;
  log_warning(
      "stage '{}' reports metrics under more than {} names, or under one of more than {} bytes; "
      "'{}' is not kept",
      now.assignment.stage.name.str(), Series::kMaxNames, Series::kMaxNameBytes,
      metric.name.substr(0, Series::kMaxNameBytes));
}

void Slot::take_hello(OwnExecutor& from, const std::string& provider,
                      const protocol::Message& hello, std::vector<Report>& reports) {
  std::string problem;
  if (hello.version != protocol::kVersion)
    problem = fmt::format("it speaks version {} of the protocol, this program version {}",
                          hello.version, protocol::kVersion);
  else if (hello.provider != provider)
    problem = fmt::format("it calls itself '{}'", hello.provider);
  else if (from.said_hello)
    problem = "it said hello twice";
  const std::string message =
      problem.empty() ? changed_code(from) : fmt::format("provider '{}': {}", provider, problem);
  if (!message.empty()) {
    from.killed = true;
    from.executor->kill();
    if (current() == &from) running_->ending = Ending{ErrorKind::kEnvironment, message};
    return;
  }
  from.said_hello = true;
  if (!hello.prepares) {
    make_ready(from, reports);
    return;
  }
  protocol::Message prepare;
  prepare.type = protocol::Type::kPrepare;
  from.executor->send(prepare);
  from.kill_at_s = monotonic_seconds() + kPrepareSeconds;
}

void Slot::make_ready(OwnExecutor& from, std::vector<Report>& reports) {
  from.ready = true;
  from.kill_at_s = kNever;
  if (current() == &from && !running_->sent) send_run(reports);
}

}  // namespace assay::supervise
