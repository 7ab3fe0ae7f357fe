#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/plan/plan.h"
#include "harness/record/sink.h"

namespace SQLite {
class Database;
}

namespace assay::results {

// A metric of a trial that waits for the result of a stage.
struct Awaited {
  std::string trial;
  std::string metric;
  std::string data;
  std::string split;
  std::string settings;
  std::vector<std::string> names = {};
  Json protocol;  // planned part of its fingerprint
};

// By stage key.
using AwaitedMetrics = std::map<std::string, std::vector<Awaited>>;

// Writes sweep, stages, trials, their links and the metrics to come; inside the caller's
// transaction. Returns the id of the new row of `sweep`. Writing the same plan again changes
// nothing but that row.
std::int64_t register_plan(SQLite::Database& database, const plan::Plan& plan,
                           const record::RunStart& start);

AwaitedMetrics awaited_metrics(const plan::Plan& plan);

}  // namespace assay::results
