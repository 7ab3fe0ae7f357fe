#include "harness/run/run_status.h"

#include <fmt/format.h>

#include <cmath>

#include "harness/base/error.h"
#include "harness/base/json_text.h"
#include "harness/supervise/host.h"
#include "harness/supervise/run_lock.h"

namespace assay::run {

// Found by argument-dependent look-up, so not in the unnamed namespace.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RunStatus::Slot, name, stage, since_unix_s, done, total, unit)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RunStatus::Failure, stage, key, kind, message, log)

namespace {

// One field list for writing and reading.
template <typename Status, typename Visit>
void visit_fields(Status& s, const Visit& visit) {
  visit("run", s.run);
  visit("state", s.state);
  visit("host", s.host);
  visit("pid", s.pid);
  visit("started_unix_s", s.started_unix_s);
  visit("updated_unix_s", s.updated_unix_s);
  visit("stages_total", s.stages_total);
  visit("stages_done", s.stages_done);
  visit("stages_reused", s.stages_reused);
  visit("stages_failed", s.stages_failed);
  visit("stages_blocked", s.stages_blocked);
  visit("trials_total", s.trials_total);
  visit("trials_done", s.trials_done);
  visit("trials_failed", s.trials_failed);
  visit("eta_s", s.eta_s);
  visit("exit_code", s.exit_code);
}

}  // namespace

Json to_json(const RunStatus& status) {
  Json json = Json::object();
  visit_fields(status, [&json](const char* name, const auto& value) { json[name] = value; });
  if (status.process) json["process"] = supervise::to_json(*status.process);
  json["slots"] = Json::array();
  for (const auto& slot : status.slots) json["slots"].push_back(Json(slot));
  json["failures"] = Json::array();
  for (const auto& failure : status.failures) json["failures"].push_back(Json(failure));
  return json;
}

RunStatus run_status_from(const Json& json) {
  RunStatus status;
  try {
    visit_fields(status, [&json](const char* name, auto& value) { json.at(name).get_to(value); });
    if (json.contains("process")) {
      status.process = supervise::process_identity_from(json.at("process"));
    }
    for (const Json& slot : json.at("slots")) status.slots.push_back(slot.get<RunStatus::Slot>());
    for (const Json& failure : json.at("failures")) {
      status.failures.push_back(failure.get<RunStatus::Failure>());
    }
  } catch (const Json::exception& e) {
    throw Error(ErrorKind::kData,
                fmt::format("status.json: {}; the next `assay run` replaces it", reason_of(e)));
  }
  return status;
}

RunLiveness liveness_of(const RunStatus& status, double now_unix_s) {
  if (status.state != "running" && status.state != "stopping") return RunLiveness::kEnded;
  supervise::Liveness process = supervise::Liveness::kElsewhere;
  if (status.process) {
    process = supervise::liveness_of(*status.process);
  } else if (status.host == supervise::host_name()) {
    process = supervise::process_start(static_cast<pid_t>(status.pid)) == 0
                  ? supervise::Liveness::kGone
                  : supervise::Liveness::kAlive;
  }
  if (process == supervise::Liveness::kAlive) return RunLiveness::kLive;
  if (process == supervise::Liveness::kGone) return RunLiveness::kGone;
  return now_unix_s - status.updated_unix_s > supervise::RunLock::kStaleSeconds
             ? RunLiveness::kSilent
             : RunLiveness::kLive;
}

std::string duration_text(double seconds) {
  if (!(seconds >= 0)) return "?";
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(std::min(seconds, 1e12)));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
  return fmt::format("{} d {} h", whole / 86400, whole / 3600 % 24);
}

}  // namespace assay::run
