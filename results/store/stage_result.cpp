#include "results/store/stage_result.h"

#include <cmath>

#include "harness/base/error.h"
#include "harness/contract/artifact_files.h"

namespace assay::results {

std::optional<Json> published_result(const std::string& text) {
  try {
    Json result = parse_json(text, "result of a stage");
    if (!published_digest(text).empty()) return result;
    const bool named = result.is_object() && result.contains("digest");
    if (named && result["digest"] != result_digest(result)) return std::nullopt;
    return result;
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::string digest_of(const Json& result) {
  const auto digest = result.find("digest");  // end() of what is no object
  return digest == result.end() || !digest->is_string() ? "" : digest->get<std::string>();
}

std::optional<double> figure(const Json& result, const std::string& name) {
  const auto metrics = result.find("metrics");  // end() of what is no object
  if (metrics == result.end() || !metrics->is_object()) return std::nullopt;
  const auto value = metrics->find(name);
  if (value == metrics->end() || !value->is_number()) return std::nullopt;
  const double number = value->get<double>();
  return std::isfinite(number) ? std::optional<double>(number) : std::nullopt;
}

}  // namespace assay::results
