// The explicit list of what is checked of each stage before it runs: to add a method, add its line.

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
#include "methods/gptq/method.h"
#include "methods/psaq_vit/method.h"
#include "methods/rtn/method.h"
#include "methods/train/train.h"

namespace assay::exec {
namespace {

using StageCheck = void (*)(const Scene&, Findings&);
using MethodCheck = void (*)(const StageContext&, const models::Network&);

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

template <MethodCheck check>
void check_method(const Scene& scene, Findings& findings) {
  if (scene.network == nullptr) return;
  findings.attempt("method", [&] { check(scene.context, *scene.network); });
  check_images(scene, findings);
  check_tokens(scene, findings, 0, 0);
}

void check_training(const Scene& scene, Findings& findings) {
  if (scene.network == nullptr) return;
  std::optional<std::int64_t> data;  // images or tokens, as far as known
  if (scene.tokens != nullptr && scene.tokens->most_tokens >= 0) data = scene.tokens->most_tokens;
  if (scene.data != nullptr && scene.data->images > 0) data = scene.data->images;
  findings.attempt("method", [&] { train::check(scene.context, *scene.network, data); });
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

void check_synthesis(const Scene& scene, Findings& findings) {
  check_method<psaq_vit::check>(scene, findings);
  findings.attempt("method",
                   [&] { psaq_vit::require_gradients(!scene.before.activations.value_or(false)); });
}

void check_gptq(const Scene& scene, Findings& findings) {
  check_method<gptq::check>(scene, findings);
  if (!scene.before.activations) return;
  findings.attempt("method", [&] {
    gptq::require_rounded_activations(scene.context, *scene.before.activations);
  });
}

const std::map<std::string_view, StageCheck>& checks() {
  static const std::map<std::string_view, StageCheck> kChecks{
      {"rtn.observe", check_method<rtn::check>},
      {"rtn.quantize", check_method<rtn::check>},
      {"gptq.quantize", check_gptq},
      {"psaq_vit.synthesize", check_synthesis},
      {"psaq_vit.observe", check_method<psaq_vit::check>},
      {"psaq_vit.quantize", check_method<psaq_vit::check>},
      {"train", check_training},
      {"sample_images", check_samples},
      {"sample_calibration", check_windows},
      {"evaluate.classification", check_classification},
      {"evaluate.language", check_language},
      {"measure.latency", check_latency}};
  return kChecks;
}

}  // namespace

void check_stage(const Scene& scene, Findings& findings) {
  const auto found = checks().find(scene.question.stage);
  if (found != checks().end()) found->second(scene, findings);
}

std::optional<Rounding> rounding_of(const Question& question, const QuestionContext& context) {
  Rounding rounding;
  const auto bits = [&](const char* name) { return StageParameters(context).integer(name); };
  if (question.stage == "rtn.quantize") {
    rounding.weights = rtn::rounds_weights(context);
    rounding.activations = rtn::rounds_activations(context);
  } else if (question.stage == "gptq.quantize") {
    rounding.weight_bits = bits("w_bits");
    rounding.weights = rounding.weight_bits != kFloatBits;
    // Its own to refuse where nothing before it rounds them.
    if (bits("a_bits") != kFloatBits) rounding.activations.reset();
    return rounding;
  } else if (question.stage == "psaq_vit.quantize") {
    rounding.weights = bits("w_bits") != kFloatBits;
    rounding.activations = psaq_vit::rounds_activations(context);
  } else {
    return std::nullopt;
  }
  rounding.weight_bits = bits("w_bits");
  rounding.activation_bits = bits("a_bits");
  return rounding;
}

}  // namespace assay::exec
