#include "harness/plan/planner.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <tuple>

#include "harness/base/digest.h"
#include "harness/contract/network_chain.h"
#include "harness/formats/image_preprocessing.h"
#include "harness/plan/network_context.h"
#include "harness/plan/stage_builder.h"
#include "harness/spec/method_expression.h"

namespace assay::plan {
namespace {

constexpr const char* kMethodSplit = "train";
constexpr const char* kLimit = "limit";
constexpr const char* kContext = "context";
constexpr const char* kPreprocess = "preprocess";
constexpr std::size_t kFirstTrials = 64;

// An evaluation with what follows from it alone.
struct PreparedEvaluation {
  const spec::Evaluation* evaluation = nullptr;
  const MetricDeclaration* metric = nullptr;
  Json parameters;
  ParameterSet set;
  Shared<std::vector<MetricValue>> values;
  std::string preprocess = kPreprocessAuto;
  int shards = 1;
  int split = 0;
};

class Planner {
 public:
  Planner(const spec::Sweep& sweep, const std::vector<Catalogue>& catalogues, InputDigests& digests,
          const PlanOptions& options)
      : sweep_(sweep),
        options_(options),
        joined_(joined(catalogues)),
        digests_(digests),
        builder_(sweep, joined_, catalogues, digests, plan_) {}

  Plan make() {
    plan_.sweep = sweep_.name;
    plan_.trials.reserve(sweep_.trials.size());
    for (const spec::SkippedPair& pair : sweep_.skipped) {
      plan_.impossible.push_back({"", pair.model + " " + pair.method, pair.reason});
    }
    prepare_steps();
    prepare_evaluations();
    method_split_ = builder_.split_id(kMethodSplit);
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
  void prepare_steps();
  void prepare_evaluations();
  const ParameterSet& set_of(std::uint32_t step, const spec::Trial& trial);
  void add_trial(std::size_t index);
  void try_trial(std::size_t index);
  void add_methods(const spec::Trial& trial, Request& request, std::vector<std::size_t>& roots,
                   std::vector<std::size_t>& canaries);
  void add_metrics(const spec::Trial& trial, const Request& request, PlannedTrial& planned,
                   std::vector<std::size_t>& roots);
  static bool is_measured(const PlannedMetric& metric, const PlannedTrial& planned);
  std::size_t add_metric(std::size_t evaluation, Request request);
  void add_network_values(const spec::Trial& trial, PlannedTrial& planned);
  std::string calibration_preprocessing(const spec::Trial& trial);
  const Shared<Json>& protocol_of(const PreparedEvaluation& prepared, const Request& request);
  const std::vector<std::string>& mismatches_of(const spec::Trial& trial);
  void check_precision(const std::vector<std::string>& offered, const std::string& what,
                       const spec::Model& model) const;
  std::string label_of(const spec::Trial& trial) const;
  std::string chosen_of(const spec::Trial& trial) const;
  std::vector<std::pair<std::string, Json>> chosen_in(const spec::Trial& trial) const;
  const std::string& data_name(const spec::Trial& trial) const {
    return sweep_.data[static_cast<std::size_t>(trial.calibration_data)].name;
  }
  int view_of(const Request& request, const std::string& preprocess) {
    return builder_.files().views().view(static_cast<std::size_t>(request.data), request.model,
                                         preprocess, *request.place);
  }
  bool reads_other_data(const spec::Trial& trial) const;
  void add_closure(const std::vector<std::size_t>& roots, PlannedTrial& planned);

  const spec::Sweep& sweep_;
  const PlanOptions& options_;
  Catalogue joined_;
  InputDigests& digests_;
  Plan plan_;
  std::set<std::size_t> guarded_;  // stages that wait for a canary
  StageBuilder builder_;
  int method_split_ = 0;
  std::vector<const MethodDeclaration*> methods_;  // by step
  std::vector<Json> step_values_;                  // by step: its parameters; defaults of the rest
  std::vector<ParameterSet> step_sets_;            // by step
  // Parameters of a step in which `context` is the number for a model.
  struct ResolvedStep {
    Json parameters;
    ParameterSet set;
  };
  std::map<std::pair<std::uint32_t, std::size_t>, ResolvedStep> resolved_;  // (step, model)
  std::vector<Shared<std::vector<MetricValue>>> step_network_;  // by step: values of its network
  std::vector<bool> step_draws_;  // by step: it rests on calibration windows
  // By step: parameters off their defaults, in the order of the method.
  std::vector<std::vector<std::pair<std::string, Json>>> step_chosen_;
  std::vector<std::string> step_labels_, step_chosen_texts_;  // by step: of a trial of it alone
  std::vector<PreparedEvaluation> evaluations_;
  std::map<std::pair<std::uint32_t, std::vector<const MethodDeclaration*>>,
           std::vector<std::string>>
      mismatches_;
  // (evaluation, shard 0, model, seeds) -> what joins the shards
  std::map<std::tuple<std::size_t, std::size_t, std::size_t, std::int64_t, std::int64_t>,
           std::size_t>
      merged_;
  std::map<std::pair<std::size_t, int>, Shared<Json>> protocols_;  // by evaluation and view
  std::vector<SharedText> shard_names_;                            // "shard.0", ...
  std::vector<std::size_t> open_, closed_;                         // of add_closure
  std::vector<std::uint32_t> seen_;  // by stage: the trial that saw it last, plus one
};

std::string shown(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.is_number_float() ? canonical_json(value) : value.dump();
}

std::string label_text(const std::vector<std::pair<std::string, Json>>& chosen) {
  std::string text;
  for (const auto& [name, value] : chosen) text += fmt::format(" {}={}", name, shown(value));
  return text;
}

Json object_of(const std::vector<std::pair<std::string, Json>>& chosen) {
  Json object = Json::object();
  for (const auto& [name, value] : chosen) object[name] = value;
  return object;
}

void Planner::prepare_steps() {
  std::map<std::string_view, Json> defaults;  // of each method, checked
  step_values_.reserve(sweep_.steps.size());  // sets point into the elements
  step_sets_.reserve(sweep_.steps.size());
  for (std::size_t i = 0; i < sweep_.steps.size(); ++i) {
    const spec::MethodStep& step = sweep_.steps[i];
    const MethodDeclaration& method = *joined_.find_method(step.method);
    methods_.push_back(&method);
    Json& values = step_values_.emplace_back(step.parameters);
    step_sets_.push_back({i, &values, fmt::format("method '{}'", step.method)});
    step_network_.emplace_back(method.values);
    step_draws_.push_back(draws_windows(joined_, method.network));
    const auto [known, fresh] = defaults.try_emplace(method.name, Json::object());
    auto& chosen = step_chosen_.emplace_back();
    for (const ParameterSchema& schema : method.parameters) {
      if (fresh && !schema.default_value.is_null()) {
        known->second[schema.name] = checked_value(schema, schema.default_value);
      }
      const auto value = step.parameters.find(schema.name);
      const auto usual = known->second.find(schema.name);
      if (value == step.parameters.end()) {  // not read by the step's trials
        if (usual != known->second.end()) values[schema.name] = *usual;
        continue;
      }
      if (usual != known->second.end() && *usual == *value) continue;
      chosen.emplace_back(schema.name, *value);
    }
    step_labels_.push_back(label_text(chosen));
    step_chosen_texts_.push_back(canonical_json(object_of(chosen)));
  }
}

void Planner::prepare_evaluations() {
  evaluations_.reserve(sweep_.evaluations.size());  // sets point into the elements
  for (const spec::Evaluation& evaluation : sweep_.evaluations) {
    PreparedEvaluation& prepared = evaluations_.emplace_back();
    prepared.evaluation = &evaluation;
    prepared.metric = joined_.find_metric(evaluation.metric);
    prepared.parameters = evaluation.parameters;
    prepared.values = prepared.metric->values;
    const Json preprocess = prepared.parameters.value(kPreprocess, Json());
    prepared.preprocess = preprocess.is_string() ? preprocess.get<std::string>() : kPreprocessAuto;
    if (options_.limit && prepared.parameters.value(kLimit, Json()).is_number_integer()) {
      const auto own = prepared.parameters[kLimit].get<std::int64_t>();
      prepared.parameters[kLimit] = own > 0 ? std::min(own, *options_.limit) : *options_.limit;
    }
    prepared.set = {sweep_.steps.size() + evaluations_.size(), &prepared.parameters,
                    fmt::format("metric '{}'", evaluation.metric)};
    prepared.split = builder_.split_id(evaluation.split);
    const std::string& parameter = prepared.metric->shards_parameter;
    if (parameter.empty()) continue;
    const Json& value = prepared.parameters.at(parameter);
    constexpr std::int64_t kMaxShards = 100'000;
    const std::int64_t shards = value.is_number_integer() ? value.get<std::int64_t>() : 0;
    if (shards < 1 || shards > kMaxShards || (shards > 1 && prepared.metric->merge.empty())) {
      spec::refuse(evaluation.place,
                   fmt::format("metric '{}': {} = {}; expected {}", evaluation.metric, parameter,
                               value.dump(),
                               prepared.metric->merge.empty()
                                   ? "1, for nothing joins its shards"
                                   : fmt::format("an integer from 1 to {}", kMaxShards)));
    }
    prepared.shards = static_cast<int>(shards);
  }
}

// The step's parameters for the trial's model: where calibration windows are drawn, a `context` of
// 0 is the network's own, and stands as its number, so that a key names what was drawn.
const ParameterSet& Planner::set_of(std::uint32_t step, const spec::Trial& trial) {
  const ParameterSet& own = step_sets_[step];
  const Json& read = sweep_.steps[step].parameters;
  const auto context = read.find(kContext);
  if (context == read.end() || !context->is_number_integer()) return own;
  if (!step_draws_[step]) return own;
  const auto [entry, fresh] = resolved_.try_emplace({step, trial.model});
  ResolvedStep& resolved = entry->second;
  if (fresh) {
    const spec::Model& model = sweep_.models[trial.model];
    resolved.parameters = *own.values;
    resolved.parameters[kContext] =
        calibration_context(context->get<std::int64_t>(), network_context(model, joined_, digests_),
                            model, methods_[step]->name);
    resolved.set = {sweep_.steps.size() + evaluations_.size() + resolved_.size(),
                    &resolved.parameters, own.owner};
  }
  return resolved.set;
}

void Planner::add_trial(std::size_t index) {
  const spec::Trial& trial = sweep_.trials[index];
  const spec::Model& model = sweep_.models[trial.model];
  Request request;
  request.model = trial.model;
  request.data = trial.calibration_data;
  request.split = method_split_;
  request.weight_bits = trial.weight_bits;
  request.activation_bits = trial.activation_bits;
  request.seed = trial.seed.value_or(0);
  request.calibration_seed = trial.calibration_seed.value_or(0);
  request.trial = options_.share ? -1 : static_cast<int>(index);
  request.place = &trial.place;

  PlannedTrial& planned = plan_.trials.emplace_back();
  planned.label = label_of(trial);
  planned.model = model.name;
  planned.family = model.family;
  planned.task = model.task;
  planned.method = spec::method_text(sweep_, trial);
  planned.bits = spec::bits_text(trial);
  planned.deterministic = !trial.seed && !trial.calibration_seed;
  planned.of_sweep = index;
  planned.points = trial.points;
  planned.chosen_text = chosen_of(trial);
  for (const spec::AblationTag& tag : trial.ablations) {
    planned.ablations.push_back({tag.ablation, tag.variant});
  }
  check_precision(joined_.find_family(model.family)->precisions,
                  fmt::format("networks of family '{}'", model.family), model);
  for (const std::uint32_t step : trial.steps) {
    check_precision(methods_[step]->precisions, fmt::format("method '{}'", methods_[step]->name),
                    model);
  }
  if (request.data >= 0) {
    request.view = view_of(request, calibration_preprocessing(trial));
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
    request.parameters = &set_of(step, trial);
    const MethodDeclaration& method = *methods_[step];
    if (!method.canary.empty()) canaries.push_back(builder_.stage(method.canary, request));
    int network = request.network;
    if (!method.network.empty()) {
      const std::size_t made = builder_.stage(method.network, request);
      if (!method.canary.empty() && guarded_.insert(made).second)
        plan_.after.push_back({.stage = made, .first = canaries.back()});
      roots.push_back(made);
      network = static_cast<int>(made);
    }
    for (const std::string& extra : method.extra_stages) {
      roots.push_back(builder_.stage(extra, request));
    }
    request.network = network;
  }
}

// What the images of a method are prepared by: what its trial is measured by. Metrics of the same
// data set count; if there is none, the preprocessing that metrics of others name, unless the data
// set states its own. Metrics that disagree would calibrate on one kind of images and measure on
// another.
std::string Planner::calibration_preprocessing(const spec::Trial& trial) {
  const auto data = static_cast<std::size_t>(trial.calibration_data);
  const std::vector<std::string>& reasons = mismatches_of(trial);
  DataViews& views = builder_.files().views();
  std::map<int, const PreparedEvaluation*> same;  // by view of the data set
  std::map<std::string, const PreparedEvaluation*> other;
  for (std::size_t i = 0; i < evaluations_.size(); ++i) {
    const PreparedEvaluation& each = evaluations_[i];
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

void Planner::add_metrics(const spec::Trial& trial, const Request& method_request,
                          PlannedTrial& planned, std::vector<std::size_t>& roots) {
  const std::vector<std::string>& reasons = mismatches_of(trial);
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
                         .protocol = protocol_of(prepared, request)};
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
    if (methods_[*step]->network.empty()) continue;
    if (step_network_[*step]->empty()) return;
    PlannedMetric& metric = planned.metrics.emplace_back();
    metric.metric = kNetworkMetric;
    metric.values = step_network_[*step];
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

// The settings that make two values comparable. The number of shards is none of them: it does not
// move a result.
const Shared<Json>& Planner::protocol_of(const PreparedEvaluation& prepared,
                                         const Request& request) {
  const auto key = std::make_pair(prepared.set.id, request.view);
  const auto found = protocols_.find(key);
  if (found != protocols_.end()) return found->second;
  Json protocol = prepared.parameters;
  if (!prepared.metric->shards_parameter.empty()) {
    protocol.erase(prepared.metric->shards_parameter);
  }
  protocol["split"] = prepared.evaluation->split;
  const bool reads_data = request.data >= 0 && spec::reach_of(joined_, *prepared.metric).data;
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

// Why each evaluation does not apply to trials of this model and composition.
const std::vector<std::string>& Planner::mismatches_of(const spec::Trial& trial) {
  std::vector<const MethodDeclaration*> methods;
  for (const std::uint32_t step : trial.steps) methods.push_back(methods_[step]);
  const auto key = std::make_pair(trial.model, std::move(methods));
  const auto found = mismatches_.find(key);
  if (found != mismatches_.end()) return found->second;
  std::vector<std::string> reasons;
  for (const PreparedEvaluation& each : evaluations_) {
    reasons.push_back(spec::mismatch(sweep_, trial, *each.evaluation, joined_));
  }
  return mismatches_.emplace(key, std::move(reasons)).first->second;
}

std::string Planner::label_of(const spec::Trial& trial) const {
  const spec::Model& model = sweep_.models[trial.model];
  std::string label = model.name + " " + spec::method_text(sweep_, trial);
  if (trial.weight_bits > 0) label += " " + spec::bits_text(trial);
  if (trial.seed) label += fmt::format(" seed={}", *trial.seed);
  if (trial.calibration_seed && trial.calibration_seed != trial.seed) {
    label += fmt::format(" calibration_seed={}", *trial.calibration_seed);
  }
  if (reads_other_data(trial)) label += " calibration_data=" + data_name(trial);
  return label + (trial.steps.size() == 1 ? step_labels_[trial.steps.front()]
                                          : label_text(chosen_in(trial)));
}

// Parameters off their defaults; in a composition with the step that each belongs to.
std::vector<std::pair<std::string, Json>> Planner::chosen_in(const spec::Trial& trial) const {
  std::vector<std::string> methods;
  for (const std::uint32_t step : trial.steps) methods.push_back(sweep_.steps[step].method);
  const std::vector<std::string> owners = step_names(methods);
  std::vector<std::pair<std::string, Json>> chosen;
  for (std::size_t i = 0; i < trial.steps.size(); ++i) {
    const std::string owner = owners.size() > 1 ? owners[i] + "." : "";
    for (const auto& [name, value] : step_chosen_[trial.steps[i]]) {
      chosen.emplace_back(owner + name, value);
    }
  }
  return chosen;
}

// Calibration data is the model's own unless the sweep says otherwise.
bool Planner::reads_other_data(const spec::Trial& trial) const {
  return trial.calibration_data >= 0 && data_name(trial) != sweep_.models[trial.model].data;
}

std::string Planner::chosen_of(const spec::Trial& trial) const {
  if (trial.steps.size() == 1 && !reads_other_data(trial)) {
    return step_chosen_texts_[trial.steps.front()];
  }
  Json chosen = object_of(chosen_in(trial));
  if (reads_other_data(trial)) chosen["calibration_data"] = data_name(trial);
  return canonical_json(chosen);
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
