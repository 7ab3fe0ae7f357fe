#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "results/store/reader.h"

namespace assay::results {

// A metric that two trials measured under one protocol.
struct MetricPair {
  ResultRow left;
  ResultRow right;
  std::string where = {};  // "fashion/test", with settings that tell it from others: "limit=64"
  // Those of its figures that both sides have, by the left's rows, and whose per-sample values are
  // declared alike; what boards show unasked first.
  std::vector<ResultRow> figures;
  std::map<std::string, std::vector<std::string>> left_out;  // why -> names of the other figures
};

// The metrics that two trials have in common, one a protocol, timings left out. A metric that both
// measured under different protocols alone is named in `left_out` with the fields that differ.
// Throws Error(kConfig) if nothing is in common. `protocol_of`: fields of a fingerprint.
std::vector<MetricPair> common_metrics(const std::vector<ResultRow>& left,
                                       const std::vector<ResultRow>& right,
                                       const std::function<Json(const std::string&)>& protocol_of,
                                       std::vector<std::string>& left_out);

// What to say of trials whose networks are quantized by protocols that no board would put into one
// table; "" if they would share one.
std::string quantization_note(const ResultRow& left, const ResultRow& right);

// That two trials of one model have read different weights; "" if they have not.
std::string weights_note(const ResultRow& left, const ResultRow& right);

}  // namespace assay::results
