#include "harness/run/rank_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "harness/run/node_slots.h"
#include "harness/run/numerics.h"
#include "harness/run/rank_messages.h"
#include "harness/supervise/host.h"

namespace assay::run {
namespace {

// Rank 0 answers within a second or so, also while it plans. One that is silent for so long is
// gone; on the same machine that is seen at once.
constexpr double kPatienceSeconds = 120;
constexpr double kLookSeconds = 2;

// The exchange with rank 0: what was asked, and whether the other side lives.
class Exchange {
 public:
  Exchange(schedule::Transport& transport, const supervise::ProcessIdentity& coordinator,
           StopSignals& signals)
      : transport_(transport), coordinator_(coordinator), signals_(signals) {}

  void send(const Json& message) {
    transport_.send(0, message.dump(-1, ' ', false, Json::error_handler_t::replace));
    ++unanswered_;
  }

  // What has arrived, or nothing. Passes stop signals on meanwhile. Throws Error(kLost).
  std::optional<Json> receive() {
    while (const auto signal = signals_.next()) {
      send({{"type", "signal"},
            {"number", signal->number},
            {"from_launcher", signal->from_launcher}});
    }
    if (auto incoming = transport_.receive()) {
      --unanswered_;
      heard_s_ = supervise::monotonic_seconds();
      return parse_json(incoming->text, "message of rank 0");
    }
    look_after_rank_0();
    return std::nullopt;
  }

  // The same with a back-off that costs an idle rank next to nothing.
  Json wait() {
    double pause = kShortestWait;
    for (;;) {
      if (auto message = receive()) return *message;
      std::this_thread::sleep_for(std::chrono::duration<double>(pause));
      pause = std::min(2 * pause, kLongestWait);
    }
  }

  int unanswered() const { return unanswered_; }

 private:
  void look_after_rank_0() {
    const double now = supervise::monotonic_seconds();
    const double silent_s = now - heard_s_;
    if (silent_s < kLookSeconds || now - looked_s_ < kLookSeconds) return;
    looked_s_ = now;
    const bool gone = supervise::liveness_of(coordinator_) == supervise::Liveness::kGone;
    if (!gone && silent_s < kPatienceSeconds) return;
    throw Error(ErrorKind::kLost,
                fmt::format("rank {}: rank 0 {}; what was published is safe, give the same command "
                            "again",
                            transport_.rank(),
                            gone ? "is gone" : fmt::format("is silent for {:.0f} s", silent_s)));
  }

  schedule::Transport& transport_;
  const supervise::ProcessIdentity coordinator_;
  StopSignals& signals_;
  int unanswered_ = 0;
  double heard_s_ = supervise::monotonic_seconds();
  double looked_s_ = 0;
};

class RankLoop {
 public:
  RankLoop(schedule::Transport& transport, Exchange& exchange, const Welcome& welcome)
      : exchange_(exchange), store_(welcome.store) {
    store_.check_nonce(welcome.nonce);
    Slots slots = slots_of_this_node(
        {welcome.jobs, welcome.threads, welcome.device, transport.rank(), transport.local_rank(),
         transport.local_size(), transport.core_sharers(), welcome.cpu_level, welcome.mkl_intel});
    supervise::SupervisorOptions options;
    options.slots = std::move(slots.options);
    options.providers = welcome.providers;
    options.provider_files = supervise::provider_files_from(welcome.provider_files);
    options.logs = welcome.logs;
    options.run = welcome.run;
    options.environment = welcome.environment;
    options.stall_timeout_s = welcome.stall_timeout_s;
    options.stage_timeout_s = welcome.stage_timeout_s;
    offer_ = slots.offer;
    supervisor_.emplace(store_, std::move(options));
    handle_.emplace(*supervisor_);
  }

  // Until rank 0 says bye (true) or again (false).
  bool run() {
    exchange_.send(to_json(offer_));
    double wait = kShortestWait;
    while (!end_) {
      bool any = false;
      while (auto message = exchange_.receive()) {
        any = true;
        obey(*message);
      }
      Json reports = Json::array();
      for (const auto& report : supervisor_->poll(wait)) {
        reports.push_back(to_json(report));
      }
      if (end_) break;
      // A request is always under way: it brings the next command, and says that we live.
      if (!reports.empty() || exchange_.unanswered() == 0) {
        any = any || !reports.empty();
        exchange_.send({{"type", "reports"}, {"reports", std::move(reports)}});
      }
      wait = any ? kShortestWait : std::min(2 * wait, kLongestWait);
    }
    supervisor_->close(0);
    return *end_ == End::kBye;
  }

 private:
  enum class End { kBye, kAgain };

  void obey(const Json& message) {
    const std::string type = message.value("type", "");
    if (type == "bye") end_ = End::kBye;
    if (type == "again" && !end_) end_ = End::kAgain;
    if (type != "commands") return;
    for (const Json& json : message.at("commands")) {
      const Command command = command_from(json);
      switch (command.kind) {
        case Command::Kind::kStart:
          handle_->start(command.slot, command.assignment);
          break;
        case Command::Kind::kStop:
          handle_->stop(command.attempt, command.grace_s);
          break;
        case Command::Kind::kKill:
          handle_->kill(command.attempt);
          break;
        case Command::Kind::kRetract:
          handle_->retract(command.attempt);
          break;
      }
    }
  }

  Exchange& exchange_;
  supervise::Store store_;
  SupervisorOffer offer_;
  std::optional<supervise::Supervisor> supervisor_;
  std::optional<LocalSupervisor> handle_;
  std::optional<End> end_;
};

// Says hello until rank 0 is ready. nullopt: dismissed.
std::optional<Welcome> welcome_by(Exchange& exchange, const supervise::HostNumerics& host) {
  for (;;) {
    // What is still unanswered belongs to an earlier life.
    if (exchange.unanswered() == 0) exchange.send(to_json(host));
    const Json answer = exchange.wait();
    const std::string type = answer.value("type", "");
    if (type == "bye") return std::nullopt;
    if (type == "welcome") return welcome_from(answer);
  }
}

}  // namespace

int run_rank(schedule::Transport& transport, const supervise::ProcessIdentity& coordinator,
             StopSignals& signals) {
  Exchange exchange(transport, coordinator, signals);
  const supervise::HostNumerics host = supervise::host_numerics();
  while (const auto welcome = welcome_by(exchange, host)) {
    spec::RunSettings settled;
    settled.cpu_level = welcome->cpu_level;
    check_hosts(settled, {host});  // a rank that said hello after the plan was made
    if (RankLoop(transport, exchange, *welcome).run()) break;
  }
  return 0;
}

}  // namespace assay::run
