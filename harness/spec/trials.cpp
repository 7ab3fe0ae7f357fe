#include "harness/spec/trials.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/core/digest.h"
#include "harness/core/suggest.h"

namespace assay::spec {
namespace {

constexpr std::size_t kIdDigits = 16;
constexpr std::size_t kMaxTrials = 1'000'000;
constexpr std::uint64_t kMaxPoints = 10'000'000;

}  // namespace

TrialTable::TrialTable(const Catalogue& catalogue, Sweep& sweep, StepTable& steps)
    : catalogue_(catalogue), sweep_(sweep), steps_(steps) {
  for (const Evaluation& evaluation : sweep.evaluations) {
    metric_reach_.push_back(reach_of(catalogue, *catalogue.find_metric(evaluation.metric)));
  }
}

TrialTable::Traits TrialTable::make_traits(const Point& point) const {
  const Model& model = sweep_.models[point.model];
  Traits traits;
  for (const MethodDeclaration* method : point.method->methods) {
    if (!method->families.empty() && std::find(method->families.begin(), method->families.end(),
                                               model.family) == method->families.end()) {
      refuse(*point.place,
             fmt::format("method '{}' is for {}, model '{}' is of family {}; exclude the pair "
                         "(exclude: {{where: ...}}) or put it into another block",
                         method->name, fmt::join(method->families, ", "), model.name, model.family),
             method->name);
    }
    const Reach reach = reach_of(catalogue_, *method);
    traits.bits |= method->reads_bits;
    traits.seed |= reach.seed;
    traits.calibration_seed |= reach.calibration_seed;
    traits.data |= reach.data || (!method->calibration.empty() && method->calibration != "none");
  }
  // A random metric makes its trials random.
  Trial trial;
  trial.model = point.model;
  trial.steps = point.steps;
  for (std::size_t i = 0; i < metric_reach_.size(); ++i) {
    if (!metric_reach_[i].seed && !metric_reach_[i].calibration_seed) continue;
    if (!mismatch(sweep_, trial, sweep_.evaluations[i], catalogue_).empty()) continue;
    traits.seed |= metric_reach_[i].seed;
    traits.calibration_seed |= metric_reach_[i].calibration_seed;
  }
  return traits;
}

const TrialTable::Traits& TrialTable::traits_of(const Point& point) {
  const auto key = std::make_pair(point.model, point.method->text);
  const auto found = traits_.find(key);
  if (found != traits_.end()) return found->second;
  return traits_.emplace(key, make_traits(point)).first->second;
}

int TrialTable::data_for(const Point& point) const {
  const Model& model = sweep_.models[point.model];
  int index = point.calibration_data;
  if (index < 0) {
    const DataSet* own = model.data.empty() ? nullptr : sweep_.find_data(model.data);
    if (own == nullptr) {
      refuse(
          *point.place,
          fmt::format("method '{}' needs data, but model '{}' has none; give the model 'data' or "
                      "the block 'calibration_data'",
                      point.method->text, model.name),
          model.name);
    }
    index = static_cast<int>(own - sweep_.data.data());
  }
  const DataSet& data = sweep_.data[static_cast<std::size_t>(index)];
  if (!data.task.empty() && !model.task.empty() && data.task != model.task) {
    refuse(*point.place,
           fmt::format("calibration data '{}' is for {}, model '{}' is for {}", data.name,
                       data.task, model.name, model.task),
           data.name);
  }
  return index;
}

void TrialTable::add(const Point& point, const AblationTag* tag) {
  const Traits& traits = traits_of(point);
  Trial trial;
  trial.model = point.model;
  trial.steps = point.steps;
  if (traits.bits) {
    if (point.weight_bits == 0) {
      refuse(*point.place, fmt::format("method '{}' reads bits; give the block 'bits: [W4A8]'",
                                       point.method->text));
    }
    trial.weight_bits = point.weight_bits;
    trial.activation_bits = point.activation_bits;
  }
  const std::int64_t seed = point.seed.value_or(0);
  if (traits.seed) trial.seed = seed;
  if (traits.calibration_seed) trial.calibration_seed = point.calibration_seed.value_or(seed);
  if (traits.data) trial.calibration_data = data_for(point);
  trial.id = sha256(identity_text(sweep_, trial)).substr(0, kIdDigits);
  const auto [found, inserted] =
      index_.try_emplace(trial.id, static_cast<std::uint32_t>(sweep_.trials.size()));
  if (inserted) {
    if (sweep_.trials.size() >= kMaxTrials) {
      refuse(*point.place, fmt::format("more than {} trials", kMaxTrials));
    }
    sweep_.trials.push_back(std::move(trial));
  }
  if (tag == nullptr) return;
  auto& tags = sweep_.trials[found->second].ablations;
  if (std::find(tags.begin(), tags.end(), *tag) == tags.end()) tags.push_back(*tag);
}

void load_trials(Node& node, const Catalogue& catalogue, TrialTable& table, const Sweep& sweep) {
  if (!node.is_list()) {
    refuse(node.place, fmt::format("trials must be a list of blocks, each starting with '- ', not "
                                   "{}",
                                   node.shown()));
  }
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    Block block(node.items[i], fmt::format("trials[{}]", i), Block::Exclude::kAllowed, catalogue,
                sweep, table.steps());
    if (block.size() > kMaxPoints) {
      refuse(block.place(), fmt::format("trials[{}] has {} combinations; at most {} are allowed", i,
                                        block.size(), kMaxPoints));
    }
    block.for_each([&](const Point& point) { table.add(point, nullptr); });
  }
}

}  // namespace assay::spec
