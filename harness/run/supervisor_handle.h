#pragma once

#include <string>
#include <vector>

#include "harness/contract/catalogue.h"
#include "harness/supervise/supervisor.h"

namespace assay::run {

// A supervisor as the conductor sees it: in this process, or in another rank.
class SupervisorHandle {
 public:
  virtual ~SupervisorHandle() = default;
  virtual void start(std::size_t slot, const supervise::Assignment& assignment) = 0;
  virtual void stop(const std::string& attempt, double grace_s) = 0;
  virtual void kill(const std::string& attempt) = 0;
  // Takes a stage back unless it has started: ends as kFailed with kLost and no kStarted (or as
  // whatever has ended it just before).
  virtual void retract(const std::string& attempt) = 0;
};

// What a supervisor offers.
struct SupervisorOffer {
  std::string host;
  std::vector<std::string> slots;  // names
  Resources share;                 // of each slot
};

// The supervisor of this process.
class LocalSupervisor : public SupervisorHandle {
 public:
  explicit LocalSupervisor(supervise::Supervisor& supervisor) : supervisor_(supervisor) {}
  void start(std::size_t slot, const supervise::Assignment& assignment) override;
  void stop(const std::string& attempt, double grace_s) override;
  void kill(const std::string& attempt) override;
  void retract(const std::string& attempt) override;

 private:
  supervise::Supervisor& supervisor_;
};

}  // namespace assay::run
