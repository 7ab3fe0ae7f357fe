#include "results/store/fingerprint.h"

#include <map>
#include <set>

#include "harness/base/digest.h"
#include "harness/base/error.h"
#include "harness/contract/network_chain.h"

namespace assay::results {
namespace {

// Walks from an evaluating stage to where its data stand.
class ProtocolWalk {
 public:
  using Index = std::unordered_map<std::string_view, std::size_t>;
  ProtocolWalk(const plan::Plan& plan, const Index& index_of) : plan_(plan), index_of_(index_of) {}

  void visit(std::size_t index) {
    const plan::Stage& stage = plan_.stages[index];
    if (!seen_.insert(index).second) return;
    const Json recipe = stage.recipe_json();
    if (seen_.size() == 1) numerics_ = recipe.value("numerics", Json::object());
    Json& evaluator = evaluators_[stage.name.str()] = recipe.value("revision", Json(1));
    // Another version of a provider measures in another way, as another revision does.
    if (recipe.contains("provider"))
      evaluator = {{"revision", evaluator}, {"provider", recipe["provider"]}};
    if (recipe.contains("tokenizer")) add(tokenizers_, recipe["tokenizer"]);
    if (recipe.contains("data")) {
      add(data_, recipe["data"]);
      return;
    }
    for (const plan::StageInput& input : stage.inputs) {
      const auto found = index_of_.find(input.key);
      if (!is_network_input(input.name) && found != index_of_.end()) visit(found->second);
    }
  }

  // Of the stage that the walk began with.
  const Json& numerics() const { return numerics_; }

  Json fields() const {
    Json json = Json::object();
    json["evaluator"] = evaluators_;
    json["data"] = joined(data_);
    if (!tokenizers_.empty()) json["tokenizer"] = joined(tokenizers_);
    return json;
  }

 private:
  static void add(std::map<std::string, Json>& into, const Json& value) {
    into.emplace(canonical_json(value), value);
  }

  static Json joined(const std::map<std::string, Json>& values) {
    if (values.size() == 1) return values.begin()->second;
    Json list = Json::array();
    for (const auto& [text, value] : values) list.push_back(value);
    return list;
  }

  const plan::Plan& plan_;
  const Index& index_of_;
  std::set<std::size_t> seen_;
  Json numerics_;
  Json evaluators_ = Json::object();
  std::map<std::string, Json> data_;
  std::map<std::string, Json> tokenizers_;
};

void flatten(const Json& value, const std::string& name, std::map<std::string, std::string>& out) {
  if (value.is_object() && !value.empty()) {
    for (const auto& [member, inner] : value.items()) {
      flatten(inner, name.empty() ? member : name + "." + member, out);
    }
    return;
  }
  out[name] = value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

Protocols::Protocols(const plan::Plan& plan) : plan_(plan) {
  for (std::size_t i = 0; i < plan.stages.size(); ++i) index_of_.emplace(plan.stages[i].key, i);
}

Json Protocols::planned(const plan::PlannedMetric& metric) const {
  // What a method tells of its network is counted, not measured on data.
  if (metric.metric == kNetworkMetric) return {{"metric", kNetworkMetric}};
  ProtocolWalk walk(plan_, index_of_);
  walk.visit(metric.stage);
  Json fields = walk.fields();
  fields["metric"] = metric.metric;
  fields["split"] = metric.split;
  fields["settings"] = metric.protocol->is_null() ? Json::object() : *metric.protocol;
  const plan::Stage& stage = plan_.stages[metric.stage];
  const Json& numerics = walk.numerics();
  // A timing means nothing without the device; accuracy only depends on the precision.
  if (stage.cache == CachePolicy::kRun) {
    fields["numerics"] = numerics;
  } else if (numerics.contains("precision")) {
    fields["precision"] = numerics["precision"];
  }
  return fields;
}

Fingerprint fingerprint_of(const Json& planned, const Json& result) {
  Json fields = planned;
  Json measured = result.is_object() ? result.value("fingerprint", Json::object()) : Json::object();
  // What the stage reports is what was in effect: 0 of the sweep may stand for a number.
  const auto settings = fields.find("settings");
  if (measured.is_object() && settings != fields.end() && settings->is_object()) {
    for (const auto& item : measured.items()) settings->erase(item.key());
  }
  fields["measured"] = std::move(measured);
  std::string text;
  try {
    text = canonical_json(fields);
  } catch (const Error&) {
    text = fields.dump();  // an integer beyond 2^53 from a provider; members are sorted here too
  }
  return {sha256(text), std::move(fields)};
}

std::map<std::string, std::string> flattened(const Json& fields) {
  std::map<std::string, std::string> flat;
  flatten(fields, "", flat);
  return flat;
}

std::vector<std::string> protocol_differences(const Json& left, const Json& right) {
  const std::map<std::string, std::string> a = flattened(left), b = flattened(right);
  std::map<std::string, std::string> names = a;
  names.insert(b.begin(), b.end());
  std::vector<std::string> differences;
  for (const auto& [name, unused] : names) {
    const auto x = a.find(name), y = b.find(name);
    const std::string of_a = x == a.end() ? "(absent)" : x->second;
    const std::string of_b = y == b.end() ? "(absent)" : y->second;
    if (of_a != of_b) differences.push_back(name + ": " + of_a + " and " + of_b);
  }
  return differences;
}

}  // namespace assay::results
