#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "harness/base/json.h"
#include "harness/plan/plan.h"

// The protocol of a figure: everything that must agree before two figures may stand in one table
// (data digests, tokenizer, settings of the metric, limits, precision, revision of the evaluator).

namespace assay::results {

// What the plan knows of its metrics' protocols.
class Protocols {
 public:
  // `plan` must outlive this.
  explicit Protocols(const plan::Plan& plan);

  // {"metric", "split", "settings", "data", "tokenizer"?, "precision"?, "numerics"? (timings only),
  // "evaluator": {stage name: revision}}. Data and tokenizer stand in the recipe of the evaluating
  // stage, or where that has none (a merge of shards, an evaluation of a token file) in the recipes
  // behind it; the network's own stages are never looked at.
  Json planned(const plan::PlannedMetric& metric) const;

 private:
  const plan::Plan& plan_;
  std::unordered_map<std::string_view, std::size_t> index_of_;  // by key; look-ups only
};

struct Fingerprint {
  std::string digest;  // SHA-256 of canonical_json(fields)
  Json fields;
};

// Joins the planned protocol with the "fingerprint" member of the stage's result.
Fingerprint fingerprint_of(const Json& planned, const Json& result);

// The fields of a protocol one by one: "settings.context" -> "2048".
std::map<std::string, std::string> flattened(const Json& fields);

// Where two protocols differ: "settings.context: 2048 and 1024", sorted by name.
std::vector<std::string> protocol_differences(const Json& left, const Json& right);

}  // namespace assay::results
