#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/schedule/coordinator.h"

namespace assay::schedule {

inline constexpr std::int64_t kGib = std::int64_t{1} << 30;

// A plan written in a few lines, and a coordinator over it with verbs for what happens to it.
class Scenario {
 public:
  // Adds a stage that consumes the stages named; its label and name are `label`.
  plan::Stage& stage(const std::string& label, const std::vector<std::string>& inputs = {}) {
    plan::Stage stage;
    stage.key = "key-" + label;
    stage.name = stage.label = label;
    for (const auto& input : inputs) stage.inputs.push_back({"in-" + input, "key-" + input});
    plan_.stages.push_back(stage);
    known_.emplace_back();
    return plan_.stages.back();
  }
  void trial(const std::vector<std::string>& labels) {
    plan::PlannedTrial trial;
    for (const auto& label : labels) trial.stages.push_back(index(label));
    plan_.trials.push_back(trial);
  }
  Known& known(const std::string& label) { return known_[index(label)]; }
  Options& options() { return options_; }
  plan::Plan& plan() { return plan_; }

  void start() {
    coordinator_ = std::make_unique<Coordinator>(plan_, options_, known_);
    take(coordinator_->start(now_));
  }
  void join(SlotId id, const std::string& node = "a", Resources offer = {}) {
    send(SlotJoined{{id, node, offer}});
  }
  void lose(SlotId id) { send(SlotLost{id, "gone"}); }
  void done(const std::string& label, double wall_s = 1) {
    send(StageDone{attempt(label), wall_s, 0});
  }
  void fail(const std::string& label, ErrorKind kind, std::int64_t peak_bytes = 0,
            const std::string& message = "because") {
    send(StageFailed{attempt(label), kind, message, peak_bytes});
  }
  // The slot cannot start the provider of the stage.
  void cannot_start(const std::string& label) {
    send(StageFailed{attempt(label), ErrorKind::kEnvironment, "no such program", 0, true});
  }
  void taken(const std::string& label) { send(StageTaken{attempt(label)}); }
  void freed(const std::string& label) { send(StageFreed{index(label)}); }
  void found_elsewhere(const std::string& label) { send(StageFound{index(label), {}}); }
  void found(const std::string& label) { send(StageFound{index(label), attempt(label)}); }
  void inputs_lost(const std::string& label, const std::vector<std::string>& inputs) {
    InputsLost event{attempt(label), {}, "gone"};
    for (const auto& input : inputs) event.inputs.push_back(index(input));
    send(event);
  }
  void checkpoint(const std::string& label, std::int64_t step) {
    send(StageCheckpointed{attempt(label), step});
  }
  void wait(double seconds) {
    now_ += seconds;
    send(Tick{});
  }
  void send(const Event& event) { take(coordinator_->on(event, now_)); }

  // Labels of the stages on slots now, by slot; "" for a free one.
  std::string on(SlotId id) const {
    const auto& slot = coordinator_->slots().slots().at(id);
    return slot.running ? plan_.stages[slot.running->attempt.stage].label : "";
  }
  std::string ahead(SlotId id) const {
    const auto& slot = coordinator_->slots().slots().at(id);
    return slot.waiting.empty() ? "" : plan_.stages[slot.waiting.front().attempt.stage].label;
  }
  Attempt attempt(const std::string& label) const {
    for (const auto& [id, slot] : coordinator_->slots().slots()) {
      std::vector<Occupant> occupants(slot.waiting.begin(), slot.waiting.end());
      if (slot.running) occupants.push_back(*slot.running);
      for (const Occupant& occupant : occupants) {
        if (plan_.stages[occupant.attempt.stage].label == label) return occupant.attempt;
      }
    }
    return {index(label), -1, -1};
  }
  record::StageState state(const std::string& label) const {
    return coordinator_->state(index(label));
  }
  Coordinator& coordinator() { return *coordinator_; }

  template <typename T>
  std::vector<T> all() const {
    std::vector<T> result;
    for (const auto& action : actions_) {
      if (const T* a = std::get_if<T>(&action)) result.push_back(*a);
    }
    return result;
  }
  int starts(const std::string& label) const {
    int count = 0;
    for (const auto& start : all<StartStage>()) count += start.attempt.stage == index(label);
    return count;
  }
  std::size_t index(const std::string& label) const {
    for (std::size_t i = 0; i < plan_.stages.size(); ++i) {
      if (plan_.stages[i].label == label) return i;
    }
    throw Error(ErrorKind::kConfig, "scenario without stage " + label);
  }

 private:
  void take(Actions actions) {
    for (auto& action : actions) actions_.push_back(std::move(action));
  }

  plan::Plan plan_;
  std::vector<Known> known_;
  Options options_;
  std::unique_ptr<Coordinator> coordinator_;
  Actions actions_;
  double now_ = 0;
};

}  // namespace assay::schedule
