// What is checked of each stage before it runs: of methods and metrics by themselves
// (MethodStage::check, MetricStage::check), and here what holds for all of them.

#include <fmt/format.h>

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

const models::NetworkInfo* info_of(const Scene& scene) {
  return scene.network == nullptr ? nullptr : &scene.network->info();
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
  const bool weights = made.weights == false && made.weight_bits != kFloatBits;
  const bool activations = made.activations == false && made.activation_bits != kFloatBits;
  // What is asked for once nothing stands there that nobody does.
  const std::string mend = fmt::format("W{}A{}", weights ? kFloatBits : made.weight_bits,
                                       activations ? kFloatBits : made.activation_bits);
  if (weights) refuse("w_bits", made.weight_bits, "weights", mend);
  if (activations) refuse("a_bits", made.activation_bits, "activations", mend);
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
  evaluate::check_images(info_of(scene), scene.data, findings);
  evaluate::check_tokens(info_of(scene), scene.tokens, findings);
}

void check_metric(const evaluate::MetricStage& stage, const Scene& scene, Findings& findings) {
  if (!stage.check) return;
  check_bits(scene, findings);
  stage.check({.context = scene.context,
               .network = info_of(scene),
               .data = scene.data,
               .tokens = scene.tokens},
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
  evaluate::check_tokens(info_of(scene), scene.tokens, findings, context, context);
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
