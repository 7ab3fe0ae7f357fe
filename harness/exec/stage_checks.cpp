// The explicit list of what is checked of each stage before it runs: to add a method, add its line.

#include <fmt/format.h>

#include <map>
#include <string>
#include <string_view>

#include "harness/evaluate/fit.h"
#include "harness/evaluate/stage_recipe.h"
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

// Token ids beyond the vocabulary, texts too short for one window.
void check_tokens(const Scene& scene, Findings& findings, std::int64_t window) {
  if (scene.tokens == nullptr) return;
  if (scene.network != nullptr) {
    findings.attempt("model", [&] {
      evaluate::require_vocabulary(scene.network->info(), scene.tokens->largest_id);
    });
  }
  const std::int64_t most = scene.tokens->most_tokens;
  if (window <= 0 || most < 0 || most >= window) return;
  findings.add("data",
               Error(ErrorKind::kConfig,
                     fmt::format("the text has at most {} tokens, not enough for one window "
                                 "of {}; write a smaller context, or name a longer text",
                                 most, window),
                     {{"field", "context"}, {"value", std::to_string(window)}}));
}

template <MethodCheck check>
void check_method(const Scene& scene, Findings& findings) {
  if (scene.network == nullptr) return;
  findings.attempt("method", [&] { check(scene.context, *scene.network); });
  check_images(scene, findings);
  check_tokens(scene, findings, 0);
}

void check_windows(const Scene& scene, Findings& findings) {
  check_tokens(scene, findings, evaluate::integer(scene.context, "context"));
}

void check_language(const Scene& scene, Findings& findings) {
  const std::int64_t context = evaluate::integer(scene.context, "context");
  if (scene.network != nullptr) {
    findings.attempt("metric", [&] { evaluate::require_context(scene.network->info(), context); });
  }
  const bool documents = evaluate::text(scene.context, "windows") == "documents";
  check_tokens(scene, findings, documents ? 0 : context);
}

void check_latency(const Scene& scene, Findings& findings) {
  if (scene.network == nullptr || scene.network->info().task != models::Task::kLanguage) return;
  findings.attempt("metric", [&] {
    const std::int64_t tokens = evaluate::integer(scene.context, "tokens");
    const std::int64_t most = scene.network->info().context;
    if (most <= 0 || tokens <= most) return;
    throw Error(ErrorKind::kConfig,
                fmt::format("tokens {}; the network takes at most {}; write tokens: {} or less",
                            tokens, most, most),
                {{"field", "tokens"}, {"value", std::to_string(tokens)}});
  });
}

const std::map<std::string_view, StageCheck>& checks() {
  static const std::map<std::string_view, StageCheck> kChecks{
      {"rtn.observe", check_method<rtn::check>},
      {"rtn.quantize", check_method<rtn::check>},
      {"gptq.quantize", check_method<gptq::check>},
      {"psaq_vit.synthesize", check_method<psaq_vit::check>},
      {"psaq_vit.observe", check_method<psaq_vit::check>},
      {"psaq_vit.quantize", check_method<psaq_vit::check>},
      {"train", check_method<train::check>},
      {"sample_calibration", check_windows},
      {"evaluate.classification", check_images},
      {"evaluate.language", check_language},
      {"measure.latency", check_latency}};
  return kChecks;
}

}  // namespace

void check_stage(const Scene& scene, Findings& findings) {
  const auto found = checks().find(scene.question.stage);
  if (found != checks().end()) found->second(scene, findings);
}

}  // namespace assay::exec
