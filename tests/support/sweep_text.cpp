#include "tests/support/sweep_text.h"

#include "tests/support/refusal.h"

namespace assay::testing {

const char* const kModels =
    "assay: 1\n"
    "data: {fashion: {reader: fashion_mnist}, text: {reader: text, train: a.txt, test: b.txt}}\n"
    "models:\n"
    "  {vit: {family: vit, weights: /m/vit, data: fashion}, vit2: {family: vit, weights: /m/vit2,\n"
    "   data: fashion}, resnet: {family: resnet, config: {classes: 10}, data: fashion},\n"
    "   opt: {family: opt, weights: /m/opt, data: text}, opt2: {family: opt, weights: /m/opt2, "
    "data: text}}\n";

spec::Sweep sweep_of(const std::string& text, const std::vector<std::string>& overrides,
                     const Catalogue& catalogue) {
  const TemporaryFolder folder;
  // A sweep says what it measures; tests of other parts need not.
  const bool measures = text.find("\nevaluate:") != std::string::npos;
  const std::string whole = measures ? text : text + "evaluate: []\n";
  spec::Sweep sweep =
      spec::load_sweep(folder.write("sweep.yaml", whole), overrides, catalogue);
  // Settled before a plan is made, by the hosts of the run.
  if (sweep.run.cpu_level == "auto") sweep.run.cpu_level = "avx2";
  return sweep;
}

std::string refusal_in(const TemporaryFolder& folder, const std::function<void()>& call) {
  std::string text = refusal(call);
  const std::string kind = "config: ";
  if (text.starts_with(kind)) text.erase(0, kind.size());
  const std::string prefix = folder.path().string() + "/";
  for (std::size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix)) {
    text.erase(at, prefix.size());
  }
  return text;
}

std::string refusal_of(const std::string& text, const std::vector<std::string>& overrides,
                       const Catalogue& catalogue) {
  const TemporaryFolder folder;
  const auto file = folder.write("sweep.yaml", text);
  return refusal_in(folder, [&] { spec::load_sweep(file, overrides, catalogue); });
}

std::string lines_of(const spec::Sweep& sweep) {
  std::string lines;
  for (const spec::Trial& trial : sweep.trials) {
    lines += sweep.models[trial.model].name;
    for (std::size_t i = 0; i < trial.steps.size(); ++i) {
      const spec::MethodStep& step = sweep.steps[trial.steps[i]];
      lines += (i == 0 ? " " : " + ") + step.method;
      for (const auto& item : step.parameters.items()) {
        lines += " " + item.key() + "=" + item.value().dump();
      }
    }
    if (trial.bits) lines += " " + spec::bits_text(trial);
    if (trial.seed) lines += " seed=" + std::to_string(*trial.seed);
    if (trial.calibration_seed) lines += " cseed=" + std::to_string(*trial.calibration_seed);
    if (trial.calibration_data >= 0) {
      lines += " on " + sweep.data[static_cast<std::size_t>(trial.calibration_data)].name;
    }
    for (const spec::AblationTag& tag : trial.ablations) {
      lines += " [" + tag.ablation + ": " + tag.variant + "]";
    }
    lines += "\n";
  }
  return lines;
}

}  // namespace assay::testing
