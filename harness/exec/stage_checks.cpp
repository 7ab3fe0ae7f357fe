// What is checked of each stage before it runs: of methods by themselves (MethodStage::check), of
// the others here.

#include <fmt/format.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "datasets/sampling.h"
#include "harness/evaluate/fit.h"
#include "harness/evaluate/stage_recipe.h"
#include "harness/evaluate/windows.h"
#include "harness/exec/inspection_scene.h"
#include "methods/method.h"

namespace assay::exec {
namespace {

using StageCheck = void (*)(const Scene&, Findings&);

// Images of another size or with more classes than the network has outputs.
void check_images(const Scene& scene, Findings& findings) {
  if (scene.network == nullptr || scene.data == nullptr) return;
  const models::NetworkInfo& info = scene.network->info();
  findings.attempt("data", [&] { evaluate::require_image_shape(info, scene.data->shape); });
  findings.attempt("data", [&] { evaluate::require_classes(info, scene.data->classes); });
}

// Token ids beyond the vocabulary, texts that have not `needed` tokens for one window of `context`.
void check_tokens(const Scene& scene, Findings& findings, std::int64_t needed,
                  std::int64_t context) {
  if (scene.tokens == nullptr) return;
  if (scene.network != nullptr) {
    findings.attempt("model", [&] {
      evaluate::require_vocabulary(scene.network->info(), scene.tokens->largest_id);
    });
  }
  const std::int64_t most = scene.tokens->most_tokens;
  if (most < 0 || most >= needed) return;
  findings.add("data",
               Error(ErrorKind::kConfig,
                     fmt::format("the text has at most {} tokens, not enough for one window "
                                 "of {}; write a smaller context, or name a longer text",
                                 most, context),
                     {{"field", "context"}, {"value", std::to_string(context)}}));
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
  if (made.weights == false && made.weight_bits != kFloatBits) {
    refuse("w_bits", made.weight_bits, "weights", fmt::format("W16A{}", made.activation_bits));
  }
  if (made.activations == false && made.activation_bits != kFloatBits) {
    refuse("a_bits", made.activation_bits, "activations", fmt::format("W{}A16", made.weight_bits));
  }
}

void check_classification(const Scene& scene, Findings& findings) {
  check_bits(scene, findings);
  check_images(scene, findings);
  if (scene.network == nullptr || scene.data == nullptr || scene.data->classes == 0) return;
  if (scene.data->classes > scene.network->info().outputs) return;  // refused already
  findings.attempt("data", [&] {
    if (evaluate::has_class_list(scene.context))
      evaluate::require_every_class(scene.network->info(), scene.data->classes);
  });
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
  check_images(scene, findings);
  check_tokens(scene, findings, 0, 0);
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
  check_tokens(scene, findings, context, context);
}

void check_language(const Scene& scene, Findings& findings) {
  check_bits(scene, findings);
  const std::int64_t context = StageParameters(scene.context).integer("context");
  if (scene.network != nullptr && !findings.attempt("metric", [&] {
        evaluate::require_context(scene.network->info(), context);
      })) {
    return;
  }
  const evaluate::WindowProtocol protocol = evaluate::window_protocol(
      scene.context, scene.network == nullptr ? 0 : scene.network->info().context);
  const bool has_bos = scene.tokens == nullptr || scene.tokens->has_bos;
  // Without the network its own context is not known.
  const bool known = scene.network != nullptr || context > 0;
  if (known) {
    findings.attempt("metric", [&] { evaluate::check_protocol(protocol, has_bos); });
  }
  const bool documents = protocol.text == "documents";
  const std::int64_t whole = documents ? 2 : known ? protocol.context : 0;
  // An id that is added in front takes the place of a token.
  check_tokens(scene, findings, whole - (has_bos && protocol.bos != "none" ? 1 : 0),
               protocol.context);
}

void check_latency(const Scene& scene, Findings& findings) {
  check_bits(scene, findings);
  findings.attempt("metric", [&] { evaluate::batch_sizes(scene.context); });
  if (scene.network == nullptr) return;
  findings.attempt("metric", [&] {
    evaluate::require_length(scene.network->info(),
                             StageParameters(scene.context).integer("tokens"));
  });
}

const std::map<std::string_view, StageCheck>& checks() {
  static const std::map<std::string_view, StageCheck> kChecks{
      {"sample_images", check_samples},
      {"sample_calibration", check_windows},
      {"evaluate.classification", check_classification},
      {"evaluate.language", check_language},
      {"measure.latency", check_latency}};
  return kChecks;
}

// The stage of a method; null for one of another kind.
const MethodStage* method_stage(const std::string& name) {
  static const std::vector<Method> kMethods = built_in_methods();
  for (const Method& method : kMethods) {
    for (const MethodStage& stage : method.stages) {
      if (stage.declaration.name == name) return &stage;
    }
  }
  return nullptr;
}

}  // namespace

void check_stage(const Scene& scene, Findings& findings) {
  if (const MethodStage* stage = method_stage(scene.question.stage)) {
    return check_method(*stage, scene, findings);
  }
  const auto found = checks().find(scene.question.stage);
  if (found != checks().end()) found->second(scene, findings);
}

std::optional<Rounding> rounding_of(const Question& question, const QuestionContext& context) {
  const MethodStage* stage = method_stage(question.stage);
  return stage != nullptr && stage->rounds ? std::optional(stage->rounds(context)) : std::nullopt;
}

}  // namespace assay::exec
