#include "results/board/contents.h"

#include <fmt/format.h>

#include "harness/base/digest.h"

namespace assay::results {
namespace {

// {"weights", "tokenizer", "code.<provider>", "revision.<stage>", ...}: text to text.
const Json& content_of(const ResultRow& row) {
  static const Json kNone = Json::object();
  const auto found = row.identity.find("content");  // end() of what is no object
  return found == row.identity.end() || !found->is_object() ? kNone : *found;
}

bool is_version(const std::string& name) {
  return name.starts_with("code.") || name.starts_with("revision.");
}

std::string weights_of(const ResultRow& row) {
  const Json& content = content_of(row);
  const auto weights = content.find("weights");
  return weights == content.end() || !weights->is_string() ? "" : weights->get<std::string>();
}

}  // namespace

void Contents::note(const ResultRow& row) {
  weights_[row.model].insert(weights_of(row));
  for (const auto& item : content_of(row).items()) {
    if (is_version(item.key())) versions_[row.method][item.key()].insert(item.value().dump());
  }
}

std::string Contents::model_name(const ResultRow& row) const {
  const std::string weights = weights_of(row);
  if (weights_.at(row.model).size() < 2) return row.model;
  if (weights.empty()) return row.model + " (no weights)";
  return fmt::format("{} (weights {})", row.model, weights.substr(0, 8));
}

std::string Contents::method_name(const ResultRow& row) const {
  const auto versions = versions_.find(row.method);
  if (versions == versions_.end()) return row.method;
  std::string code;
  for (const auto& item : content_of(row).items()) {
    const auto known = versions->second.find(item.key());
    if (known != versions->second.end() && known->second.size() > 1)
      code += item.key() + item.value().dump();
  }
  return code.empty() ? row.method
                      : fmt::format("{} (code {})", row.method, sha256(code).substr(0, 8));
}

}  // namespace assay::results
