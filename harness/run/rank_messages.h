#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/run/supervisor_handle.h"
#include "harness/supervise/numerics.h"

// Messages between rank 0 and the other ranks: one JSON object each.
//
//   rank -> 0: hello {host, cpu_level, mkl_intel}  answered by welcome, wait or bye
//              ready {host, slots, share}       answered by commands or bye
//              reports {reports: [...]}         answered by commands or bye; empty: a heartbeat
//              signal {number, from_launcher}   a stop signal that this rank got; answered by any
//   0 -> rank: welcome {store, nonce, logs, run, providers, ...}
//              wait {}                          not ready yet: say hello again
//              commands {commands: [{do: start | stop | kill | retract, ...}]}
//              again {}                         you were given up: drop what runs, say hello again
//              bye {}
//
// Rank 0 holds its answer for up to a second while there is nothing to do.

namespace assay::run {

// Messages must be looked for. Seconds between two looks: a back-off between these costs an idle
// rank under 1 % of a core (measured), and wakes within twice the cap.
inline constexpr double kShortestWait = 50e-6;
inline constexpr double kLongestWait = 10e-3;

// What a rank needs to start its supervisor.
struct Welcome {
  std::filesystem::path store;
  std::string nonce;  // that the rank must find in the store
  std::filesystem::path logs;
  std::string run;
  std::map<std::string, std::vector<std::string>> providers;
  Json provider_files = Json::object();  // json_of() them
  Json environment = Json::object();
  double stall_timeout_s = 0;
  double stage_timeout_s = 0;
  int jobs = 0;  // slots of each rank; 0: as many as its share of the node allows
  int threads = 1;
  std::string device = "cpu";
  std::string cpu_level = "default";  // the class that executors are held to
  bool mkl_intel = false;
};

struct Command {
  enum class Kind { kStart, kStop, kKill, kRetract };
  Kind kind = Kind::kStart;
  std::size_t slot = 0;              // kStart
  supervise::Assignment assignment;  // kStart
  std::string attempt;               // others
  double grace_s = 0;                // kStop
};

Json to_json(const supervise::HostNumerics& host);  // hello
Json to_json(const Welcome& welcome);
Json to_json(const SupervisorOffer& offer);
Json to_json(const supervise::Report& report);
Json to_json(const Command& command);

// All throw Error(kData) naming the message and the field.
supervise::HostNumerics host_numerics_from(const Json& json);
Welcome welcome_from(const Json& json);
SupervisorOffer supervisor_offer_from(const Json& json);
supervise::Report report_from(const Json& json);
Command command_from(const Json& json);

}  // namespace assay::run
