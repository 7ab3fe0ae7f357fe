#include "harness/spec/sweep.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "harness/base/suggest.h"
#include "harness/spec/document.h"
#include "harness/spec/load.h"
#include "harness/spec/trials.h"
#include "harness/spec/yaml.h"

namespace assay::spec {
namespace {

constexpr std::size_t kUsualIdentity = 192;  // room for most identities without growing

std::string name_from(Node* node, const std::filesystem::path& file) {
  constexpr std::size_t kMaxName = 100;
  std::string name = node != nullptr ? text_of(*node, "name") : file.stem().string();
  const bool legal =
      !name.empty() && name.size() <= kMaxName && name[0] != '.' && name[0] != '-' &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
          std::string::npos;
  if (legal) return name;
  Place place;
  if (node != nullptr) {
    place = node->place;
  } else {
    place.file = std::make_shared<const std::string>(file.string());
  }
  refuse(place,
         fmt::format("name '{}' names the run folder: 1 to {} letters, digits and . _ -, not "
                     "starting with . or -",
                     name.substr(0, kMaxName), kMaxName),
         name);
}

void check_version(Node& root) {
  if (root.find("assay") == nullptr)
    refuse(root.place, "the sweep lacks its format version; start it with 'assay: 1'");
  const Node& version = *root.find("assay");
  const Json value = to_json(version);
  if (value == 1) return;
  refuse(version.place,
         fmt::format("format version {}; this Assay reads version 1 ('assay: 1')", version.shown()),
         version.shown());
}

// A sweep that measures nothing is hardly meant; one that only makes networks says so.
[[noreturn]] void refuse_without_evaluate(const Node& root, const Catalogue& catalogue,
                                          const Sweep& sweep) {
  std::vector<std::string> fitting;
  for (const MetricDeclaration& metric : catalogue.metrics) {
    const bool fits = std::any_of(sweep.models.begin(), sweep.models.end(), [&](const Model& m) {
      return metric.task.empty() || metric.task == m.task;
    });
    if (fits) fitting.push_back(metric.name);
  }
  refuse(root.place,
         fmt::format("the sweep lacks the key 'evaluate', so nothing would be measured; write "
                     "'evaluate: [{{metric: {}}}]' (metrics that fit: {}), or 'evaluate: []' to "
                     "make networks only",
                     fitting.empty() ? "NAME" : fitting.front(),
                     fitting.empty() ? "none" : fmt::format("{}", fmt::join(fitting, ", "))));
}

void check_evaluations(const Sweep& sweep, const Catalogue& catalogue) {
  // Trials of one model and composition agree, so each pair is looked at once.
  std::map<std::pair<std::uint32_t, std::string>, const Trial*> kinds;
  for (const Trial& trial : sweep.trials) {
    kinds.try_emplace({trial.model, method_text(sweep, trial)}, &trial);
  }
  for (const Evaluation& evaluation : sweep.evaluations) {
    std::string reason;
    const bool matches = std::any_of(kinds.begin(), kinds.end(), [&](const auto& kind) {
      std::string why = mismatch(sweep, *kind.second, evaluation, catalogue);
      if (reason.empty()) reason = why;
      return why.empty();
    });
    if (!matches) {
      refuse(evaluation.place,
             fmt::format("'{}' applies to no trial of the sweep: {}", evaluation.metric, reason),
             evaluation.metric);
    }
  }
}

}  // namespace

const Model* Sweep::find_model(std::string_view name_of_model) const {
  const auto found = std::find_if(models.begin(), models.end(),
                                  [&](const Model& m) { return m.name == name_of_model; });
  return found == models.end() ? nullptr : &*found;
}

const DataSet* Sweep::find_data(std::string_view name_of_data) const {
  const auto found = std::find_if(data.begin(), data.end(),
                                  [&](const DataSet& d) { return d.name == name_of_data; });
  return found == data.end() ? nullptr : &*found;
}

// A sweep of another format is refused before anything else is read.
SweepFile::SweepFile(std::filesystem::path file, const std::vector<std::string>& overrides)
    : file_(std::move(file)) {
  Node root = load_document(file_, overrides);
  check_version(root);
  root_ = std::make_unique<const Node>(std::move(root));
}

SweepFile::~SweepFile() = default;

std::vector<Provider> SweepFile::providers() const {
  Node root = *root_;
  Node* providers = root.find("providers");
  if (providers == nullptr || providers->is_null()) return {};
  return providers_from(*providers);
}

Sweep SweepFile::sweep(const Catalogue& catalogue) const {
  Node root = *root_;
  Sweep sweep;
  Fields fields(root, "the sweep");
  fields.take("assay");
  sweep.name = name_from(fields.take("name"), file_);
  Node* providers = fields.take("providers");
  Node* data = fields.take("data");
  Node* models = fields.take("models");
  Node* trials = fields.take("trials");
  Node* ablate = fields.take("ablate");
  Node* evaluate = fields.take("evaluate");
  Node* run = fields.take("run");
  fields.take("anchors");  // holds what aliases repeat; nobody reads it
  fields.allow({"include"});
  fields.finish();
  const auto given = [](const Node* node) { return node != nullptr && !node->is_null(); };
  if (given(providers)) sweep.providers = providers_from(*providers);
  if (given(data)) load_data(*data, catalogue, sweep);
  if (!given(models)) refuse(root.place, "the sweep lacks the key 'models'");
  load_models(*models, catalogue, sweep);
  if (given(evaluate)) load_evaluations(*evaluate, catalogue, sweep);
  if (given(run)) sweep.run = run_settings_from(*run);
  sweep.run_place = given(run) ? run->place : root.place;
  if (!given(trials) && !given(ablate))
    refuse(root.place, "the sweep has neither 'trials' nor 'ablate'");
  StepTable steps(sweep.steps);
  TrialTable table(catalogue, sweep, steps);
  if (given(trials)) sweep.notes = load_trials(*trials, catalogue, table, sweep);
  if (given(ablate)) load_ablations(*ablate, catalogue, table, sweep);
  if (sweep.trials.empty() && !sweep.skipped.empty()) {
    refuse(sweep.run_place, fmt::format("impossible: skip leaves no trial; the first, {} {}: {}",
                                        sweep.skipped.front().model, sweep.skipped.front().method,
                                        sweep.skipped.front().reason));
  }
  if (sweep.trials.empty()) {
    refuse(given(trials) ? trials->place : root.place,
           "no trial is left: every point is excluded, or there is none");
  }
  if (!given(evaluate)) refuse_without_evaluate(root, catalogue, sweep);
  check_evaluations(sweep, catalogue);
  if (root.find("name") == nullptr) {
    // The run folder holds the text as sweep.yaml, whose stem is no name.
    Member name;
    name.key = "name";
    name.value.kind = Node::Kind::kScalar;
    name.value.text = sweep.name;
    name.value.plain = false;
    root.members.insert(root.members.begin() + 1, std::move(name));
  }
  std::erase_if(root.members, [](const Member& member) { return member.key == "anchors"; });
  sweep.document = std::make_shared<const Node>(std::move(root));
  return sweep;
}

Sweep load_sweep(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                 const Catalogue& catalogue) {
  return SweepFile(file, overrides).sweep(catalogue);
}

std::string resolved_text(const Sweep& sweep) { return emit_yaml(*sweep.document); }

std::string method_text(const Sweep& sweep, const Trial& trial) {
  std::string text;
  for (const std::uint32_t step : trial.steps) {
    if (!text.empty()) text += " + ";
    text += sweep.steps[step].method;
  }
  return text;
}

std::string bits_text(const Trial& trial) {
  return trial.bits ? text_of(*trial.bits) : "";
}

Json identity_of(const Sweep& sweep, const Trial& trial) {
  Json identity = Json::object();
  identity["model"] = sweep.models[trial.model].name;
  Json& method = identity["method"] = Json::array();
  for (const std::uint32_t step : trial.steps) {
    method.push_back(
        {{"name", sweep.steps[step].method}, {"parameters", sweep.steps[step].parameters}});
  }
  if (trial.bits) identity["bits"] = bits_text(trial);
  if (trial.seed) identity["seed"] = *trial.seed;
  if (trial.calibration_seed) identity["calibration_seed"] = *trial.calibration_seed;
  if (trial.calibration_data >= 0) {
    identity["calibration_data"] =
        sweep.data[static_cast<std::size_t>(trial.calibration_data)].name;
  }
  return identity;
}

// The same as canonical_json(identity_of(...)), put together from the texts of the steps.
std::string identity_text(const Sweep& sweep, const Trial& trial, const std::string& content) {
  std::string text;
  text.reserve(content.size() + kUsualIdentity);
  text += "{";
  if (trial.bits) text.append("\"bits\":\"").append(bits_text(trial)).append("\",");
  if (trial.calibration_data >= 0) {
    const std::string& data = sweep.data[static_cast<std::size_t>(trial.calibration_data)].name;
    text.append("\"calibration_data\":\"").append(data).append("\",");
  }
  if (trial.calibration_seed) {
    text.append("\"calibration_seed\":")
        .append(std::to_string(*trial.calibration_seed))
        .append(",");
  }
  if (!content.empty()) text.append("\"content\":").append(content).append(",");
  text += "\"method\":[";
  for (std::size_t i = 0; i < trial.steps.size(); ++i) {
    if (i > 0) text += ',';
    text += sweep.steps[trial.steps[i]].text;
  }
  text.append("],\"model\":\"").append(sweep.models[trial.model].name).append("\"");
  if (trial.seed) text.append(",\"seed\":").append(std::to_string(*trial.seed));
  return text + "}";
}

}  // namespace assay::spec
