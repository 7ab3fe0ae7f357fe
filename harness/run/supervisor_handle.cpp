#include "harness/run/supervisor_handle.h"

namespace assay::run {

void LocalSupervisor::start(std::size_t slot, const supervise::Assignment& assignment) {
  supervisor_.start(slot, assignment);
}

void LocalSupervisor::stop(const std::string& attempt, double grace_s) {
  supervisor_.stop(attempt, grace_s);
}

void LocalSupervisor::kill(const std::string& attempt) { supervisor_.kill(attempt); }

void LocalSupervisor::retract(const std::string& attempt) { supervisor_.retract(attempt); }

}  // namespace assay::run
