#include "harness/plan/planner.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "harness/base/digest.h"
#include "harness/plan/evaluations.h"
#include "harness/plan/method_steps.h"
#include "harness/plan/stage_builder.h"
#include "harness/plan/trial_label.h"
#include "harness/spec/method_expression.h"

namespace assay::plan {
namespace {

constexpr const char* kMethodSplit = "train";
constexpr std::size_t kFirstTrials = 64;

class Planner {
 public:
  Planner(const spec::Sweep& sweep, const std::vector<Catalogue>& catalogues, InputDigests& digests,
          const PlanOptions& options)
      : sweep_(sweep),
        options_(options),
        joined_(joined(catalogues)),
        builder_(sweep, joined_, catalogues, digests, plan_),
        steps_(sweep, joined_, digests),
        labels_(sweep, steps_),
        evaluations_(sweep, joined_, steps_, builder_, options.limit),
        method_split_(builder_.split_id(kMethodSplit)) {}

  Plan make() {
    plan_.sweep = sweep_.name;
    plan_.trials.reserve(sweep_.trials.size());
    for (const spec::SkippedPair& pair : sweep_.skipped) {
      plan_.impossible.push_back({"", pair.model + " " + pair.method, pair.reason});
    }
    for (std::size_t i = 0; i < sweep_.trials.size(); ++i) {
      if (i == kFirstTrials) reserve_stages();
      if (options_.on_refusal) {
        try_trial(i);
      } else {
        add_trial(i);
      }
    }
    plan_.manifests = builder_.files().take_manifests();
    if (options_.on_note) {
      for (const std::string& note : builder_.files().notes()) options_.on_note(note);
    }
    return std::move(plan_);
  }

 private:
  // The first trials bring most of what is shared, so the others add fewer stages each. Growing by
  // doubling would hold all stages twice for a while.
  void reserve_stages() {
    builder_.reserve(plan_.stages.size() / kFirstTrials * sweep_.trials.size());
  }
  void add_trial(std::size_t index);
  void try_trial(std::size_t index);
  void add_methods(const spec::Trial& trial, Request& request, std::vector<std::size_t>& roots,
                   std::vector<std::size_t>& canaries);
  void add_metrics(const spec::Trial& trial, const Request& request, PlannedTrial& planned,
                   std::vector<std::size_t>& roots);
  static bool is_measured(const PlannedMetric& metric, const PlannedTrial& planned);
  std::size_t add_metric(std::size_t evaluation, Request request);
  void add_network_values(const spec::Trial& trial, PlannedTrial& planned);
  void check_precision(const std::vector<std::string>& offered, const std::string& what,
                       const spec::Model& model) const;
  int view_of(const Request& request, const std::string& preprocess) {
    return builder_.files().views().view(static_cast<std::size_t>(request.data), request.model,
                                         preprocess, *request.place);
  }
  void add_closure(const std::vector<std::size_t>& roots, PlannedTrial& planned);

  const spec::Sweep& sweep_;
  const PlanOptions& options_;
  Catalogue joined_;
  Plan plan_;
  StageBuilder builder_;
  MethodSteps steps_;
  TrialLabels labels_;
  Evaluations evaluations_;
  int method_split_;
  // (evaluation, shard 0, model, seeds) -> what joins the shards
  std::map<std::tuple<std::size_t, std::size_t, std::size_t, std::int64_t, std::int64_t>,
           std::size_t>
      merged_;
  std::vector<SharedText> shard_names_;     // "shard.0", ...
  std::vector<std::size_t> open_, closed_;  // of add_closure
  std::vector<std::uint32_t> seen_;  // by stage: the trial that saw it last, plus one
};

void Planner::add_trial(std::size_t index) {
  const spec::Trial& trial = sweep_.trials[index];
  const spec::Model& model = sweep_.models[trial.model];
  Request request;
  request.model = trial.model;
  request.data = trial.calibration_data;
  request.split = method_split_;
  request.bits = trial.bits;
  request.seed = trial.seed.value_or(0);
  request.calibration_seed = trial.calibration_seed.value_or(0);
  request.trial = options_.share ? -1 : static_cast<int>(index);
  request.place = &trial.place;

  PlannedTrial& planned = plan_.trials.emplace_back();
  planned.label = labels_.label(trial);
  planned.model = model.name;
  planned.family = model.family;
  planned.task = model.task;
  planned.method = spec::method_text(sweep_, trial);
  planned.bits = spec::bits_text(trial);
  planned.deterministic = !trial.seed && !trial.calibration_seed;
  planned.of_sweep = index;
  planned.points = trial.points;
  planned.chosen_text = labels_.chosen_text(trial);
  for (const spec::AblationTag& tag : trial.ablations) {
    planned.ablations.push_back({tag.ablation, tag.variant});
  }
  check_precision(joined_.find_family(model.family)->precisions,
                  fmt::format("networks of family '{}'", model.family), model);
  for (const std::uint32_t step : trial.steps) {
    const MethodDeclaration& method = *steps_[step].method;
    check_precision(method.precisions, fmt::format("method '{}'", method.name), model);
  }
  if (request.data >= 0) {
    request.view = view_of(request, evaluations_.calibration_preprocessing(trial));
  }
  std::vector<std::size_t> roots, canaries;
  add_methods(trial, request, roots, canaries);
  planned.network_stage = request.network;
  std::uint32_t content = 0;
  for (const std::size_t root : roots) {
    content = builder_.joined_content(content, builder_.content_of(root));
  }
  const std::size_t left_out = plan_.left_out.size();
  add_metrics(trial, request, planned, roots);
  for (const PlannedMetric& metric : planned.metrics) {
    const std::uint32_t read = builder_.content_of(metric.stage);
    content = builder_.joined_content(content, builder_.content_of_model(read));
  }
  planned.identity_text = spec::identity_text(sweep_, trial, builder_.content_text(content));
  planned.id = sha256(planned.identity_text).substr(0, spec::kIdDigits);
  for (std::size_t i = left_out; i < plan_.left_out.size(); ++i) {
    plan_.left_out[i].trial = planned.id;
  }
  add_network_values(trial, planned);
  // Not among the content: they decide nothing of the trial's figures.
  roots.insert(roots.end(), canaries.begin(), canaries.end());
  add_closure(roots, planned);
}

// As add_trial, but a trial that cannot be planned is left out. What it shares with others may
// stand in the plan already.
void Planner::try_trial(std::size_t index) {
  const std::size_t trials = plan_.trials.size();
  const std::size_t left_out = plan_.left_out.size();
  try {
    add_trial(index);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kConfig && error.kind() != ErrorKind::kData) throw;
    plan_.trials.resize(trials);
    plan_.left_out.resize(left_out);
    options_.on_refusal(error);
  }
}

// Refuses what cannot compute in the run's precision, before anything runs.
void Planner::check_precision(const std::vector<std::string>& offered, const std::string& what,
                              const spec::Model& model) const {
  const std::string& asked = sweep_.run.precision;
  if (offered.empty() || std::find(offered.begin(), offered.end(), asked) != offered.end()) return;
  spec::refuse(model.place,
               fmt::format("{}: run.precision {}; legal for model '{}': {}", what, asked,
                           model.name, fmt::join(offered, ", ")),
               asked);
}

// Stages of the methods, left to right; each takes the network of the one before it.
void Planner::add_methods(const spec::Trial& trial, Request& request,
                          std::vector<std::size_t>& roots, std::vector<std::size_t>& canaries) {
  for (const std::uint32_t step : trial.steps) {
    request.parameters = &steps_.parameters(step, trial);
    const MethodDeclaration& method = *steps_[step].method;
    if (!method.canary.empty()) canaries.push_back(builder_.stage(method.canary, request));
    int network = request.network;
    if (!method.network.empty()) {
      const std::size_t made = builder_.stage(method.network, request);
      Stage& stage = plan_.stages[made];
      if (!method.canary.empty() && stage.canary.empty()) {
        stage.canary = plan_.stages[canaries.back()].key;
      }
      roots.push_back(made);
      network = static_cast<int>(made);
    }
    for (const std::string& extra : method.extra_stages) {
      roots.push_back(builder_.stage(extra, request));
    }
    request.network = network;
  }
}

void Planner::add_metrics(const spec::Trial& trial, const Request& method_request,
                          PlannedTrial& planned, std::vector<std::size_t>& roots) {
  const std::vector<std::string>& reasons = evaluations_.mismatches(trial);
  for (std::size_t i = 0; i < evaluations_.size(); ++i) {
    const PreparedEvaluation& prepared = evaluations_[i];
    if (!reasons[i].empty()) {
      plan_.left_out.push_back({"", prepared.evaluation->metric, reasons[i]});
      continue;
    }
    Request request = method_request;
    request.parameters = &prepared.set;
    request.data = spec::data_of(sweep_, trial, *prepared.evaluation);
    request.split = prepared.split;
    request.evaluation = static_cast<int>(i);
    request.place = &prepared.evaluation->place;
    request.view = request.data < 0 ? -1 : view_of(request, prepared.preprocess);
    PlannedMetric metric{.metric = prepared.evaluation->metric,
                         .split = prepared.evaluation->split,
                         .values = prepared.values,
                         .protocol = evaluations_.protocol(prepared, request)};
    if (request.data >= 0) metric.data = sweep_.data[static_cast<std::size_t>(request.data)].name;
    if (is_measured(metric, planned)) continue;
    metric.stage = add_metric(i, request);
    roots.push_back(metric.stage);
    planned.metrics.push_back(std::move(metric));
  }
}

// Whether an earlier entry measures the same: another number of shards gives the same figures.
bool Planner::is_measured(const PlannedMetric& metric, const PlannedTrial& planned) {
  return std::any_of(planned.metrics.begin(), planned.metrics.end(), [&](const auto& other) {
    return other.metric == metric.metric && other.data == metric.data &&
           other.split == metric.split && *other.protocol == *metric.protocol;
  });
}

// What the last method that makes a network tells of it.
void Planner::add_network_values(const spec::Trial& trial, PlannedTrial& planned) {
  for (auto step = trial.steps.rbegin(); step != trial.steps.rend(); ++step) {
    if (steps_[*step].method->network.empty()) continue;
    if (steps_[*step].network_values->empty()) return;
    PlannedMetric& metric = planned.metrics.emplace_back();
    metric.metric = kNetworkMetric;
    metric.values = steps_[*step].network_values;
    metric.protocol = Json::object();
    metric.stage = static_cast<std::size_t>(planned.network_stage);
    return;
  }
}

std::size_t Planner::add_metric(std::size_t evaluation, Request request) {
  const PreparedEvaluation& prepared = evaluations_[evaluation];
  Request part = request;
  part.shards = prepared.shards;
  part.shard = 0;
  const std::size_t first = builder_.stage(prepared.metric->stage, part);
  if (prepared.metric->merge.empty()) return first;
  const auto key =
      std::make_tuple(evaluation, first, request.model, request.seed, request.calibration_seed);
  const auto found = merged_.find(key);
  if (found != merged_.end()) return found->second;
  StageBuilder::Inputs shards;
  for (int shard = 0; shard < prepared.shards; ++shard) {
    const auto number = static_cast<std::size_t>(shard);
    if (number == shard_names_.size()) shard_names_.push_back(fmt::format("shard.{}", shard));
    shards.emplace_back(shard_names_[number],
                        shard == 0 ? first : builder_.other_shard(first, shard, prepared.shards));
  }
  const std::size_t merged = builder_.stage(prepared.metric->merge, request, shards);
  merged_.emplace(key, merged);
  return merged;
}

void Planner::add_closure(const std::vector<std::size_t>& roots, PlannedTrial& planned) {
  const auto mark = static_cast<std::uint32_t>(plan_.trials.size());
  seen_.resize(plan_.stages.size(), 0);
  closed_.clear();
  open_ = roots;
  while (!open_.empty()) {
    const std::size_t stage = open_.back();
    open_.pop_back();
    if (seen_[stage] == mark) continue;
    seen_[stage] = mark;
    closed_.push_back(stage);
    for (const std::uint32_t below : builder_.below(stage)) open_.push_back(below);
  }
  std::sort(closed_.begin(), closed_.end());
  planned.stages.assign(closed_.begin(), closed_.end());
}

}  // namespace

Plan make_plan(const spec::Sweep& sweep, const std::vector<Catalogue>& catalogues,
               InputDigests& digests, const PlanOptions& options) {
  return Planner(sweep, catalogues, digests, options).make();
}

Plan make_plan(const spec::Sweep& sweep, const Catalogue& catalogue, InputDigests& digests,
               const PlanOptions& options) {
  return make_plan(sweep, std::vector<Catalogue>{catalogue}, digests, options);
}

}  // namespace assay::plan
