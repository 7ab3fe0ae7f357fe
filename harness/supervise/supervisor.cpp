#include "harness/supervise/supervisor.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/log.h"
#include "harness/supervise/host.h"
#include "harness/supervise/marked_processes.h"
#include "harness/supervise/publisher.h"
#include "harness/supervise/slot.h"
#include "harness/supervise/store_layout.h"
#include "harness/supervise/watchdog.h"

namespace assay::supervise {
namespace {

constexpr double kPauseSeconds = 1;  // a look that comes so much too late, this process did not run
constexpr double kFarewellSeconds = 2;  // until an executor that was told to leave is killed

int poll_for(std::vector<pollfd>& waited, double timeout_s) {
  const double bounded = std::clamp(timeout_s, 0.0, 3600.0);
  timespec time{};
  time.tv_sec = static_cast<time_t>(bounded);
  time.tv_nsec = static_cast<long>((bounded - std::floor(bounded)) * 1e9);
  return ::ppoll(waited.data(), waited.size(), &time, nullptr);
}

// Of the executors of one supervisor of this process.
std::string fresh_mark() {
  static std::atomic<int> supervisors{0};
  return fmt::format("{}:{}.", owner_name(), supervisors++);
}

std::unique_ptr<Watchdog> watchdog_for(const std::string& mark) {
  try {
    return std::make_unique<Watchdog>(fmt::format("{}={}", kOwnerVariable, mark));
  } catch (const Error& e) {
    log_warning("{}; what executors have started may outlive this run if it is killed", e.what());
    return nullptr;
  }
}

// kStarted alone does not end a wait: nobody has to act on it.
bool worth_returning(const std::vector<Report>& reports) {
  return std::any_of(reports.begin(), reports.end(),
                     [](const Report& each) { return each.kind != ReportKind::kStarted; });
}

}  // namespace

Supervisor::Supervisor(Store& store, SupervisorOptions options)
    : store_(store),
      options_(std::move(options)),
      publisher_(
          std::make_unique<Publisher>(store_, options_.publish_window_s, options_.publish_group)) {
  if (options_.slots.empty())
    throw Error(ErrorKind::kEnvironment, "a supervisor needs at least one slot");
  if (!options_.logs.empty()) {
    std::error_code code;
    std::filesystem::create_directories(options_.logs, code);
    if (code)
      throw Error(ErrorKind::kIo, fmt::format("cannot make the folder {}: {}",
                                              options_.logs.string(), code.message()));
  }
  options_.mark = fresh_mark();
  for (std::size_t i = 0; i < options_.slots.size(); ++i)
    slots_.push_back(std::make_unique<Slot>(i, options_.slots[i], options_, store_, *publisher_));
}

Supervisor::~Supervisor() = default;

std::size_t Supervisor::slots() const { return slots_.size(); }

std::size_t Supervisor::queued(std::size_t slot) const { return slots_.at(slot)->load(); }

bool Supervisor::working() const {
  return std::any_of(slots_.begin(), slots_.end(),
                     [](const auto& slot) { return slot->load() > 0; });
}

bool Supervisor::idle() const { return !working() && publisher_->empty() && reports_.empty(); }

Slot* Supervisor::slot_of(const std::string& attempt) const {
  for (const auto& slot : slots_) {
    if (slot->holds(attempt)) return slot.get();
  }
  return nullptr;
}

void Supervisor::watch() {
  if (watched_) return;
  watched_ = true;
  watchdog_ = watchdog_for(options_.mark);
}

void Supervisor::start(std::size_t slot, Assignment assignment) {
  watch();
  slots_.at(slot)->enqueue(std::move(assignment));
  slots_.at(slot)->pump(reports_);
}

void Supervisor::warm(const std::string& provider) {
  watch();
  for (const auto& slot : slots_) slot->warm(provider);
}

void Supervisor::retract(const std::string& attempt) {
  if (Slot* slot = slot_of(attempt)) slot->retract(attempt, reports_);
}

void Supervisor::stop(const std::string& attempt, double grace_s) {
  if (Slot* slot = slot_of(attempt)) slot->stop(attempt, grace_s, reports_);
}

void Supervisor::kill(const std::string& attempt, ErrorKind kind, const std::string& message) {
  if (Slot* slot = slot_of(attempt)) slot->kill(attempt, kind, message, reports_);
}

std::vector<pollfd> Supervisor::descriptors() const {
  std::vector<pollfd> waited;
  for (const auto& slot : slots_) slot->descriptors(waited);
  return waited;
}

double Supervisor::seconds_to_deadline() const {
  double deadline = publisher_->due_s();
  for (const auto& slot : slots_) deadline = std::min(deadline, slot->deadline_s());
  if (!publisher_->empty() && (!working() || publisher_->full())) return 0;
  if (worth_returning(reports_)) return 0;
  return std::max(0.0, deadline - monotonic_seconds());
}

// A job that is suspended (SIGSTOP, a frozen container) stops its executors too: what they would
// have said in that time is missing, and the first look after it must not take that for silence.
void Supervisor::excuse_pause(double asked_s) {
  const double now = monotonic_seconds();
  const double pause_s = now - std::exchange(turned_s_, now) - asked_s;
  if (pause_s < kPauseSeconds) return;
  for (const auto& slot : slots_) slot->excuse_pause(pause_s, now);
}

void Supervisor::turn(double timeout_s, std::span<pollfd> extra, bool& extra_ready) {
  std::vector<pollfd> waited;
  std::vector<std::size_t> ends;
  for (const auto& slot : slots_) {
    slot->descriptors(waited);
    ends.push_back(waited.size());
  }
  const std::size_t own = waited.size();
  waited.insert(waited.end(), extra.begin(), extra.end());
  const double asked_s = std::min(timeout_s, seconds_to_deadline());
  const int ready = poll_for(waited, asked_s);
  excuse_pause(asked_s);
  if (ready < 0 && errno == EINTR) {
    extra_ready = true;  // a signal: the caller looks at its flags
    return;
  }
  if (ready < 0) throw Error(ErrorKind::kEnvironment, "poll failed on the executors' descriptors");
  for (std::size_t i = 0; i < extra.size(); ++i) {
    extra[i].revents = waited[own + i].revents;
    extra_ready = extra_ready || extra[i].revents != 0;
  }
  std::size_t begin = 0;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const std::span<const pollfd> mine(waited.data() + begin, ends[i] - begin);
    if (std::any_of(mine.begin(), mine.end(), [](const pollfd& p) { return p.revents != 0; }))
      slots_[i]->serve(mine, reports_);
    begin = ends[i];
  }
  store_.beat();
  const double now = monotonic_seconds();
  for (const auto& slot : slots_) {
    if (slot->deadline_s() <= now) slot->check_deadlines(now, reports_);
  }
  if (!publisher_->empty() &&
      (publisher_->full() || !working() || publisher_->due_s() <= monotonic_seconds()))
    publisher_->flush(reports_);
}

std::vector<Report> Supervisor::poll(double timeout_s, std::span<pollfd> extra) {
  const double until = monotonic_seconds() + timeout_s;
  bool extra_ready = false;
  for (;;) {
    const double left = std::max(0.0, until - monotonic_seconds());
    turn(worth_returning(reports_) ? 0 : left, extra, extra_ready);
    if (worth_returning(reports_) || extra_ready || monotonic_seconds() >= until)
      return std::exchange(reports_, {});
  }
}

std::vector<Report> Supervisor::close(double grace_s) {
  std::vector<Report> last;
  const auto take = [&](std::vector<Report> reports) {
    for (Report& each : reports) last.push_back(std::move(each));
  };
  for (const auto& slot : slots_) slot->stop_all(grace_s, reports_);
  while (!idle()) take(poll(1));
  for (const auto& slot : slots_) slot->dismiss();
  const double until = monotonic_seconds() + kFarewellSeconds;
  while (monotonic_seconds() < until &&
         !std::all_of(slots_.begin(), slots_.end(), [](const auto& s) { return s->empty(); })) {
    bool ready = false;
    turn(0.05, {}, ready);  // one round each: when the last has gone nothing is waited for
  }
  take(std::exchange(reports_, {}));
  return last;
}

}  // namespace assay::supervise
