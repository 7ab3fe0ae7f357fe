// What is checked of each stage before it runs: of methods and metrics by themselves
// (MethodStage::check, MetricStage::check), and here what holds for all of them.

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "datasets/sampling.h"
#include "harness/contract/stage_parameters.h"
#include "harness/contract/stage_recipe.h"
#include "harness/evaluate/fit.h"
#include "harness/evaluate/metric.h"
#include "harness/exec/inspection_scene.h"
#include "methods/method.h"

namespace assay::exec {
namespace {

// Of the network behind the longest prefix that its methods may give it; nothing: not known.
std::optional<models::NetworkInfo> info_of(const Scene& scene) {
  if (scene.network == nullptr) return std::nullopt;
  models::NetworkInfo info = scene.network->info();
  if (info.learned_positions) info.context -= std::min(scene.before.prefix, info.context - 1);
  return info;
}

const models::NetworkInfo* address_of(const std::optional<models::NetworkInfo>& info) {
  return info ? &*info : nullptr;
}

// Bits that no method of the trial uses would stand beside its figures.
void check_bits(const Scene& scene, Findings& findings) {
  const Rounding& made = scene.before;
  const auto refuse = [&](const char* field, std::int64_t bits, const char* parts,
                          const std::string& mend) {
    findings.add("method",
                 Error(ErrorKind::kUnsupported,
                       fmt::format("{} is {}, but no method of the trial rounds {}; write {}",
                                   field, bits, parts, mend),
                       {{"field", field}, {"value", std::to_string(bits)}}));
  };
  const bool weights = made.weights == false && made.bits.weights != kFloatBits;
  const bool activations = made.activations == false && made.bits.activations != kFloatBits;
  const bool cache = made.cache == false && made.bits.cache != kFloatBits;
  // What is asked for once nothing stands there that nobody does.
  const std::string mend = text_of({.weights = weights ? kFloatBits : made.bits.weights,
                                    .activations = activations ? kFloatBits : made.bits.activations,
                                    .cache = cache ? kFloatBits : made.bits.cache});
  if (weights) refuse("w_bits", made.bits.weights, "weights", mend);
  if (activations) refuse("a_bits", made.bits.activations, "activations", mend);
  if (cache) refuse("kv_bits", made.bits.cache, "keys and values of attention", mend);
}

// Images or, at most, tokens of what the stage reads.
std::optional<std::int64_t> samples_of(const Scene& scene) {
  if (scene.data != nullptr && scene.data->images > 0) return scene.data->images;
  if (scene.tokens != nullptr && scene.tokens->most_tokens >= 0) return scene.tokens->most_tokens;
  return std::nullopt;
}

void check_method(const MethodStage& stage, const Scene& scene, Findings& findings) {
  if (scene.network == nullptr) return;
  if (stage.check) {
    findings.attempt("method", [&] {
      stage.check({.context = scene.context,
                   .network = *scene.network,
                   .samples = samples_of(scene),
                   .before = scene.before});
    });
  }
  const auto info = info_of(scene);
  evaluate::check_images(address_of(info), scene.data, findings);
  evaluate::check_tokens(address_of(info), scene.tokens, findings);
}

void check_metric(const evaluate::MetricStage& stage, const Scene& scene, Findings& findings) {
  if (!stage.check) return;
  check_bits(scene, findings);
  const auto info = info_of(scene);
  stage.check({.context = scene.context,
               .network = address_of(info),
               .data = scene.data,
               .tokens = scene.tokens,
               .prefix = scene.before.prefix},
              findings);
}

void check_samples(const Scene& scene, Findings& findings) {
  if (scene.data == nullptr || scene.data->images == 0) return;
  findings.attempt("method", [&] {
    datasets::require_samples(scene.data->images,
                              StageParameters(scene.context).integer("samples"));
  });
}

void check_windows(const Scene& scene, Findings& findings) {
  const std::int64_t context = StageParameters(scene.context).integer("context");
  const auto info = info_of(scene);
  evaluate::check_tokens(address_of(info), scene.tokens, findings, context, context);
}

// The stage of one of `all`; null for one of another kind.
template <typename Record>
auto stage_among(const std::vector<Record>& all, const std::string& name)
    -> decltype(&all.front().stages.front()) {
  for (const Record& record : all) {
    for (const auto& stage : record.stages) {
      if (stage.declaration.name == name) return &stage;
    }
  }
  return nullptr;
}

const MethodStage* method_stage(const std::string& name) {
  static const std::vector<Method> kMethods = built_in_methods();
  return stage_among(kMethods, name);
}

const evaluate::MetricStage* metric_stage(const std::string& name) {
  static const std::vector<evaluate::Metric> kMetrics = evaluate::built_in_metrics();
  return stage_among(kMetrics, name);
}

// A network that is described by a configuration alone has weights once a stage has trained it.
void check_weights(const Scene& scene, Findings& findings) {
  const std::string& stage = scene.question.stage;
  if (model_of(scene.context).config.is_null() || stage == "tokenize" || stage == "train" ||
      scene.context.has_input("network")) {
    return;
  }
  const evaluate::MetricStage* metric = metric_stage(stage);
  if (metric != nullptr && !metric->declaration.reads_network) {
    findings.add("metric",
                 Error(ErrorKind::kUnsupported,
                       fmt::format("{} computes the model as it came, before any method, and it "
                                   "came without weights; save the trained network and name that "
                                   "folder as 'weights' of a model, or leave this trial out of "
                                   "the entry ('models' or 'methods')",
                                   stage)));
    return;
  }
  findings.add("model",
               Error(ErrorKind::kUnsupported,
                     fmt::format("it has no weights, and {} needs some: train it first (method: "
                                 "train, or \"train + ...\"), or name a checkpoint as 'weights'",
                                 stage)));
}

}  // namespace

void check_stage(const Scene& scene, Findings& findings) {
  check_weights(scene, findings);
  if (const MethodStage* stage = method_stage(scene.question.stage)) {
    return check_method(*stage, scene, findings);
  }
  if (const evaluate::MetricStage* stage = metric_stage(scene.question.stage)) {
    return check_metric(*stage, scene, findings);
  }
  if (scene.question.stage == "sample_images") check_samples(scene, findings);
  if (scene.question.stage == "sample_calibration") check_windows(scene, findings);
}

std::optional<Rounding> rounding_of(const Question& question, const QuestionContext& context) {
  const MethodStage* stage = method_stage(question.stage);
  return stage != nullptr && stage->rounds ? std::optional(stage->rounds(context)) : std::nullopt;
}

}  // namespace assay::exec
