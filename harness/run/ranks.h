#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "harness/run/conductor.h"
#include "harness/run/rank_messages.h"
#include "harness/run/stop_signals.h"
#include "harness/schedule/transport.h"

namespace assay::run {

// The other ranks as rank 0 sees them: supervisors of the conductor whose commands wait for the
// rank's next request. It only ever answers. A rank that was given up and speaks again (its machine
// slept, its disk hung) is taken back as if it were new. One thread.
class Ranks {
 public:
  explicit Ranks(schedule::Transport& transport);
  ~Ranks();

  // The hosts of the ranks, each as it says hello; waits for those that have not, at most
  // `patience_s` and while `go_on` says so.
  std::vector<supervise::HostNumerics> hosts(double patience_s, const std::function<bool()>& go_on);

  // What ranks are told when they say hello; before, they are told to wait.
  void welcome(const Welcome& welcome, Conductor& conductor);

  // Takes in what has arrived. True if there was something.
  bool pump(double now);
  // Answers those for whom there are commands, or who have waited for a second; gives up ranks that
  // were silent for kSilentSeconds.
  void answer(double now);

  // Stop signals that other ranks got, once each.
  std::vector<StopSignal> signals();

  // Dismisses every rank: answers with bye for up to `patience_s`. False if one is missing. One
  // that was given up is not waited for, but dismissed if it speaks.
  bool dismiss(double patience_s);
  bool all_alive() const;

  static constexpr double kHoldSeconds = 1;
  static constexpr double kSilentSeconds = 60;

 private:
  class Rank;
  void take(int from, const std::string& text, double now);
  void answer(Rank& rank, double now);
  void reply(Rank& rank, const Json& message);

  schedule::Transport& transport_;
  Conductor* conductor_ = nullptr;
  Json welcome_;
  std::map<int, std::unique_ptr<Rank>> ranks_;
  std::vector<StopSignal> signals_;
};

}  // namespace assay::run
