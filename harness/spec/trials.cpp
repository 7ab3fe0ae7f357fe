#include "harness/spec/trials.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/base/suggest.h"
#include "harness/contract/bits.h"
#include "harness/spec/composition.h"
#include "harness/spec/conditional.h"

namespace assay::spec {
namespace {

constexpr std::size_t kMaxTrials = 1'000'000;
constexpr std::uint64_t kMaxPoints = 10'000'000;

// Which parts of a network are quantized, as a set of bits.
unsigned rounded_parts(const Bits& bits) {
  return (bits.weights < kFloatBits ? 1U : 0U) | (bits.activations < kFloatBits ? 2U : 0U) |
         (bits.cache < kFloatBits ? 4U : 0U);
}

// That bits below 16 are read by a method of the point: a row would be named for what nobody does.
void require_read_bits(const Point& point, const std::set<std::string>& read) {
  Bits done = *point.bits;
  std::vector<std::string> parts;
  for (const auto& [name, part] :
       {std::pair("w_bits", "weights"), std::pair("a_bits", "activations"),
        std::pair("kv_bits", "the keys and values of attention")}) {
    int& bits = done.*bits_named(name);
    if (bits == kFloatBits || read.contains(name)) continue;
    parts.emplace_back(part);
    bits = kFloatBits;
  }
  if (parts.empty()) return;
  // Whether anybody rounds the activations that are left is known later, so nothing is said then.
  const std::string other =
      done.activations == kFloatBits ? fmt::format(", or write {}", text_of(done)) : "";
  refuse(*point.place,
         fmt::format("bits {}: no method of '{}' rounds {}; add one that does, such as rtn{}",
                     text_of(*point.bits), point.method->text, fmt::join(parts, " or "), other),
         text_of(*point.bits));
}

}  // namespace

TrialTable::TrialTable(const Catalogue& catalogue, Sweep& sweep, StepTable& steps)
    : catalogue_(catalogue), sweep_(sweep), steps_(steps) {
  for (const Evaluation& evaluation : sweep.evaluations) {
    const Reach reach = reach_of(catalogue, *catalogue.find_metric(evaluation.metric));
    if (reach.seed || reach.calibration_seed) random_.push_back(&evaluation);
  }
}

// Whether all methods of a point are for the model's family; if not, it is skipped or refused.
bool TrialTable::fits_family(const Point& point) {
  const auto [known, fresh] = fits_.try_emplace({point.model, point.method->text}, true);
  if (!fresh) return known->second;
  const Model& model = sweep_.models[point.model];
  for (const MethodDeclaration* method : point.method->methods) {
    if (method->families.empty() || std::find(method->families.begin(), method->families.end(),
                                              model.family) != method->families.end()) {
      continue;
    }
    const std::string reason =
        fmt::format("method '{}' is for {}, model '{}' is of family {}", method->name,
                    fmt::join(method->families, ", "), model.name, model.family);
    if (!sweep_.run.skip_impossible) {
      refuse(*point.place,
             reason +
                 "; exclude the pair (exclude: {where: ...}), put it into another block, or "
                 "write 'run: {impossible: skip}'",
             method->name);
    }
    sweep_.skipped.push_back({model.name, point.method->text, reason});
    known->second = false;
    return false;
  }
  return true;
}

// A random metric makes its trials random.
void TrialTable::add_metrics(const Point& point, InputConditions conditions, Reads& reads) const {
  Trial trial;
  trial.model = point.model;
  trial.steps = point.steps;
  for (const Evaluation* evaluation : random_) {
    if (!mismatch(sweep_, trial, *evaluation, catalogue_).empty()) continue;
    conditions.parameters = &evaluation->parameters;
    const Reach reach =
        reach_of(catalogue_, *catalogue_.find_metric(evaluation->metric), &conditions);
    reads.seed |= reach.seed;
    reads.calibration_seed |= reach.calibration_seed;
  }
}

// Few conditions are told apart, however many steps there are.
const Reach& TrialTable::reach_under(const MethodDeclaration& method,
                                     const InputConditions& conditions) {
  auto deciding = deciding_.find(&method);
  if (deciding == deciding_.end()) {
    deciding = deciding_.emplace(&method, reach_of(catalogue_, method).deciding).first;
  }
  std::string values;
  for (const std::string& name : deciding->second) {
    values += canonical_json(conditions.parameters->value(name, Json())) + " ";
  }
  ReachKey key(&method, conditions.task, rounded_parts(conditions.bits), std::move(values));
  const auto found = reach_.find(key);
  if (found != reach_.end()) return found->second;
  return reach_.emplace(std::move(key), reach_of(catalogue_, method, &conditions)).first->second;
}

TrialTable::Reads TrialTable::make_reads(const Point& point) {
  check_composition(catalogue_, *point.method, *point.place);
  Reads reads;
  for (const MethodDeclaration* method : point.method->methods) reads.bits |= method->reads_bits;
  InputConditions conditions;
  conditions.task = sweep_.models[point.model].task;
  if (reads.bits && point.bits) conditions.bits = *point.bits;
  std::set<std::string> read;
  for (std::size_t i = 0; i < point.steps.size(); ++i) {
    const MethodDeclaration& method = *point.method->methods[i];
    const ConditionalParameters own =
        conditional_parameters(method, steps_[point.steps[i]].parameters, conditions);
    conditions.parameters = &own.values;
    const Reach& reach = reach_under(method, conditions);
    reads.seed |= reach.seed;
    reads.calibration_seed |= reach.calibration_seed;
    reads.data |= reach.data;
    if (reads.bits) read.insert(reach.parameters.begin(), reach.parameters.end());
    reads.steps.push_back(steps_.projected(point.steps[i], reach.parameters, own.unread));
  }
  if (reads.bits && point.bits) require_read_bits(point, read);
  add_metrics(point, conditions, reads);
  return reads;
}

const TrialTable::Reads& TrialTable::reads_of(const Point& point) {
  ReadsKey key(point.model, point.steps, rounded_parts(point.bits.value_or(Bits())));
  const auto found = reads_.find(key);
  if (found != reads_.end()) return found->second;
  return reads_.emplace(std::move(key), make_reads(point)).first->second;
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

void TrialTable::add(const Point& point, const AblationTag* tag, ParameterUse& use) {
  if (!fits_family(point)) return;
  const Reads& reads = reads_of(point);
  for (std::size_t i = 0; i < reads.steps.size(); ++i) {
    use.read(*point.method->methods[i], reads.steps[i], steps_[reads.steps[i]].parameters);
  }
  Trial trial;
  trial.model = point.model;
  trial.steps = reads.steps;
  if (reads.bits) {
    if (!point.bits) {
      refuse(*point.place, fmt::format("method '{}' reads bits; give the block 'bits: [W4A8]'",
                                       point.method->text));
    }
    trial.bits = point.bits;
  }
  const std::int64_t seed = point.seed.value_or(0);
  if (reads.seed) trial.seed = seed;
  if (reads.calibration_seed) trial.calibration_seed = point.calibration_seed.value_or(seed);
  if (reads.data) trial.calibration_data = data_for(point);
  const auto [found, inserted] = index_.try_emplace(
      identity_text(sweep_, trial), static_cast<std::uint32_t>(sweep_.trials.size()));
  if (inserted) {
    trial.place = *point.place;
    if (sweep_.trials.size() >= kMaxTrials) {
      refuse(*point.place, fmt::format("more than {} trials", kMaxTrials));
    }
    sweep_.trials.push_back(std::move(trial));
  }
  ++sweep_.trials[found->second].points;
  if (tag == nullptr) return;
  auto& tags = sweep_.trials[found->second].ablations;
  if (std::find(tags.begin(), tags.end(), *tag) == tags.end()) tags.push_back(*tag);
}

std::vector<std::string> load_trials(Node& node, const Catalogue& catalogue, TrialTable& table,
                                     const Sweep& sweep) {
  std::vector<std::string> notes;
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
    block.for_each([&](const Point& point) { table.add(point, nullptr, block.use()); });
    block.use().check(fmt::format("trials[{}]", i));
    for (std::string& rule : block.idle_rules()) notes.push_back(std::move(rule));
  }
  return notes;
}

}  // namespace assay::spec
