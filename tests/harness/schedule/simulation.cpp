#include "tests/harness/schedule/simulation.h"

#include <fmt/format.h>

#include <cmath>
#include <queue>
#include <tuple>

#include "harness/base/digest.h"
#include "harness/formats/philox.h"

namespace assay::schedule {
namespace {

// A draw in [0, 1) that depends on its arguments only.
double draw(std::uint64_t seed, std::uint64_t stream, std::uint64_t a, std::uint64_t b) {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto words =
      philox4x32({low(a), low(a >> 32), low(b), low(stream)}, {low(seed), low(seed >> 32)});
  const std::uint64_t bits = words[0] | std::uint64_t{words[1]} << 32;
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

enum Stream : std::uint64_t { kCrash = 1, kLost, kMethod, kSlow, kWhen, kSlotLife };

class Simulation {
 public:
  Simulation(const plan::Plan& plan, const Options& options, const std::vector<Known>& known,
             const std::function<double(const plan::Stage&)>& duration_s, const Faults& faults)
      : plan_(plan),
        graph_(plan),
        coordinator_(plan, options, known),
        duration_s_(duration_s),
        faults_(faults),
        in_store_(plan.stages.size()) {
    result_.published.resize(plan.stages.size());
    result_.started.resize(plan.stages.size());
    for (std::size_t i = 0; i < known.size(); ++i) in_store_[i] = known[i].in_store;
  }

  SimulationResult run(const std::vector<SlotOffer>& slots) {
    apply(coordinator_.start(0));
    for (const SlotOffer& slot : slots) join(slot);
    next_slot_ = 0;
    for (const SlotOffer& slot : slots) next_slot_ = std::max(next_slot_, slot.id + 1);
    schedule(1, [this] { tick(); });
    while (!coordinator_.finished()) {
      if (queue_.empty()) {
        violation("deadlock: nothing will ever happen again");
        break;
      }
      const Entry entry = queue_.top();
      queue_.pop();
      now_s_ = entry.at_s;
      ++result_.events;
      entry.run();
    }
    result_.makespan_s = now_s_;
    result_.digest = sha256(log_);
    return std::move(result_);
  }

 private:
  struct Entry {
    double at_s;
    std::uint64_t order;
    std::function<void()> run;
    bool operator<(const Entry& other) const {
      return std::tie(at_s, order) > std::tie(other.at_s, other.order);
    }
  };
  struct SimulatedSlot {
    SlotOffer offer;
    bool running = false;
    Attempt attempt;
    double since_s = 0;
    std::vector<Attempt> waiting;
  };

  void schedule(double in_s, std::function<void()> run) {
    queue_.push({now_s_ + in_s, order_++, std::move(run)});
  }
  void violation(std::string text) {
    if (result_.violations.size() < 20) result_.violations.push_back(std::move(text));
  }
  void send(const Event& event) { apply(coordinator_.on(event, now_s_)); }

  void tick() {
    send(Tick{});
    schedule(1, [this] { tick(); });
  }

  void join(const SlotOffer& offer) {
    slots_[offer.id] = SimulatedSlot{offer, false, {}, 0, {}};
    if (faults_.slot_life_s > 0) {
      const double u = draw(faults_.seed, kSlotLife, static_cast<std::uint64_t>(offer.id), 0);
      schedule(-faults_.slot_life_s * std::log1p(-u), [this, id = offer.id] { lose(id); });
    }
    send(SlotJoined{offer});
  }

  void lose(SlotId id) {
    const auto found = slots_.find(id);
    if (found == slots_.end()) return;
    SlotOffer offer = found->second.offer;
    if (found->second.running) result_.busy_s += now_s_ - found->second.since_s;
    slots_.erase(found);
    offer.id = next_slot_++;
    schedule(faults_.slot_return_s, [this, offer] { join(offer); });
    send(SlotLost{id, "simulated loss"});
  }

  void apply(const Actions& actions) {
    for (const Action& action : actions) {
      std::visit([this](const auto& a) { perform(a); }, action);
    }
  }

  void perform(const StartStage& action) {
    schedule(faults_.network_s, [this, attempt = action.attempt] {
      const auto slot = slots_.find(attempt.slot);
      if (slot == slots_.end()) return;  // lost on the way: the coordinator knows
      if (slot->second.running) {
        slot->second.waiting.push_back(attempt);
      } else {
        begin(slot->second, attempt);
      }
    });
  }

  void begin(SimulatedSlot& slot, const Attempt& attempt) {
    slot.running = true;
    slot.attempt = attempt;
    slot.since_s = now_s_;
    ++result_.started[attempt.stage];
    log_ +=
        fmt::format("start {} {} {} {:.9f}\n", attempt.stage, attempt.slot, attempt.number, now_s_);
    check_start(slot, attempt);
    const auto stage = static_cast<std::uint64_t>(attempt.stage);
    const auto number = static_cast<std::uint64_t>(attempt.number);
    double length_s = duration_s_(plan_.stages[attempt.stage]);
    if (draw(faults_.seed, kSlow, stage, number) < faults_.slow) length_s *= faults_.slow_factor;
    std::optional<ErrorKind> fault;
    if (draw(faults_.seed, kCrash, stage, number) < faults_.crash) fault = ErrorKind::kCrash;
    if (draw(faults_.seed, kLost, stage, number) < faults_.lost) fault = ErrorKind::kLost;
    if (draw(faults_.seed, kMethod, stage, 0) < faults_.method) fault = ErrorKind::kMethod;
    if (fault) length_s *= draw(faults_.seed, kWhen, stage, number);
    schedule(length_s, [this, attempt, fault, length_s] { end(attempt, fault, length_s); });
  }

  void check_start(const SimulatedSlot& slot, const Attempt& attempt) {
    for (const StageIndex input : graph_.inputs(attempt.stage)) {
      if (!in_store_[input]) violation(fmt::format("{} started without its input", attempt.stage));
    }
    for (const auto& [id, other] : slots_) {
      if (id == attempt.slot || !other.running || other.offer.node != slot.offer.node) continue;
      if (plan_.stages[attempt.stage].exclusive || plan_.stages[other.attempt.stage].exclusive) {
        violation(fmt::format("{} shares a node while timing", attempt.stage));
      }
    }
  }

  void end(const Attempt& attempt, std::optional<ErrorKind> fault, double length_s) {
    const auto found = slots_.find(attempt.slot);
    if (found == slots_.end() || !found->second.running || !(found->second.attempt == attempt)) {
      return;
    }
    SimulatedSlot& slot = found->second;
    result_.busy_s += now_s_ - slot.since_s;
    slot.running = false;
    if (!fault) {
      if (in_store_[attempt.stage]) violation(fmt::format("{} published twice", attempt.stage));
      in_store_[attempt.stage] = true;
      ++result_.published[attempt.stage];
    }
    if (!slot.waiting.empty()) {
      const Attempt next = slot.waiting.front();
      slot.waiting.erase(slot.waiting.begin());
      begin(slot, next);
    }
    if (fault) {
      send(StageFailed{attempt, *fault, "simulated fault", 0});
    } else {
      send(StageDone{attempt, length_s, 0});
    }
  }

  void perform(const StopStage& action) { perform(KillStage{action.attempt}); }

  void perform(const KillStage& action) {
    schedule(faults_.network_s,
             [this, attempt = action.attempt] { end(attempt, ErrorKind::kLost, now_s_); });
  }

  void perform(const RetractStage& action) {
    schedule(faults_.network_s, [this, attempt = action.attempt] {
      const auto slot = slots_.find(attempt.slot);
      if (slot == slots_.end() || std::erase(slot->second.waiting, attempt) == 0) return;
      send(StageReturned{attempt});
    });
  }

  void perform(const SettleStage& action) {
    log_ +=
        fmt::format("settle {} {} {:.9f}\n", action.stage, record::name_of(action.state), now_s_);
  }

  void perform(const DropArtifact& action) {
    for (const StageIndex consumer : graph_.consumers(action.stage)) {
      if (!in_store_[consumer]) violation(fmt::format("{} dropped too early", action.stage));
    }
  }

  void perform(const RecordAttempt&) {}
  void perform(const ReviveStage& action) { in_store_[action.stage] = false; }
  void perform(const RetireSlot&) {}

  void perform(const Finish& action) {
    result_.outcome = action.outcome;
    result_.message = action.message;
  }

  const plan::Plan& plan_;
  WorkGraph graph_;
  Coordinator coordinator_;
  const std::function<double(const plan::Stage&)>& duration_s_;
  const Faults faults_;
  std::vector<bool> in_store_;
  std::map<SlotId, SimulatedSlot> slots_;
  SlotId next_slot_ = 0;
  std::priority_queue<Entry> queue_;
  std::uint64_t order_ = 0;
  double now_s_ = 0;
  std::string log_;
  SimulationResult result_;
};

}  // namespace

SimulationResult simulate(const plan::Plan& plan, const Options& options,
                          const std::vector<Known>& known, const std::vector<SlotOffer>& slots,
                          const std::function<double(const plan::Stage&)>& duration_s,
                          const Faults& faults) {
  return Simulation(plan, options, known, duration_s, faults).run(slots);
}

}  // namespace assay::schedule
