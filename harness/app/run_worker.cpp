#include "harness/app/run_worker.h"

#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "harness/app/run_messages.h"
#include "harness/app/run_numerics.h"
#include "harness/app/run_slots.h"
#include "harness/supervise/host.h"

namespace assay::app {
namespace {

// Rank 0 answers within a second or so; one that does not for so long is gone.
constexpr double kPatienceSeconds = 120;
constexpr double kShortestWait = 50e-6;
constexpr double kLongestWait = 10e-3;

// Sends and waits for the answer, with a back-off that costs an idle rank next to nothing.
Json ask(schedule::Transport& transport, const Json& message) {
  transport.send(0, message.dump(-1, ' ', false, Json::error_handler_t::replace));
  double wait = kShortestWait;
  for (;;) {
    if (auto incoming = transport.receive()) return parse_json(incoming->text, "message of rank 0");
    std::this_thread::sleep_for(std::chrono::duration<double>(wait));
    wait = std::min(2 * wait, kLongestWait);
  }
}

class Worker {
 public:
  Worker(schedule::Transport& transport, const Welcome& welcome)
      : transport_(transport), store_(welcome.store) {
    store_.check_nonce(welcome.nonce);
    Slots slots =
        slots_of_this_node({welcome.jobs, welcome.threads, welcome.device, transport.rank(),
                            transport.local_rank(), transport.local_size(), welcome.cpu_level,
                            welcome.mkl_intel});
    supervise::SupervisorOptions options;
    options.slots = std::move(slots.options);
    options.providers = welcome.providers;
    options.logs = welcome.logs;
    options.run = welcome.run;
    options.environment = welcome.environment;
    options.stall_timeout_s = welcome.stall_timeout_s;
    options.stage_timeout_s = welcome.stage_timeout_s;
    offer_ = slots.offer;
    supervisor_.emplace(store_, std::move(options));
    site_.emplace(*supervisor_);
  }

  void run() {
    send(to_json(offer_));
    double wait = kShortestWait;
    while (!dismissed_) {
      bool any = false;
      while (auto incoming = transport_.receive()) {
        any = true;
        obey(parse_json(incoming->text, "message of rank 0"));
      }
      Json reports = Json::array();
      for (const auto& report : supervisor_->poll(wait)) {
        site_->note(report);
        reports.push_back(to_json(report));
      }
      // A request is always under way: it brings the next command, and says that we live.
      if (!reports.empty() || (unanswered_ == 0 && !dismissed_)) {
        any = any || !reports.empty();
        send({{"type", "reports"}, {"reports", std::move(reports)}});
      }
      wait = any ? kShortestWait : std::min(2 * wait, kLongestWait);
      if (supervise::monotonic_seconds() - heard_s_ > kPatienceSeconds) {
        throw Error(ErrorKind::kLost,
                    fmt::format("rank {}: rank 0 is silent for {:g} s; what was published is safe, "
                                "give the same command again",
                                transport_.rank(), kPatienceSeconds));
      }
    }
    supervisor_->close(0);
  }

 private:
  void send(const Json& message) {
    transport_.send(0, message.dump(-1, ' ', false, Json::error_handler_t::replace));
    ++unanswered_;
  }

  void obey(const Json& message) {
    --unanswered_;
    heard_s_ = supervise::monotonic_seconds();
    if (message.value("type", "") == "bye") {
      dismissed_ = true;
      return;
    }
    for (const Json& json : message.at("commands")) {
      const Command command = command_from(json);
      switch (command.kind) {
        case Command::Kind::kStart:
          site_->start(command.slot, command.assignment);
          break;
        case Command::Kind::kStop:
          site_->stop(command.attempt, command.grace_s);
          break;
        case Command::Kind::kKill:
          site_->kill(command.attempt);
          break;
        case Command::Kind::kRetract:
          site_->retract(command.attempt);
          break;
      }
    }
  }

  schedule::Transport& transport_;
  supervise::Store store_;
  SiteOffer offer_;
  std::optional<supervise::Supervisor> supervisor_;
  std::optional<LocalSite> site_;
  int unanswered_ = 0;
  double heard_s_ = supervise::monotonic_seconds();
  bool dismissed_ = false;
};

}  // namespace

int run_worker(schedule::Transport& transport) {
  // Launchers forward signals to every rank; rank 0 alone decides what they mean.
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGHUP}) ::signal(signal, SIG_IGN);
  const supervise::HostNumerics host = supervise::host_numerics();
  const Json answer = ask(transport, to_json(host));
  if (answer.value("type", "") == "bye") return 0;
  const Welcome welcome = welcome_from(answer);
  spec::RunSettings settled;
  settled.cpu_level = welcome.cpu_level;
  check_hosts(settled, {host});  // a rank that said hello after the plan was made
  Worker(transport, welcome).run();
  return 0;
}

}  // namespace assay::app
