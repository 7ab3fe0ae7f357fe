#include "harness/run/site.h"

namespace assay::run {

void LocalSite::start(std::size_t slot, const supervise::Assignment& assignment) {
  supervisor_.start(slot, assignment);
}

void LocalSite::stop(const std::string& attempt, double grace_s) {
  supervisor_.stop(attempt, grace_s);
}

void LocalSite::kill(const std::string& attempt) { supervisor_.kill(attempt); }

void LocalSite::retract(const std::string& attempt) {
  if (!started_.contains(attempt)) supervisor_.stop(attempt, 0);
}

void LocalSite::note(const supervise::Report& report) {
  switch (report.kind) {
    case supervise::ReportKind::kStarted:
      started_.insert(report.attempt);
      break;
    case supervise::ReportKind::kPublished:
    case supervise::ReportKind::kFailed:
    case supervise::ReportKind::kFound:
    case supervise::ReportKind::kTaken:
      started_.erase(report.attempt);
      break;
    default:
      break;
  }
}

}  // namespace assay::run
