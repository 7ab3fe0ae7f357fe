#include "harness/run/site.h"

namespace assay::run {

void LocalSite::start(std::size_t slot, const supervise::Assignment& assignment) {
  supervisor_.start(slot, assignment);
}

void LocalSite::stop(const std::string& attempt, double grace_s) {
  supervisor_.stop(attempt, grace_s);
}

void LocalSite::kill(const std::string& attempt) { supervisor_.kill(attempt); }

void LocalSite::retract(const std::string& attempt) { supervisor_.retract(attempt); }

}  // namespace assay::run
