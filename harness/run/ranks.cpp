#include "harness/run/ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "harness/base/log.h"
#include "harness/supervise/host.h"

namespace assay::run {
namespace {

const Json kBye = {{"type", "bye"}};
const Json kWait = {{"type", "wait"}};
const Json kAgain = {{"type", "again"}};

}  // namespace

class Ranks::Rank : public SupervisorHandle {
 public:
  explicit Rank(int number) : rank(number) {}

  void start(std::size_t slot, const supervise::Assignment& assignment) override {
    commands.push_back(
        to_json(Command{Command::Kind::kStart, slot, assignment, assignment.attempt(), 0}));
  }
  void stop(const std::string& attempt, double grace_s) override {
    commands.push_back(to_json(Command{Command::Kind::kStop, 0, {}, attempt, grace_s}));
  }
  void kill(const std::string& attempt) override {
    commands.push_back(to_json(Command{Command::Kind::kKill, 0, {}, attempt, 0}));
  }
  void retract(const std::string& attempt) override {
    commands.push_back(to_json(Command{Command::Kind::kRetract, 0, {}, attempt, 0}));
  }

  const int rank;
  enum class State {
    kAbsent,
    kSaidHello,
    kWelcomed,
    kJoined,
    kGone,
    kDismissed
  } state = State::kAbsent;
  Conductor::SupervisorId supervisor = 0;
  supervise::HostNumerics numerics;  // once it has said hello
  Json commands = Json::array();
  int owed = 0;             // requests that were not answered yet
  double owed_since_s = 0;  // or the last answer
  double heard_s = 0;
};

Ranks::Ranks(schedule::Transport& transport) : transport_(transport) {
  for (int rank = 1; rank < transport.size(); ++rank) {
    ranks_[rank] = std::make_unique<Rank>(rank);
    ranks_[rank]->heard_s = supervise::monotonic_seconds();
  }
}

Ranks::~Ranks() = default;

std::vector<supervise::HostNumerics> Ranks::hosts(double patience_s,
                                                  const std::function<bool()>& go_on) {
  const double until = supervise::monotonic_seconds() + patience_s;
  for (;;) {
    const double now = supervise::monotonic_seconds();
    const bool any = pump(now);
    std::vector<supervise::HostNumerics> said;
    for (const auto& [number, rank] : ranks_) {
      if (rank->state != Rank::State::kAbsent) said.push_back(rank->numerics);
    }
    if (said.size() == ranks_.size() || now >= until || !go_on()) return said;
    if (!any) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void Ranks::welcome(const Welcome& welcome, Conductor& conductor) {
  welcome_ = to_json(welcome);
  conductor_ = &conductor;
}

bool Ranks::pump(double now) {
  bool any = false;
  while (auto incoming = transport_.receive()) {
    any = true;
    take(incoming->from, incoming->text, now);
  }
  return any;
}

void Ranks::take(int from, const std::string& text, double now) {
  const auto found = ranks_.find(from);
  if (found == ranks_.end()) return;
  Rank& rank = *found->second;
  rank.heard_s = now;
  if (rank.owed++ == 0) rank.owed_since_s = now;
  const Json message = parse_json(text, fmt::format("message of rank {}", from));
  const std::string type = message.value("type", "");
  if (type == "signal") {
    signals_.push_back({message.value("number", 0), message.value("from_launcher", false)});
  } else if (type == "hello") {
    rank.numerics = host_numerics_from(message);
    rank.state = Rank::State::kSaidHello;
  } else if (rank.state == Rank::State::kGone) {
    return;  // what it says is about stages that went elsewhere
  } else if (type == "ready" && rank.state == Rank::State::kWelcomed) {
    rank.state = Rank::State::kJoined;
    rank.supervisor = conductor_->join(rank, supervisor_offer_from(message));
  } else if (type == "reports" && rank.state == Rank::State::kJoined) {
    for (const Json& report : message.at("reports")) {
      conductor_->take(rank.supervisor, report_from(report));
    }
  } else {
    throw Error(ErrorKind::kEnvironment,
                fmt::format("rank {} sent '{}' out of turn; do all ranks run the same version?",
                            from, type));
  }
}

std::vector<StopSignal> Ranks::signals() { return std::exchange(signals_, {}); }

void Ranks::reply(Rank& rank, const Json& message) {
  transport_.send(rank.rank, message.dump(-1, ' ', false, Json::error_handler_t::replace));
  --rank.owed;
  rank.owed_since_s = supervise::monotonic_seconds();
}

void Ranks::answer(Rank& rank, double now) {
  const bool due = rank.owed > 1 || now - rank.owed_since_s >= kHoldSeconds;
  switch (rank.state) {
    case Rank::State::kSaidHello:
      if (rank.owed > 0 && !welcome_.is_null()) {
        rank.state = Rank::State::kWelcomed;
        reply(rank, welcome_);
      } else if (rank.owed > 0 && due) {
        reply(rank, kWait);
      }
      break;
    case Rank::State::kAbsent:
    case Rank::State::kWelcomed:
      if (rank.owed > 0 && due) reply(rank, kWait);
      break;
    case Rank::State::kJoined:
      while (rank.owed > 0 &&
             (rank.owed > 1 || !rank.commands.empty() || now - rank.owed_since_s >= kHoldSeconds)) {
        reply(rank,
              {{"type", "commands"}, {"commands", std::exchange(rank.commands, Json::array())}});
      }
      break;
    case Rank::State::kGone:
      while (rank.owed > 0) reply(rank, kAgain);  // it has spoken again
      break;
    case Rank::State::kDismissed:
      break;
  }
}

void Ranks::answer(double now) {
  for (auto& [number, rank] : ranks_) {
    const int owed = rank->owed;
    answer(*rank, now);
    if (rank->owed < owed) rank->owed_since_s = now;
    // While it waits for an answer its silence is not its own.
    const double silent_s = now - std::max(rank->heard_s, rank->owed_since_s);
    if (rank->state == Rank::State::kGone || rank->owed > 0 || silent_s <= kSilentSeconds) {
      continue;
    }
    const bool joined = rank->state == Rank::State::kJoined;
    rank->state = Rank::State::kGone;
    rank->commands = Json::array();
    if (joined) {
      conductor_->leave(rank->supervisor, fmt::format("rank {} is silent", number));
    } else {
      log_warning("rank {} is silent and has not joined yet", number);
    }
  }
}

bool Ranks::all_alive() const {
  return std::none_of(ranks_.begin(), ranks_.end(),
                      [](const auto& entry) { return entry.second->state == Rank::State::kGone; });
}

bool Ranks::dismiss(double patience_s) {
  const double until = supervise::monotonic_seconds() + patience_s;
  for (;;) {
    while (auto incoming = transport_.receive()) {
      const auto found = ranks_.find(incoming->from);
      if (found == ranks_.end()) continue;
      ++found->second->owed;
    }
    bool missing = false;
    for (auto& [number, rank] : ranks_) {
      if (rank->owed > 0) {
        while (rank->owed > 0) reply(*rank, kBye);
        rank->state = Rank::State::kDismissed;
      }
      missing =
          missing || (rank->state != Rank::State::kDismissed && rank->state != Rank::State::kGone);
    }
    if (!missing || supervise::monotonic_seconds() >= until) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return std::all_of(ranks_.begin(), ranks_.end(), [](const auto& entry) {
    return entry.second->state == Rank::State::kDismissed;
  });
}

}  // namespace assay::run
