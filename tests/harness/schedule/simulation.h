#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/schedule/coordinator.h"

namespace assay::schedule {

// Faults of a simulated cluster. Every draw depends on the seed and on what it is for, never on the
// order of events, so a seed gives one history.
struct Faults {
  std::uint64_t seed = 0;
  double crash = 0;   // probability that an attempt crashes midway
  double lost = 0;    // that its executor is taken away midway
  double method = 0;  // that a stage fails by its own fault, always
  double slow = 0;    // that an attempt takes `slow_factor` times as long
  double slow_factor = 10;
  double slot_life_s = 0;     // mean time until a slot is lost; 0: never
  double slot_return_s = 60;  // a lost slot joins again after this time
  double network_s = 0;       // delay of an action on its way to a slot
};

struct SimulationResult {
  Outcome outcome = Outcome::kAllDone;
  std::string message;
  double makespan_s = 0;
  double busy_s = 0;           // summed over slots
  std::vector<int> published;  // times that each stage was published: 0 or 1
  std::vector<int> started;    // attempts that really started
  std::size_t events = 0;
  std::vector<std::string> violations;  // of what must hold: empty
  std::string digest;                   // SHA-256 over all starts and settlements with their times
};

// Runs a plan in virtual time. `duration_s` says how long a stage takes when nothing goes wrong.
// Checks on the way that a slot runs one stage, inputs are published before, an exclusive stage is
// alone on its node, and nothing is published twice.
SimulationResult simulate(const plan::Plan& plan, const Options& options,
                          const std::vector<Known>& known, const std::vector<SlotOffer>& slots,
                          const std::function<double(const plan::Stage&)>& duration_s,
                          const Faults& faults = {});

}  // namespace assay::schedule
