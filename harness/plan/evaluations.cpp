#include "harness/plan/evaluations.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "harness/spec/method_expression.h"

namespace assay::plan {
namespace {

constexpr const char* kLimit = "limit";

int shard_count(const spec::Evaluation& evaluation, const MetricDeclaration& metric,
                const Json& value) {
  constexpr std::int64_t kMaxShards = 100'000;
  const std::int64_t shards = value.is_number_integer() ? value.get<std::int64_t>() : 0;
  if (shards < 1 || shards > kMaxShards || (shards > 1 && metric.merge.empty())) {
    spec::refuse(
        evaluation.place,
        fmt::format("metric '{}': {} = {}; expected {}", evaluation.metric, metric.shards_parameter,
                    value.dump(),
                    metric.merge.empty() ? "1, for nothing joins its shards"
                                         : fmt::format("an integer from 1 to {}", kMaxShards)));
  }
  return static_cast<int>(shards);
}

}  // namespace

Evaluations::Evaluations(const spec::Sweep& sweep, const Catalogue& catalogue,
                         const MethodSteps& steps, StageBuilder& builder,
                         const std::optional<std::int64_t>& limit)
    : sweep_(sweep), catalogue_(catalogue), steps_(steps), builder_(builder) {
  prepared_.reserve(sweep.evaluations.size());  // sets point into the elements
  for (const spec::Evaluation& evaluation : sweep.evaluations) {
    PreparedEvaluation& added = prepared_.emplace_back(prepare(evaluation, limit));
    // Past the numbers of steps.
    added.set = {sweep.steps.size() + prepared_.size() - 1, &added.parameters,
                 fmt::format("metric '{}'", evaluation.metric)};
  }
}

PreparedEvaluation Evaluations::prepare(const spec::Evaluation& evaluation,
                                        const std::optional<std::int64_t>& limit) const {
  const MetricDeclaration& metric = *catalogue_.find_metric(evaluation.metric);
  PreparedEvaluation result{.evaluation = &evaluation,
                            .metric = &metric,
                            .parameters = evaluation.parameters,
                            .values = metric.values,
                            .split = builder_.split_id(evaluation.split)};
  const Json preprocess = result.parameters.value(kPreprocess, Json());
  if (preprocess.is_string()) result.preprocess = preprocess.get<std::string>();
  if (limit && result.parameters.value(kLimit, Json()).is_number_integer()) {
    const auto own = result.parameters[kLimit].get<std::int64_t>();
    result.parameters[kLimit] = own > 0 ? std::min(own, *limit) : *limit;
  }
  if (!metric.shards_parameter.empty()) {
    result.shards = shard_count(evaluation, metric, result.parameters.at(metric.shards_parameter));
  }
  return result;
}

const std::vector<std::string>& Evaluations::mismatches(const spec::Trial& trial) {
  std::vector<const MethodDeclaration*> methods;
  for (const std::uint32_t step : trial.steps) methods.push_back(steps_[step].method);
  const auto key = std::make_pair(trial.model, std::move(methods));
  const auto found = mismatches_.find(key);
  if (found != mismatches_.end()) return found->second;
  std::vector<std::string> reasons;
  for (const PreparedEvaluation& each : prepared_) {
    reasons.push_back(spec::mismatch(sweep_, trial, *each.evaluation, catalogue_));
  }
  return mismatches_.emplace(key, std::move(reasons)).first->second;
}

std::string Evaluations::calibration_preprocessing(const spec::Trial& trial) {
  const auto data = static_cast<std::size_t>(trial.calibration_data);
  const std::vector<std::string>& reasons = mismatches(trial);
  DataViews& views = builder_.files().views();
  std::map<int, const PreparedEvaluation*> same;  // by view of the data set
  std::map<std::string, const PreparedEvaluation*> other;
  for (std::size_t i = 0; i < prepared_.size(); ++i) {
    const PreparedEvaluation& each = prepared_[i];
    if (!reasons[i].empty() || !each.parameters.contains(kPreprocess)) continue;
    if (spec::data_of(sweep_, trial, *each.evaluation) == trial.calibration_data) {
      same.emplace(views.view(data, trial.model, each.preprocess, each.evaluation->place), &each);
    } else if (each.preprocess != kPreprocessAuto && views.prepares(data) &&
               !views.states_preprocessing(data)) {
      other.emplace(each.preprocess, &each);
    }
  }
  const auto refuse = [&](const PreparedEvaluation& a, const PreparedEvaluation& b) {
    spec::refuse(b.evaluation->place,
                 fmt::format("the calibration images of model '{}' (data '{}') are prepared as "
                             "those that its metrics read, but one metric says preprocess '{}' and "
                             "another '{}'; measure them in two sweeps",
                             sweep_.models[trial.model].name, sweep_.data[data].name, a.preprocess,
                             b.preprocess),
                 b.preprocess);
  };
  if (same.size() > 1) refuse(*same.begin()->second, *std::next(same.begin())->second);
  if (!same.empty()) return same.begin()->second->preprocess;
  if (other.size() > 1) refuse(*other.begin()->second, *std::next(other.begin())->second);
  return other.empty() ? kPreprocessAuto : other.begin()->first;
}

const Shared<Json>& Evaluations::protocol(const PreparedEvaluation& prepared,
                                          const Request& request) {
  const auto key = std::make_pair(prepared.set.id, request.view);
  const auto found = protocols_.find(key);
  if (found != protocols_.end()) return found->second;
  Json protocol = prepared.parameters;
  if (!prepared.metric->shards_parameter.empty()) {
    protocol.erase(prepared.metric->shards_parameter);
  }
  protocol["split"] = prepared.evaluation->split;
  const bool reads_data = request.data >= 0 && spec::reach_of(catalogue_, *prepared.metric).data;
  if (reads_data) {
    const RecipePart& part = builder_.files().data(request.view, prepared.evaluation->split);
    protocol["data"] = part.id;
    if (!part.passed_over.empty()) protocol["passed_over"] = part.passed_over;
    if (protocol.contains(kPreprocess)) {
      protocol[kPreprocess] =
          shown_preprocessing(builder_.files().views()[request.view].preprocess);
    }
  }
  return protocols_.emplace(key, std::move(protocol)).first->second;
}

}  // namespace assay::plan
