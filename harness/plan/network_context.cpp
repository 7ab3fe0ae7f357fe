#include "harness/plan/network_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>

#include "harness/plan/input_files.h"
#include "harness/spec/place.h"

namespace assay::plan {
namespace {

constexpr std::int64_t kMostContext = 1 << 24;

// The length of windows that a stage draws from a text.
bool draws(const StageDeclaration& stage) {
  const bool reads =
      std::find(stage.reads.begin(), stage.reads.end(), "context") != stage.reads.end();
  return reads && std::any_of(stage.inputs.begin(), stage.inputs.end(),
                              [](const InputDeclaration& each) { return each.name == "tokens"; });
}

bool rests_on_windows(const Catalogue& catalogue, const std::string& name,
                      std::set<std::string>& seen) {
  const StageDeclaration* stage = catalogue.find_stage(name);
  if (stage == nullptr || !seen.insert(name).second) return false;
  return draws(*stage) ||
         std::any_of(stage->inputs.begin(), stage->inputs.end(), [&](const InputDeclaration& each) {
           return rests_on_windows(catalogue, each.stage, seen);
         });
}

// The configuration of a model and where it stands; null if there is none.
std::pair<Json, std::string> configuration_of(const spec::Model& model, InputDigests& digests) {
  if (model.weights.empty()) return {model.config, fmt::format("model '{}'", model.name)};
  return spec::at_place(model.place, [&]() -> std::pair<Json, std::string> {
    const FileSet files = checkpoint_files(model, {}, digests);
    const std::string file = files.first(kConfigRole)->path.string();
    return {network_configuration(parse_json(digests.text(file), file),
                                  files.first(kWeightsRole)->name, file),
            file};
  });
}

}  // namespace

std::int64_t network_context(const spec::Model& model, const Catalogue& catalogue,
                             InputDigests& digests) {
  const FamilyDeclaration* family = catalogue.find_family(model.family);
  if (family == nullptr || family->context.empty()) return 0;
  const auto [configuration, what] = configuration_of(model, digests);
  if (!configuration.is_object()) return 0;
  Json value = configuration.value(family->context, Json());
  for (const ParameterSchema& schema : family->configuration) {
    if (value.is_null() && schema.name == family->context) value = schema.default_value;
  }
  if (!value.is_number_integer() || value.get<std::int64_t>() < 1 ||
      value.get<std::int64_t>() > kMostContext) {
    spec::refuse(model.place, fmt::format("{}: {} is {}, not an integer from 1 to {}", what,
                                          family->context, value.dump(), kMostContext));
  }
  return value.get<std::int64_t>();
}

bool draws_windows(const Catalogue& catalogue, const std::string& stage) {
  std::set<std::string> seen;
  return rests_on_windows(catalogue, stage, seen);
}

std::int64_t calibration_context(std::int64_t asked, std::int64_t of_network,
                                 const spec::Model& model, const std::string& method) {
  if (asked == 0 && of_network == 0) {
    spec::refuse(model.place,
                 fmt::format("method '{}': nothing says how many tokens the network of model '{}' "
                             "takes; write context: N",
                             method, model.name));
  }
  if (asked == 0) return std::min(of_network, kMostDefaultContext);
  if (of_network > 0 && asked > of_network) {
    spec::refuse(model.place,
                 fmt::format("method '{}': context: {}, but the network of model '{}' takes at most "
                             "{} tokens; write context: {} or less, or 0 for the network's own",
                             method, asked, model.name, of_network, of_network));
  }
  return asked;
}

}  // namespace assay::plan
